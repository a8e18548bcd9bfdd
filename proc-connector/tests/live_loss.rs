//! Losses: told where they happened, and counted to the event.

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Stamp, Witnessed};
use common::tape::{Tape, catch_up};
use common::{CAP_NET_ADMIN, Deadline, builder, load, named, need, skip, transport};
use proc_connector::{ProcConnector, Transport};

fn main() -> ExitCode {
    let tests = named![
        what_a_sleeping_reader_loses_is_counted,
        what_a_slow_reader_loses_is_counted,
        what_a_reader_with_the_least_of_buffers_loses_is_counted,
        what_was_lost_while_opening_is_not_counted_later,
    ];
    common::main(&[], &tests)
}

fn what_a_sleeping_reader_loses_is_counted() {
    losing(&small(300), |connector, tape| {
        // Two events each: several times what the buffer holds.
        load::threads(500);
        while tape.record(connector, Duration::ZERO) {}
    });
}

fn what_a_slow_reader_loses_is_counted() {
    losing(&small(75), |connector, tape| {
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    load::threads(1);
                    made.fetch_add(1, Relaxed);
                }
            });
            // Half as often as the buffer is full.
            for turn in 1..=10 {
                while made.load(Relaxed) < turn * 100 {
                    thread::yield_now();
                }
                tape.record(connector, Duration::ZERO);
            }
        });
    });
}

fn what_a_reader_with_the_least_of_buffers_loses_is_counted() {
    losing(&small(0), |connector, tape| {
        for burst in 1..40 {
            load::threads(burst);
            tape.record(connector, Duration::ZERO);
        }
    });
}

fn what_was_lost_while_opening_is_not_counted_later() {
    for _ in 0..100 {
        let busy = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                while busy.load(Relaxed) {
                    load::threads(1);
                }
            });
            let stop = load::OnDrop(|| busy.store(false, Relaxed));
            let open_under_load = || {
                let connector = small(0)();
                busy.store(false, Relaxed);
                connector
            };
            losing(&open_under_load, |_, _| drop(load::threads(40)));
            drop(stop);
        });
    }
}

/// Opens a connector with a buffer for that many events, or the least there is.
fn small(events: usize) -> impl Fn() -> ProcConnector {
    move || {
        let connector = builder().receive_buffer_events(events).open().expect("a live connector");
        let granted = connector.stats().receive_buffer;
        let wanted = events * if transport() == Transport::Ring { 88 } else { 832 };
        assert!(granted >= wanted && granted < 2 * wanted.max(4096), "{granted}");
        connector
    }
}

/// Lets a connector lose events, by `load` as often as that takes, and holds what it delivers and
/// what it says it lost against a witness that lost nothing.
fn losing(open: &dyn Fn() -> ProcConnector, load: impl Fn(&mut ProcConnector, &mut Tape)) {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a witness with a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connector = open();
    // A ring says with each event what was lost before it, however few it holds.
    let tiny = transport() == Transport::Socket && connector.stats().receive_buffer < TINY;
    let mut tape = Tape::default();

    // From here ...
    let first = tape.settle(&mut connector);
    let lost_before = tape.lost();
    let deadline = Deadline::new();
    let last = loop {
        load(&mut connector, &mut tape);
        // ... to there, on each CPU.
        let last = tape.settle(&mut connector);
        if first.is_none() || last.is_none() || tape.lost() > lost_before {
            break last;
        }
        assert!(deadline.left().is_some(), "nothing was lost");
    };
    let (Some(first), Some(last)) = (first, last) else {
        assert!(tiny, "the machine is too busy");
        skip("the machine is too busy for a buffer of a few events");
    };
    catch_up(&witness, &mut witnessed, last.iter().copied());

    let ends: BTreeMap<u32, (Stamp, Stamp)> =
        first.into_iter().zip(last).map(|ends| (ends.0.cpu, ends)).collect();
    let sent = ends.values().flat_map(|&(first, last)| &witnessed.between(first, last)[1..]);
    let (events, acks): (Vec<&Stamp>, Vec<_>) = sent.partition(|stamp| stamp.what != 0);
    let is_between = |stamp: &Stamp| {
        let (first, last) = ends[&stamp.cpu];
        stamp.is_after(first) && !stamp.is_after(last)
    };
    let received = tape.stamps().filter(is_between).count() as u64;
    let missing = tape.lost() - lost_before;
    let (sent, told) = (events.len() as u64, received + missing);
    // Only an acknowledgement to somebody else on the machine, if lost, is counted and no event.
    assert!(
        (sent..=sent + acks.len() as u64).contains(&told),
        "{received} received and {missing} lost of {sent}, beside {} acknowledgements",
        acks.len()
    );
    assert_eq!(connector.stats().lost, tape.lost());
    // A queue this short overruns again before the reader, told of it, has asked how many were lost:
    // those of the second time are then told with the first.
    if !tiny {
        assert_gaps_are_told(&tape, &ends, &witnessed);
    }
}

/// Bytes of receive buffer that hold some ten events.
const TINY: usize = 10 << 10;

/// Asserts that between the ends events of a CPU come in order, and that where some are missing a
/// loss was told between the one before and the one after.
fn assert_gaps_are_told(tape: &Tape, ends: &BTreeMap<u32, (Stamp, Stamp)>, witnessed: &Witnessed) {
    let mut previous: BTreeMap<u32, (Stamp, u64)> = BTreeMap::new();
    let (mut losses, mut gaps) = (0, 0);
    for &got in &tape.got {
        let Some(stamp) = got.stamp() else {
            losses += 1;
            continue;
        };
        let (first, last) = ends[&stamp.cpu];
        let has_begun = previous.contains_key(&stamp.cpu) || stamp == first;
        if !has_begun || stamp.is_after(last) {
            continue;
        }
        let Some((before, losses_then)) = previous.insert(stamp.cpu, (stamp, losses)) else {
            continue;
        };
        assert!(stamp.is_after(before), "{stamp:?} comes after {before:?}");
        let passed = witnessed.between(before, stamp);
        let missing = passed[1..passed.len() - 1].iter().filter(|stamp| stamp.what != 0).count();
        if missing > 0 {
            gaps += 1;
            assert!(losses > losses_then, "{missing} missing after {before:?}, in silence");
        }
    }
    assert!(gaps > 0);
}
