//! Datagrams, and the comparable results of reading them.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary includes this file and uses a part of it"
)]

pub(crate) use proc_connector_core::testing::kinds::*;
pub(crate) use proc_connector_core::testing::wire::offset::*;
pub(crate) use proc_connector_core::testing::wire::{
    HEAD, Head, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, Order, buffer, put,
};
use proc_connector_core::{Ack, ByteOrder, Control, EventRecord, Notification, Notifications};
use proc_connector_core::{ParseError, Payload};

/// The acknowledgement in a datagram with [`HEAD`], except for its `ack`.
pub(crate) const fn acknowledgement(ack: u32, err: u32) -> Ack {
    Ack { ack, err, cpu: HEAD.cpu, seq: HEAD.seq }
}

/// The datagram of an event in the host's byte order, with [`HEAD`].
pub(crate) fn event(what: u32, words: &[u32]) -> Vec<u8> {
    Order::Native.datagram(HEAD, what, &Order::Native.union(words))
}

/// A notification in a comparable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Event(EventRecord<'a>),
    Ack(Ack),
    Control(Control),
}

/// All notifications of `buffer`. An endless iteration is cut off and fails the comparison.
pub(crate) fn walk<'a, O: ByteOrder + 'a>(buffer: &'a [u8]) -> Vec<Result<Found<'a>, ParseError>> {
    let notifications = Notifications::<O>::with_order(buffer).take(buffer.len() + 2);
    notifications
        .map(|notification| {
            Ok(match notification? {
                Notification::Event(event) => Found::Event(event.into()),
                Notification::Ack(ack) => Found::Ack(ack),
                Notification::Control(control) => Found::Control(control),
                other => panic!("{other:?} is unknown to the tests"),
            })
        })
        .collect()
}

/// The sum of all fields of a notification, which reads each of them.
pub(crate) fn read_all<O: ByteOrder>(notification: &Notification<'_, O>) -> u64 {
    let event = match notification {
        Notification::Event(event) => event,
        Notification::Ack(ack) => return sum(&[ack.ack, ack.err, ack.cpu, ack.seq]),
        _ => return 0,
    };
    let known = Option::unwrap_or_default;
    let data = match event.payload() {
        Payload::Fork(e) => sum(&[e.parent_pid(), e.parent_tgid(), e.child_pid(), e.child_tgid()]),
        Payload::Exec(e) => sum(&[e.process_pid(), e.process_tgid()]),
        Payload::Uid(e) => sum(&[e.process_pid(), e.process_tgid(), e.ruid(), e.euid()]),
        Payload::Gid(e) => sum(&[e.process_pid(), e.process_tgid(), e.rgid(), e.egid()]),
        Payload::Sid(e) => sum(&[e.process_pid(), e.process_tgid()]),
        Payload::Ptrace(e) => {
            sum(&[e.process_pid(), e.process_tgid(), e.tracer_pid(), e.tracer_tgid()])
        }
        Payload::Comm(e) => {
            sum(&[e.process_pid(), e.process_tgid()]) + bytes(e.comm()) + bytes(e.name())
        }
        Payload::Coredump(e) => {
            sum(&[e.process_pid(), e.process_tgid(), known(e.parent_pid()), known(e.parent_tgid())])
        }
        Payload::Exit(e) => sum(&[
            e.process_pid(),
            e.process_tgid(),
            e.exit_code(),
            e.exit_signal(),
            u32::from(e.status().code().unwrap_or_default()),
            u32::from(e.status().signal().unwrap_or_default()),
            u32::from(e.status().core_dumped()),
            known(e.parent_pid()),
            known(e.parent_tgid()),
        ]),
        Payload::Unknown(data) => bytes(data),
        other => panic!("{other:?} is unknown to the tests"),
    };
    let header = sum(&[event.what(), event.mask().bits(), event.cpu(), event.seq()]);
    header.wrapping_add(event.timestamp_ns()).wrapping_add(data + bytes(event.data()))
}

fn sum(values: &[u32]) -> u64 {
    values.iter().map(|&value| u64::from(value)).sum()
}

fn bytes(values: &[u8]) -> u64 {
    values.iter().map(|&value| u64::from(value)).sum()
}
