//! The cost of a listener on a machine that forks continuously.
//!
//! `cargo bench --bench load [-- --quick] [--forkers N]` in this directory; needs the connector and
//! `CAP_BPF`. The listeners take turns, round by round, and medians are printed.

mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::listener::{Listener, RING, RING_5_MS, RING_WITH_CONTEXT, SOCKET};
use support::{Forkers, Table, fork_if_requested, median, spread, thread_time};

/// The case without a listener comes first, the peer last.
const LISTENERS: [Listener; 6] =
    [Listener::Absent, SOCKET, RING, RING_5_MS, RING_WITH_CONTEXT, Listener::Peer];

fn main() {
    if fork_if_requested() {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, time) = if quick { (3, 1) } else { (7, 3) };
    let mut arguments = std::env::args().skip_while(|argument| argument != "--forkers").skip(1);
    let only: Option<usize> = arguments.next().map(|number| number.parse().expect("a number"));
    for forkers in [1, 2, 4, 8].into_iter().filter(|&forkers| only.is_none_or(|n| n == forkers)) {
        table(forkers, rounds, Duration::from_secs(time));
    }
}

/// The results of a round.
struct Round {
    /// Events per second on the machine.
    rate: f64,
    /// CPU time of the listener per received event, in ns.
    cost: f64,
    /// The proportion of events that the listener did not receive.
    lost: f64,
}

fn table(forkers: usize, rounds: usize, time: Duration) {
    let mut figures: Vec<Vec<Round>> = LISTENERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (listener, figures) in LISTENERS.iter().zip(&mut figures) {
            figures.push(round(*listener, forkers, time));
        }
    }
    let column = |index: usize, of: fn(&Round) -> f64| -> Vec<f64> {
        figures[index].iter().map(of).collect()
    };
    let unwatched = median(&column(0, |round| round.rate));
    let peer = median(&column(LISTENERS.len() - 1, |round| round.rate));
    let mut table = Table::new([
        &format!("{forkers} forkers"),
        "events/s",
        "least to most",
        "of unwatched",
        "of 0.3.0",
        "CPU ns/event",
        "lost",
    ]);
    for (index, listener) in LISTENERS.iter().enumerate() {
        let rates = column(index, |round| round.rate);
        let rate = median(&rates);
        let (cost, lost) = if *listener == Listener::Absent {
            (String::new(), String::new())
        } else {
            let cost = median(&column(index, |round| round.cost));
            let lost = median(&column(index, |round| round.lost));
            (format!("{cost:.0}"), format!("{:.2} %", lost * 100.0))
        };
        table.row([
            listener.name().to_owned(),
            format!("{rate:.0}"),
            spread(&rates),
            format!("{:.2}", rate / unwatched),
            format!("{:.2}", rate / peer),
            cost,
            lost,
        ]);
    }
    table.print();
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn round(listener: Listener, forkers: usize, time: Duration) -> Round {
    let forkers = Forkers::for_time(forkers, time);
    let (forks, events, cpu) = if listener == Listener::Absent {
        (forkers.run(), 0, Duration::ZERO)
    } else {
        let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let listening = scope.spawn(|| listen(listener, &ready, &stop));
            while !ready.load(Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            let forks = forkers.run();
            stop.store(true, Relaxed);
            let (events, cpu) = listening.join().expect("a listener");
            (forks, events, cpu)
        })
    };
    let made = forks as f64 * 2.0;
    Round {
        rate: made / time.as_secs_f64(),
        cost: cpu.as_secs_f64() * 1e9 / events as f64,
        lost: ((made - events as f64) / made).max(0.0),
    }
}

/// How often a listener checks whether to stop.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Listens until no more events arrive, or until shortly after the request to stop if other
/// processes cause events. Returns the number of events and the CPU time.
fn listen(listener: Listener, ready: &AtomicBool, stop: &AtomicBool) -> (u64, Duration) {
    let mut open = listener.open(None).expect("a listener");
    ready.store(true, Relaxed);
    let (start, mut events, mut sum) = (thread_time(), 0, 0);
    let mut stopped = None;
    loop {
        let taken = open.receive(Some(CHECK_INTERVAL), |_| {});
        events += taken.events;
        sum += taken.sum;
        if !stop.load(Relaxed) {
            continue;
        }
        let stopped = *stopped.get_or_insert_with(Instant::now);
        if taken.events == 0 || stopped.elapsed() > 3 * CHECK_INTERVAL {
            std::hint::black_box(sum);
            return (events, thread_time().saturating_sub(start));
        }
    }
}
