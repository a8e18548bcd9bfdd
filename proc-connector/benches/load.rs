//! What a listener costs a machine that is busy forking, and how soon an idle one hears.
//!
//! `cargo bench --bench load [-- --quick]`; needs the connector. Who is measured takes turns, round
//! by round, and medians are printed.

mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use proc_connector::{Filter, Payload, ProcConnector, Received};
use proc_connector_peer::ProcEvent as PeerEvent;
use support::{Forkers, fork_if_asked, median, monotonic, spread, thread_time};

fn main() {
    if fork_if_asked() {
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, time) = if quick { (3, 1) } else { (7, 3) };
    for forkers in [2, 8] {
        table(forkers, rounds, Duration::from_secs(time));
    }
    latency(if quick { 50 } else { 300 });
}

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Nobody,
    Batches(Duration),
    Peer,
}

/// What came of one round.
struct Round {
    /// Events a second that the machine made.
    rate: f64,
    /// CPU time of the listener, in ns for each event that it received.
    cost: f64,
    /// Share of the events that it did not receive.
    lost: f64,
}

fn table(forkers: usize, rounds: usize, time: Duration) {
    let listeners = [
        ("nobody listens", Listener::Nobody),
        ("recv_batch, defaults", Listener::Batches(Duration::from_millis(1))),
        ("recv_batch, coalesce 5 ms", Listener::Batches(Duration::from_millis(5))),
        ("recv_batch, coalesce 0", Listener::Batches(Duration::ZERO)),
        ("0.3.0, recv_timeout", Listener::Peer),
    ];
    let mut figures: Vec<Vec<Round>> = listeners.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((_, listener), figures) in listeners.iter().zip(&mut figures) {
            figures.push(round(*listener, forkers, time));
        }
    }
    let column = |index: usize, of: fn(&Round) -> f64| -> Vec<f64> {
        figures[index].iter().map(of).collect()
    };
    let unwatched = median(&column(0, |round| round.rate));
    let peer = median(&column(listeners.len() - 1, |round| round.rate));
    println!(
        "\n{:<28} {:>10} {:>18} {:>12} {:>9} {:>12} {:>8}",
        format!("{forkers} forkers"),
        "events/s",
        "spread",
        "of unwatched",
        "of 0.3.0",
        "CPU ns/event",
        "lost %",
    );
    for (index, (name, listener)) in listeners.iter().enumerate() {
        let rates = column(index, |round| round.rate);
        let rate = median(&rates);
        print!(
            "{name:<28} {rate:>10.0} {:>18} {:>12.2} {:>9.2}",
            spread(&rates),
            rate / unwatched,
            rate / peer,
        );
        if *listener == Listener::Nobody {
            println!(" {:>12} {:>8}", "-", "-");
        } else {
            let cost = median(&column(index, |round| round.cost));
            let lost = median(&column(index, |round| round.lost));
            println!(" {cost:>12.0} {:>8.2}", lost * 100.0);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn round(listener: Listener, forkers: usize, time: Duration) -> Round {
    let forkers = Forkers::for_time(forkers, time);
    let (forks, events, cpu) = if listener == Listener::Nobody {
        (forkers.run(), 0, Duration::ZERO)
    } else {
        let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let listening = scope.spawn(|| match listener {
                Listener::Batches(coalesce) => listen(coalesce, &ready, &stop),
                _ => listen_with_peer(&ready, &stop),
            });
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

/// How often a listener looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(100);

/// When a listener stops: once nothing comes any more, or soon after it was told to if the rest of the
/// machine goes on.
struct Stop<'a> {
    told: &'a AtomicBool,
    since: Option<Instant>,
}

impl<'a> Stop<'a> {
    fn new(told: &'a AtomicBool) -> Self {
        Self { told, since: None }
    }

    fn is_due(&mut self, quiet: bool) -> bool {
        self.told.load(Relaxed)
            && (quiet || self.since.get_or_insert_with(Instant::now).elapsed() > 3 * GLANCE)
    }
}

fn listen(coalesce: Duration, ready: &AtomicBool, stop: &AtomicBool) -> (u64, Duration) {
    let builder = ProcConnector::builder().coalesce(coalesce);
    let mut connector = builder.open().expect("a live connector");
    ready.store(true, Relaxed);
    let (start, mut events, mut sum) = (thread_time(), 0, 0);
    let mut stop = Stop::new(stop);
    loop {
        let before = events;
        for received in connector.recv_batch_timeout(GLANCE).expect("a batch") {
            if let Received::Event(event) = received {
                events += 1;
                sum ^= event.timestamp_ns();
            }
        }
        if stop.is_due(events == before) {
            std::hint::black_box(sum);
            return (events, thread_time().saturating_sub(start));
        }
    }
}

fn listen_with_peer(ready: &AtomicBool, stop: &AtomicBool) -> (u64, Duration) {
    let connector = proc_connector_peer::ProcConnector::new().expect("0.3.0 opens");
    ready.store(true, Relaxed);
    let (start, mut events, mut buffer) = (thread_time(), 0, [0; 4096]);
    let mut stop = Stop::new(stop);
    loop {
        let received = connector.recv_timeout(&mut buffer, GLANCE);
        events += u64::from(matches!(received, Ok(Some(_))));
        // An error is an overrun, which it does not count.
        if stop.is_due(matches!(received, Ok(None))) {
            return (events, thread_time().saturating_sub(start));
        }
    }
}

/// The time from the kernel's time stamp to the reader, for an event after a quiet time.
fn latency(times: usize) {
    let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
    let mut connector = ProcConnector::builder().filter(own).open().expect("a live connector");
    let peer = proc_connector_peer::ProcConnector::new().expect("0.3.0 opens");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    for _ in 0..times {
        let over = Instant::now() + GLANCE;
        while connector.recv_batch_timeout(Duration::ZERO).expect("a batch").count() > 0
            && Instant::now() < over
        {}
        ours.extend(after_a_pause(|delays| {
            for received in connector.recv_batch_timeout(GLANCE).expect("a batch") {
                if let Received::Event(event) = received {
                    if let Payload::Fork(fork) = event.payload() {
                        delays.note(fork.child_tgid(), event.timestamp_ns());
                    }
                }
            }
        }));
        let over = Instant::now() + GLANCE;
        while !matches!(peer.recv_timeout(&mut buffer, Duration::ZERO), Ok(None))
            && Instant::now() < over
        {}
        theirs.extend(after_a_pause(|delays| {
            let event = peer.recv_timeout(&mut buffer, GLANCE);
            if let Ok(Some(PeerEvent::Fork { child_tgid, timestamp_ns, .. })) = event {
                delays.note(child_tgid, timestamp_ns);
            }
        }));
    }
    println!("\n{:<28} {:>12} {:>12}", "first event after idle", "p50 us", "p99 us");
    for (name, mut figures) in [("recv_batch, defaults", ours), ("0.3.0, recv", theirs)] {
        figures.sort_by(f64::total_cmp);
        let (middle, late) = (figures[figures.len() / 2], figures[figures.len() * 99 / 100]);
        println!("{name:<28} {middle:>12.1} {late:>12.1}");
    }
}

/// How long after they happened forks of this process were told, in microseconds.
#[derive(Default)]
struct Delays(Vec<f64>);

impl Delays {
    fn note(&mut self, child_tgid: u32, timestamp_ns: u64) {
        if child_tgid == std::process::id() {
            let delay = monotonic().saturating_sub(Duration::from_nanos(timestamp_ns));
            self.0.push(delay.as_secs_f64() * 1e6);
        }
    }
}

/// Has a thread made after a pause that a thread made before it sleeps through, and gives the delay
/// of the second; `None` if the listener lost it.
fn after_a_pause(mut receive: impl FnMut(&mut Delays)) -> Option<f64> {
    let sleeper = thread::spawn(|| {
        thread::sleep(Duration::from_millis(20));
        thread::spawn(|| {}).join().expect("a thread that ends");
    });
    let mut delays = Delays::default();
    let start = Instant::now();
    while delays.0.len() < 2 && start.elapsed() < 10 * GLANCE {
        receive(&mut delays);
    }
    sleeper.join().expect("a thread that ends");
    delays.0.get(1).copied()
}
