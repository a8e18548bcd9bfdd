//! The program in the kernel, on a pair of Unix sockets: what goes into the ring, and what not.
//!
//! A socket filter runs in the task that sends, so this process stands for the one that acts.

use std::fs;
use std::io::{self, Read, Write};
use std::time::Duration;

use proc_connector_core::context::Noted;
use proc_connector_core::testing::filters::{Choice, Happening, Set};
use proc_connector_core::testing::kinds::{COMM, EXEC, EXIT, FORK, PTRACE};
use proc_connector_core::testing::strategies::{choice, happening};
use proc_connector_core::{EventMask, Notification};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use socket2::{Domain, Socket, Type};

use super::*;
use crate::live::transport::Item;
use crate::sys::poll_readable;

/// A ring, and a socket whose datagrams it gets.
struct Line {
    ring: RingQueue,
    sender: Socket,
    receiver: Socket,
}

/// Who may write to the ring.
#[derive(Clone, Copy)]
enum Actors {
    Any,
    OnlyThemselves,
}

impl Line {
    /// `None`, and why on standard error, where the process may not use the ring.
    fn new(
        bytes: usize,
        filter: &Filter,
        actors: Actors,
        context: Option<ContextPlan>,
    ) -> Option<Self> {
        let (sender, receiver) =
            Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
        receiver.set_nonblocking(true).expect("a socket");
        let mut ring = match RingQueue::new(receiver.as_fd(), bytes, context, notice()) {
            Ok(ring) => ring,
            Err(RingError { reason: NoRing::Forbidden, .. }) => {
                eprintln!("skipped: {}", NoRing::Forbidden);
                return None;
            }
            Err(error) => panic!("{error:?}"),
        };
        if let Actors::Any = actors {
            ring.actor = None;
        }
        ring.attach(filter).expect("a program that the kernel takes");
        Some(Self { ring, sender, receiver })
    }

    fn send(&self, datagram: &[u8]) {
        match (&self.sender).write(datagram) {
            Ok(sent) => assert_eq!(sent, datagram.len()),
            // Some kernels say that the other end's filter refused.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }

    /// What the program left in the socket's queue.
    fn queued(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 100];
        match (&self.receiver).read(&mut buffer) {
            Ok(len) => Some(buffer[..len].to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// All that is in the ring: datagrams, and the counts of losses between them.
    fn drain(&mut self) -> Vec<Result<[u8; 76], u32>> {
        let mut got = Vec::new();
        let mut buffer = [0; 76];
        loop {
            match self.ring.pop(&mut buffer).expect("a ring") {
                Popped::Datagram(76) => got.push(Ok(buffer)),
                Popped::Datagram(len) => panic!("{len} bytes"),
                Popped::Lost(count) => got.push(Err(count)),
                Popped::Nothing => break,
            }
        }
        assert_eq!(self.queued(), None);
        got
    }

    fn is_readable(&self) -> bool {
        let [readable] =
            poll_readable([Some(self.ring.wakes())], Some(Duration::ZERO)).expect("a descriptor");
        readable
    }
}

type Result<T, E> = std::result::Result<T, E>;

fn fork(number: u32) -> Happening {
    Happening { what: FORK, words: [1, 1, number, number, 0, 0] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_program_agrees_with_the_numbers(choice in choice(), events in vec(happening(), 1..40)) {
        let Some(mut line) = Line::new(0, &choice.filter(), Actors::Any, None) else {
            return Ok(());
        };
        for event in &events {
            line.send(&event.datagram());
        }
        let wanted: Vec<Result<[u8; 76], u32>> = events
            .iter()
            .filter(|event| choice.wants(event))
            .map(|event| Ok(event.datagram()))
            .collect();
        prop_assert_eq!(line.drain(), wanted);
        prop_assert_eq!(line.ring.refused(), 0);
    }
}

#[test]
fn the_kernel_takes_a_filter_of_1024_ids() {
    let exec = |tgid| Happening { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
    for distance in [4093, 4_194_301] {
        let ids = (0..1024).map(|n| n * distance);
        let choice = Choice {
            mask: u32::MAX,
            processes_only: true,
            failures_only: true,
            tgids: Some((Set::Only, ids.clone().collect())),
        };
        let Some(mut line) = Line::new(1 << 20, &choice.filter(), Actors::Any, None) else {
            return;
        };
        for id in ids {
            line.send(&exec(id).datagram());
            line.send(&exec(id + 1).datagram());
        }
        assert_eq!(line.drain().len(), 1024);
    }
}

#[test]
fn what_is_not_exactly_an_event_is_refused() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let event = fork(7).datagram();
    let mut refused = 0;
    // Every byte of the headers but those of the sequence number, and of what the kernel leaves
    // to its events: `nlmsg_seq` and `seq`, and from `what` on.
    for at in (0..8).chain(12..24).chain(28..36) {
        let mut other = event;
        other[at] ^= 0x10;
        line.send(&other);
        refused += 1;
        assert_eq!(line.ring.refused(), refused, "byte {at}");
    }
    for len in (0..76).chain(77..200) {
        let mut other = event.to_vec();
        other.resize(len, 0);
        line.send(&other);
    }
    assert_eq!(line.drain(), []);
    line.send(&event);
    assert_eq!(line.drain(), [Ok(event)]);
}

#[test]
fn nobody_can_forge_the_deeds_of_others() {
    let this = std::process::id();
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::OnlyThemselves, None) else {
        return;
    };
    if line.ring.actor.is_none() {
        eprintln!("skipped: this kernel does not tell a socket's program who runs it");
        return;
    }
    let by = |what, tgid| Happening { what, words: [tgid, tgid, 0, 0, 0, 0] }.datagram();
    for what in [EXEC, EXIT, COMM] {
        line.send(&by(what, this + 1));
        assert_eq!(line.drain(), []);
        line.send(&by(what, this));
        assert_eq!(line.drain(), [Ok(by(what, this))]);
    }
    assert_eq!(line.ring.refused(), 3);
    // Of these the kernel's own name others than the one who acts.
    for what in [FORK, PTRACE] {
        line.send(&by(what, this + 1));
        assert_eq!(line.drain(), [Ok(by(what, this + 1))]);
    }
}

#[test]
fn a_ring_goes_round_and_counts_what_it_has_no_room_for() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let room = line.ring.size() / event_room(None);
    let (mut sent, mut received, mut lost) = (0, 0, 0);
    for round in 0..1000 {
        // Now more than it holds, now less, so that its end falls on every place of a record.
        for _ in 0..=(round * 7) % (2 * room) {
            line.send(&fork(sent).datagram());
            sent += 1;
        }
        for got in line.drain() {
            match got {
                Ok(datagram) => {
                    assert_eq!(datagram, fork(received + lost).datagram(), "round {round}");
                    received += 1;
                }
                Err(count) => lost += count,
            }
        }
        assert_eq!(received + lost, sent, "round {round}");
    }
    assert!(lost > 0 && received > 0);
}

#[test]
fn a_ring_that_cannot_be_is_told_to_be_too_large() {
    let (socket, _) = Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
    for bytes in [usize::MAX / 2, usize::MAX] {
        let error = RingQueue::new(socket.as_fd(), bytes, None, notice())
            .expect_err("more than a ring holds");
        assert_eq!(error.reason, NoRing::TooLarge, "{bytes} bytes");
    }
}

#[test]
fn acknowledgements_without_room_are_no_losses() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let room = line.ring.size() / event_room(None);
    let ack = Happening { what: 0, words: [0; 6] }.datagram();
    for _ in 0..room + 3 {
        line.send(&ack);
    }
    assert_eq!(line.drain(), vec![Ok(ack); room]);
    assert_eq!(line.ring.lost_acks(), 3);
}

#[test]
fn batches_tell_losses_between_the_events_around_them() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let room = u32::try_from(line.ring.size() / event_room(None)).expect("a small ring");
    let mut reported = Vec::new();
    let mut number = 0;
    for burst in [room + 5, room + 3, 1] {
        for _ in 0..burst {
            line.send(&fork(number).datagram());
            number += 1;
        }
        // The last loss of a burst is not known to any record: the reader finds it by itself.
        while line.ring.take().expect("a ring") {
            reported.extend(line.ring.records().map(|item| match item {
                Item::Message(Ok(Notification::Event(event))) => {
                    let data = event.data();
                    Ok(u32::from_ne_bytes(data[8..12].try_into().expect("4 bytes")))
                }
                Item::Lost(lost) => Err(lost.count.expect("a count")),
                _ => panic!("neither an event nor a loss"),
            }));
        }
    }
    let mut expected: Vec<Result<u32, u64>> = (0..room).map(Ok).collect();
    expected.push(Err(5));
    expected.extend((room + 5..2 * room + 5).map(Ok));
    expected.push(Err(3));
    expected.push(Ok(number - 1));
    assert_eq!(reported, expected);
}

#[test]
fn a_change_of_filters_applies_to_what_follows() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    line.send(&fork(1).datagram());
    line.ring.attach(&Filter::new(EventMask::EXIT)).expect("a program that the kernel takes");
    line.send(&fork(2).datagram());
    assert_eq!(line.drain(), [Ok(fork(1).datagram())]);
}

#[test]
fn an_armed_ring_wakes_once() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let is_armed = |line: &Line| line.ring.word(Word::Armed).load(Relaxed) != 0;
    assert!(line.ring.arm() && !line.is_readable());
    line.send(&fork(1).datagram());
    assert!(line.is_readable() && !is_armed(&line), "the program took the flag down");
    line.send(&fork(2).datagram());
    assert_eq!(line.queued(), Some(fork(1).datagram().to_vec()), "whole, or others get a part");
    assert_eq!(line.queued(), None);
    line.send(&fork(3).datagram());
    assert!(!line.ring.arm(), "there is something to read first");
    assert_eq!(line.drain().len(), 3);

    assert!(line.ring.arm());
    line.send(&fork(4).datagram());
    assert!(line.is_readable() && !line.ring.arm() && !line.is_readable(), "what rang is gone");
    assert_eq!(line.drain().len(), 1);
    assert!(line.ring.arm() && !line.is_readable());
}

#[test]
fn acknowledgements_reach_the_socket_while_they_are_waited_for() {
    let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, None) else { return };
    let ack = Happening { what: 0, words: [0; 6] }.datagram();
    for (asking, queued) in [(false, None), (true, Some(ack.to_vec())), (false, None)] {
        line.ring.set_asking(asking);
        line.send(&ack);
        assert_eq!(line.queued(), queued);
    }
    assert_eq!(line.drain().len(), 3, "their numbers are in the sequence");
}

#[test]
fn the_acting_task_is_noted_as_it_is() {
    let cmdline = fs::read("/proc/self/cmdline").expect("/proc is mounted");
    let this = std::process::id();
    // Room for all, for a part of it, and for nothing; and as older kernels have to find it out.
    for (args_len, old) in [(4096, false), (5, false), (0, false), (4096, true)] {
        let notes = ContextPlan::new(args_len);
        let notes = if old { notes.without_helpers() } else { notes };
        let Some(mut line) = Line::new(0, &Filter::default(), Actors::Any, Some(notes)) else {
            return;
        };
        for what in [EXEC, EXIT] {
            line.send(&Happening { what, words: [this, this, 0, 0, 0, 0] }.datagram());
        }
        assert!(line.ring.take().expect("a ring"));
        let possible = notes.possible();
        let can = |part| possible.contains(part);
        let events: Vec<_> = line.ring.records().collect();
        assert_eq!(events.len(), 2);
        for (item, what) in events.iter().zip([EXEC, EXIT]) {
            let Item::Message(Ok(Notification::Event(event))) = item else { panic!("an event") };
            assert_eq!(event.what(), what);
            let context = event.context().expect("what was noted");
            let thread = nix::unistd::gettid().as_raw();
            assert_eq!(
                context.pid(),
                can(Noted::PID_TGID).then_some(thread.try_into().expect("an id"))
            );
            assert_eq!(context.tgid(), can(Noted::PID_TGID).then_some(this));
            let uid = can(Noted::UID_GID).then_some(nix::unistd::getuid().as_raw());
            let gid = can(Noted::UID_GID).then_some(nix::unistd::getgid().as_raw());
            assert_eq!((context.uid(), context.gid()), (uid, gid));
            let comm = fs::read("/proc/thread-self/comm").expect("/proc is mounted");
            assert_eq!(context.comm(), can(Noted::COMM).then_some(comm.trim_ascii_end()));
            let args = context.args();
            if what == EXIT || args_len == 0 || notes.args().is_none() {
                assert_eq!(args, None);
                continue;
            }
            let args = args.expect("the arguments");
            assert_eq!(args.is_cut(), cmdline.len() > args_len);
            assert_eq!(args.bytes(), &cmdline[..cmdline.len().min(args_len)]);
        }
    }
}

fn notice() -> std::sync::Arc<Notice> {
    Notice::new().expect("a descriptor")
}
