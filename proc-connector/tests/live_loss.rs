//! Losses: told where they happened, and counted to the event.

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Stamp, Witnessed};
use common::tape::{Tape, catch_up};
use common::{CAP_NET_ADMIN, capable, load, named};
use proc_connector::ProcConnector;

fn main() -> ExitCode {
    let tests = named![
        what_a_sleeping_reader_loses_is_counted,
        what_a_slow_reader_loses_is_counted,
        what_a_reader_with_the_least_of_buffers_loses_is_counted,
    ];
    common::main(&[], &tests)
}

fn what_a_sleeping_reader_loses_is_counted() {
    losing(256 << 10, |connector, tape| {
        for _ in 0..5 {
            // Two events each, of 832 bytes each: several times what the buffer holds.
            load::threads(500);
            while tape.record(connector, Duration::ZERO) {}
        }
        load::threads(500);
    });
}

fn what_a_slow_reader_loses_is_counted() {
    losing(64 << 10, |connector, tape| {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                load::threads(4_000);
                done.store(true, Relaxed);
            });
            while !done.load(Relaxed) {
                tape.record(connector, Duration::ZERO);
                thread::sleep(Duration::from_millis(2));
            }
        });
    });
}

fn what_a_reader_with_the_least_of_buffers_loses_is_counted() {
    losing(0, |connector, tape| {
        for burst in (1..40).cycle().take(400) {
            load::threads(burst);
            tape.record(connector, Duration::ZERO);
        }
    });
}

/// Lets a connector with that much of a buffer lose events by `load`, and holds what it delivers
/// and what it says it lost against a witness that lost nothing.
fn losing(receive_buffer: usize, load: impl Fn(&mut ProcConnector, &mut Tape)) {
    if !capable(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a witness with a large buffer") {
        return;
    }
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let builder = ProcConnector::builder().receive_buffer(receive_buffer);
    let mut connector = builder.open().expect("a live connector");
    let granted = connector.stats().receive_buffer;
    assert!(granted >= receive_buffer && granted < 2 * receive_buffer.max(4096), "{granted}");
    let mut tape = Tape::default();

    // From here ...
    let first = tape.settle(&mut connector);
    let lost_before = tape.lost();
    load(&mut connector, &mut tape);
    // ... to there, on each CPU.
    let last = tape.settle(&mut connector);
    catch_up(&witness, &mut witnessed, last.iter().copied());

    let ends: BTreeMap<u32, (Stamp, Stamp)> =
        first.into_iter().zip(last).map(|ends| (ends.0.cpu, ends)).collect();
    let sent = ends.values().flat_map(|&(first, last)| &witnessed.between(first, last)[1..]);
    let (events, acks): (Vec<&Stamp>, Vec<_>) = sent.partition(|stamp| stamp.what != 0);
    let is_between = |stamp: &Stamp| {
        let (first, last) = ends[&stamp.cpu];
        is_after(*stamp, first) && !is_after(*stamp, last)
    };
    let received = tape.stamps().filter(is_between).count() as u64;
    let lost = tape.lost() - lost_before;
    let (sent, told) = (events.len() as u64, received + lost);
    // Only an acknowledgement to somebody else on the machine, if lost, is counted and no event.
    assert!(
        (sent..=sent + acks.len() as u64).contains(&told),
        "{received} received and {lost} lost of {sent}"
    );
    assert!(lost > 0, "nothing was lost");
    assert_eq!(connector.stats().lost, tape.lost());
    // Five events are lost again before the reader, told of a loss, has asked how many: those of the
    // second time are then told with the first.
    if granted > 5 * QUEUED_EVENT {
        assert_gaps_are_told(&tape, &ends, &witnessed);
    }
}

/// Bytes of receive buffer that an event takes.
const QUEUED_EVENT: usize = 832;

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
        if !has_begun || is_after(stamp, last) {
            continue;
        }
        let Some((before, losses_then)) = previous.insert(stamp.cpu, (stamp, losses)) else {
            continue;
        };
        assert!(is_after(stamp, before), "{stamp:?} comes after {before:?}");
        let passed = witnessed.between(before, stamp);
        let missing = passed[1..passed.len() - 1].iter().filter(|stamp| stamp.what != 0).count();
        if missing > 0 {
            gaps += 1;
            assert!(losses > losses_then, "{missing} missing after {before:?}, in silence");
        }
    }
    assert!(gaps > 0);
}

/// Whether an event of the same CPU is later: numbers wrap.
fn is_after(stamp: Stamp, other: Stamp) -> bool {
    stamp.seq.wrapping_sub(other.seq).cast_signed() > 0
}
