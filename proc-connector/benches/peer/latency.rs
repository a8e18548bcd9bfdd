//! The latency of a listener: the time from the kernel's time stamp to the reader.
//!
//! `cargo bench --bench latency [-- --quick]` in this directory; needs the connector and `CAP_BPF`.
//! The listeners take turns.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::listener::{Listener, Open, RING, RING_5_MS, SOCKET, Seen};
use support::{Forkers, Table, fork_if_requested, monotonic};

const LISTENERS: [Listener; 4] = [SOCKET, RING, RING_5_MS, Listener::Peer];

/// Exceeds every measured delay.
const TIMEOUT: Duration = Duration::from_millis(100);

fn main() {
    if fork_if_requested() {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 50 } else { 300 };
    for (title, timeout) in
        [("first event after idle", None), ("the same, with a timeout", Some(TIMEOUT))]
    {
        print(title, LISTENERS.map(|_| Vec::new()), |figures| {
            for round in 0..rounds {
                // The predecessor of a listener changes from round to round.
                let step = 1 + 2 * (round % 2);
                for turn in 0..LISTENERS.len() {
                    let index = (round / 2 + turn * step) % LISTENERS.len();
                    figures[index].extend(after_a_pause(LISTENERS[index], timeout));
                }
            }
        });
    }
    print("an event under load, 2 forkers", LISTENERS.map(|_| Vec::new()), |figures| {
        for _ in 0..if quick { 3 } else { 10 } {
            for (listener, figures) in LISTENERS.iter().zip(&mut *figures) {
                under_load(*listener, figures);
            }
        }
    });
}

fn print(
    title: &str,
    mut figures: [Vec<f64>; LISTENERS.len()],
    measure: impl FnOnce(&mut [Vec<f64>]),
) {
    measure(&mut figures);
    let mut table = Table::new([title, "p50 us", "p99 us"]);
    for (listener, mut figures) in LISTENERS.iter().zip(figures) {
        figures.sort_by(f64::total_cmp);
        let at = |percent: usize| figures.get(figures.len() * percent / 100).copied();
        let micros =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        table.row([listener.name().to_owned(), micros(at(50)), micros(at(99))]);
    }
    table.print();
}

/// The time since a time stamp, in microseconds.
fn age(timestamp_ns: u64) -> f64 {
    monotonic().saturating_sub(Duration::from_nanos(timestamp_ns)).as_secs_f64() * 1e6
}

/// The delay of a thread's fork after a pause, for a listener that has been waiting; `None` if it
/// was lost.
fn after_a_pause(listener: Listener, timeout: Option<Duration>) -> Option<f64> {
    let mut open = listener.open(None).expect("a listener");
    drain(&mut open);
    let sleeper = thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        thread::spawn(|| {}).join().expect("a thread that ends");
    });
    // The fork of the sleeping thread itself comes first.
    let (mut forks, mut delay) = (0, None);
    let start = Instant::now();
    while delay.is_none() && start.elapsed() < 10 * TIMEOUT {
        open.receive(timeout, |seen| {
            forks += usize::from(is_own(seen));
            if is_own(seen) && forks == 2 {
                delay = Some(age(seen.timestamp_ns));
            }
        });
    }
    sleeper.join().expect("a thread that ends");
    delay
}

fn is_own(seen: Seen) -> bool {
    seen.fork_in == std::process::id()
}

/// Receives everything queued.
fn drain(open: &mut Open) {
    let start = Instant::now();
    while open.receive(Some(Duration::ZERO), |_| {}).events > 0 && start.elapsed() < TIMEOUT {}
}

/// The delays of forks while two forkers run.
fn under_load(listener: Listener, figures: &mut Vec<f64>) {
    let forkers = Forkers::for_time(2, Duration::from_millis(300));
    let mut open = listener.open(None).expect("a listener");
    let load = thread::spawn(|| forkers.run());
    while !load.is_finished() {
        let mut delay = None;
        open.receive(Some(TIMEOUT), |seen| {
            // The first event of a batch waited longest, so only this one counts.
            if seen.timestamp_ns != 0 && delay.is_none() {
                delay = Some(age(seen.timestamp_ns));
            }
        });
        figures.extend(delay);
    }
    load.join().expect("a load");
}
