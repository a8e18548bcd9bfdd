//! The parser against an independent decoder, which uses the structs of the bindings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proc_connector_core::{
    BigEndian, ByteOrder, Control, Event, LittleEndian, NativeEndian, Notification, Notifications,
    Payload,
};
use proc_connector_fuzz::naive::{self, Body, Head, Order, Read};
use proc_connector_fuzz::shape;
use proc_connector_sys as sys;

fuzz_target!(|input: &[u8]| {
    shape::both(input, |bytes| {
        assert_eq!(read::<LittleEndian>(bytes), naive::messages(bytes, Order::Little));
        assert_eq!(read::<BigEndian>(bytes), naive::messages(bytes, Order::Big));
        assert_eq!(read::<NativeEndian>(bytes), naive::messages(bytes, Order::Native));
    });
});

fn read<O: ByteOrder>(bytes: &[u8]) -> Vec<Read> {
    let notifications = Notifications::<O>::with_order(bytes);
    notifications.map(|notification| notification.ok().map(|read| plain(&read))).collect()
}

fn plain<O: ByteOrder>(notification: &Notification<'_, O>) -> (Head, Body) {
    match notification {
        Notification::Event(event) => (head(event), body(event)),
        Notification::Ack(ack) => {
            let head = Head { what: 0, seq: ack.seq, ack: ack.ack, cpu: ack.cpu, timestamp_ns: 0 };
            (head, Body::Fields(vec![ack.err]))
        }
        Notification::Control(control) => {
            let (kind, error) = match *control {
                Control::Noop => (sys::NLMSG_NOOP, 0),
                Control::Error(error) => (sys::NLMSG_ERROR, error),
                Control::Done => (sys::NLMSG_DONE, 0),
                Control::Overrun => (sys::NLMSG_OVERRUN, 0),
                other => panic!("{other:?} is unknown to this target"),
            };
            (Head::default(), Body::Control(kind, error))
        }
        other => panic!("{other:?} is unknown to this target"),
    }
}

fn head<O: ByteOrder>(event: &Event<'_, O>) -> Head {
    Head {
        what: event.what(),
        seq: event.seq(),
        ack: 0,
        cpu: event.cpu(),
        timestamp_ns: event.timestamp_ns(),
    }
}

fn body<O: ByteOrder>(event: &Event<'_, O>) -> Body {
    let known = Option::unwrap_or_default;
    Body::Fields(match event.payload() {
        Payload::Fork(e) => {
            vec![e.parent_pid(), e.parent_tgid(), e.child_pid(), e.child_tgid()]
        }
        Payload::Exec(e) => vec![e.process_pid(), e.process_tgid()],
        Payload::Uid(e) => vec![e.process_pid(), e.process_tgid(), e.ruid(), e.euid()],
        Payload::Gid(e) => vec![e.process_pid(), e.process_tgid(), e.rgid(), e.egid()],
        Payload::Sid(e) => vec![e.process_pid(), e.process_tgid()],
        Payload::Ptrace(e) => {
            vec![e.process_pid(), e.process_tgid(), e.tracer_pid(), e.tracer_tgid()]
        }
        Payload::Coredump(e) => {
            vec![e.process_pid(), e.process_tgid(), known(e.parent_pid()), known(e.parent_tgid())]
        }
        Payload::Exit(e) => vec![
            e.process_pid(),
            e.process_tgid(),
            e.exit_code(),
            e.exit_signal(),
            known(e.parent_pid()),
            known(e.parent_tgid()),
        ],
        Payload::Comm(e) => return Body::Comm([e.process_pid(), e.process_tgid()], *e.comm()),
        Payload::Unknown(data) => return Body::Unknown(data.to_vec()),
        other => panic!("{other:?} is unknown to this target"),
    })
}
