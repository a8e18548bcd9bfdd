//! The maximum time that an event is unread, for every way to wait. Events arrive about every 50
//! us: as often as a reader goes to sleep and wakes up, so that lost wake-ups become visible.
//!
//! `cargo bench --bench waiting` in this directory; needs the connector and `CAP_BPF`. Takes a
//! minute; `PROC_CONNECTOR_BENCH_SECONDS` sets the seconds for each of the twelve rows.

#![allow(clippy::needless_pass_by_value, reason = "one way to wait needs to own the connector")]

mod support;

use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::{Error, Payload, ProcConnector, ProcEvent, Received, Transport};
use support::{Table, monotonic};
use tokio::io::unix::AsyncFd;

/// The interval between two threads; each thread causes two events.
const SPACING: Duration = Duration::from_micros(100);

/// The time after which an unread event counts as a lost wake-up.
const TOO_LONG: Duration = Duration::from_secs(1);

fn main() {
    let seconds = std::env::var("PROC_CONNECTOR_BENCH_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let ways: [(&str, Way); 6] = [
        ("recv by four threads", four_threads),
        ("recv to WouldBlock, poll", drain_and_poll),
        ("recv_timeout(0) to None, poll", zero_timeout_and_poll),
        ("one recv for each poll", one_for_each_poll),
        ("one of recv_batch for each poll", one_of_a_batch_for_each_poll),
        ("AsyncFd, one recv a readiness", async_fd),
    ];
    let mut table =
        Table::new(["waiting", "transport", "events", "median us", "longest ms", "over 1 s"]);
    for (name, way) in ways {
        for transport in [Transport::Socket, Transport::Ring] {
            let builder = ProcConnector::builder().transport(transport);
            let connector = builder.receive_buffer_events(160_000).open();
            let run = Run::default();
            thread::scope(|scope| {
                scope.spawn(|| run.make_events(Duration::from_secs(seconds)));
                way(connector.expect("a live connector"), &run);
            });
            let mut waits = run.waits.into_inner().expect("no panic");
            waits.sort_unstable();
            let longest = waits.last().copied().unwrap_or_default();
            table.row([
                name.to_owned(),
                format!("{transport:?}").to_lowercase(),
                waits.len().to_string(),
                waits.get(waits.len() / 2).copied().unwrap_or_default().as_micros().to_string(),
                format!("{:.1}", longest.as_secs_f64() * 1e3),
                waits.iter().filter(|&&wait| wait > TOO_LONG).count().to_string(),
            ]);
        }
    }
    table.print();
}

/// A way to wait for events and to receive them.
type Way = fn(ProcConnector, &Run);

/// The measurements of one row.
#[derive(Default)]
struct Run {
    /// How long each event was unread.
    waits: Mutex<Vec<Duration>>,
    is_over: AtomicBool,
}

impl Run {
    fn make_events(&self, time: Duration) {
        let start = Instant::now();
        let mut made = 0;
        while start.elapsed() < time {
            thread::spawn(|| {}).join().expect("a thread that ends");
            made += 1;
            // The interval varies, so that events meet every moment of a wait.
            thread::sleep(SPACING * (made % 7 + 1) / 4);
        }
        self.is_over.store(true, Relaxed);
        // These events wake the readers, which then notice the end.
        for _ in 0..200 {
            thread::spawn(|| {}).join().expect("a thread that ends");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    fn note(&self, event: &ProcEvent) {
        if let ProcEvent::Fork { timestamp_ns, .. } | ProcEvent::Exit { timestamp_ns, .. } = *event
        {
            self.note_time(timestamp_ns);
        }
    }

    fn note_time(&self, timestamp_ns: u64) {
        let wait = monotonic().saturating_sub(Duration::from_nanos(timestamp_ns));
        self.waits.lock().expect("no panic").push(wait);
    }
}

fn four_threads(connector: ProcConnector, run: &Run) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !run.is_over() {
                    run.note(&connector.recv(&mut [0; 128]).expect("an event"));
                }
            });
        }
    });
}

/// Waits until the descriptor is readable, at most for a time that counts as a lost wake-up, so
/// that the bench always ends.
fn wait(connector: &ProcConnector) {
    let mut fds = [PollFd::new(connector.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(5_000u16)).expect("a poll");
}

fn drain_and_poll(connector: ProcConnector, run: &Run) {
    connector.set_nonblocking().expect("a socket option");
    while !run.is_over() {
        match connector.recv(&mut [0; 128]) {
            Ok(event) => run.note(&event),
            Err(Error::WouldBlock) => wait(&connector),
            Err(error) => panic!("{error}"),
        }
    }
}

fn zero_timeout_and_poll(connector: ProcConnector, run: &Run) {
    while !run.is_over() {
        match connector.recv_timeout(&mut [0; 128], Duration::ZERO).expect("no error") {
            Some(event) => run.note(&event),
            None => wait(&connector),
        }
    }
}

fn one_for_each_poll(connector: ProcConnector, run: &Run) {
    connector.set_nonblocking().expect("a socket option");
    while !run.is_over() {
        wait(&connector);
        match connector.recv(&mut [0; 128]) {
            Ok(event) => run.note(&event),
            Err(Error::WouldBlock) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn one_of_a_batch_for_each_poll(mut connector: ProcConnector, run: &Run) {
    while !run.is_over() {
        wait(&connector);
        let mut batch = connector.recv_batch_timeout(Duration::ZERO).expect("a batch");
        if let Some(Received::Event(event)) = batch.next() {
            if matches!(event.payload(), Payload::Fork(_) | Payload::Exit(_)) {
                run.note_time(event.timestamp_ns());
            }
        }
    }
}

fn async_fd(connector: ProcConnector, run: &Run) {
    connector.set_nonblocking().expect("a socket option");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.expect("a runtime").block_on(async {
        #[allow(deprecated, reason = "the constructor that programs of 0.1.5 use")]
        let connector = AsyncFd::new(connector).expect("a reactor");
        while !run.is_over() {
            let mut readable = connector.readable().await.expect("readiness");
            match readable.get_inner().recv(&mut [0; 128]) {
                Ok(event) => run.note(&event),
                Err(Error::WouldBlock) => readable.clear_ready(),
                Err(error) => panic!("{error}"),
            }
        }
    });
}
