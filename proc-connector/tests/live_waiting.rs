//! Waiting: no event is left unread while a reader sleeps, for every way to wait and any number of
//! readers.

mod common;

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::wire::EVENT_LEN;
use common::{Deadline, PATIENCE, builder, load, named, open_live};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use proc_connector::{Error, NoRing, Payload, ProcConnector, ProcEvent, Received, Transport};
use tokio::io::unix::AsyncFd;

fn main() -> ExitCode {
    let tests = named![
        a_poll_after_would_block_wakes_for_the_next_event,
        a_poll_after_a_zero_timeout_wakes_for_the_next_event,
        a_poll_after_a_timeout_wakes_for_the_next_event,
        a_poll_before_the_first_receive_wakes,
        one_event_per_poll_receives_all,
        one_event_of_a_batch_per_poll_receives_all,
        a_dropped_batch_keeps_the_descriptor_readable,
        a_loss_at_the_end_of_the_queue_is_readable,
        async_fd_with_one_receive_per_readiness_receives_all,
        async_fd_that_clears_readiness_after_each_event_receives_all,
        async_fd_with_a_batch_per_readiness_receives_all,
        a_thread_that_stops_receiving_lets_others_wake_up,
        four_threads_in_recv_receive_all,
    ];
    common::main_with(&[], &named![new_uses_the_socket_as_0_1_5_did], &tests)
}

/// Exceeds any wake-up latency, on a busy machine too.
const LONG: PollTimeout = PollTimeout::MAX;

/// Whether the descriptor becomes readable within a time.
fn is_readable(connector: &ProcConnector, timeout: impl Into<PollTimeout>) -> bool {
    let mut fds = [PollFd::new(connector.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).expect("a poll") > 0
}

/// Waits for the descriptor, and panics if it does not become readable.
fn wait(connector: &ProcConnector, what: &str) {
    let deadline = Deadline::new();
    while let Some(left) = deadline.left() {
        let left = PollTimeout::try_from(left).unwrap_or(LONG);
        if is_readable(connector, left) {
            return;
        }
    }
    panic!("no wake-up: {what}");
}

fn exited(event: &ProcEvent) -> Option<u32> {
    if let ProcEvent::Exit { pid, .. } = *event { Some(pid) } else { None }
}

/// Creates a thread shortly after the caller began to wait, `rounds` times.
fn wake_by(receive: fn(&ProcConnector, &mut [u8])) {
    let connector = open_live();
    let mut buffer = [0; EVENT_LEN];
    for round in 0..200 {
        receive(&connector, &mut buffer);
        let maker = thread::spawn(move || {
            // Sometimes before the wait begins, sometimes after.
            thread::sleep(Duration::from_micros(round % 20 * 20));
            load::threads(1)
        });
        wait(&connector, &format!("round {round}"));
        maker.join().expect("a thread");
    }
}

fn a_poll_after_would_block_wakes_for_the_next_event() {
    wake_by(|connector, buffer| {
        connector.set_nonblocking().expect("a socket option");
        loop {
            match connector.recv(buffer) {
                Ok(_) => {}
                Err(Error::WouldBlock) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
}

fn a_poll_after_a_zero_timeout_wakes_for_the_next_event() {
    wake_by(
        |connector, buffer| {
            while connector.recv_timeout(buffer, Duration::ZERO).expect("no error").is_some() {}
        },
    );
}

fn a_poll_after_a_timeout_wakes_for_the_next_event() {
    wake_by(|connector, buffer| {
        let timeout = Duration::from_micros(300);
        while connector.recv_raw_timeout(buffer, timeout).expect("no error").is_some() {}
    });
}

fn a_poll_before_the_first_receive_wakes() {
    for _ in 0..20 {
        let connector = open_live();
        load::threads(1);
        wait(&connector, "an event came before the first receive");
    }
}

/// Calls `receive` each time the descriptor is readable, until every exit was received once.
fn read_all(connector: &mut ProcConnector, receive: impl Fn(&mut ProcConnector, &mut Vec<u32>)) {
    for count in [1, 2, 30, 500] {
        let threads = load::threads(count);
        let mut seen = Vec::new();
        let mut missing: HashSet<u32> = threads.iter().copied().collect();
        while !missing.is_empty() {
            wait(connector, &format!("{} of {count} exits are unread", missing.len()));
            seen.clear();
            receive(connector, &mut seen);
            for pid in &seen {
                missing.remove(pid);
            }
        }
    }
}

fn one_event_per_poll_receives_all() {
    let mut connector = open_live();
    connector.set_nonblocking().expect("a socket option");
    read_all(&mut connector, |connector, seen| match connector.recv(&mut [0; EVENT_LEN]) {
        Ok(event) => seen.extend(exited(&event)),
        // An acknowledgement of another listener.
        Err(Error::WouldBlock) => {}
        Err(error) => panic!("{error}"),
    });
}

fn one_event_of_a_batch_per_poll_receives_all() {
    read_all(&mut open_live(), |connector, seen| {
        let mut batch = connector.recv_batch_timeout(Duration::ZERO).expect("a batch");
        match batch.next() {
            Some(Received::Event(event)) => {
                if let Payload::Exit(exit) = event.payload() {
                    seen.push(exit.process_pid());
                }
            }
            Some(Received::Lost(lost)) => panic!("lost {lost}"),
            None => {}
        }
    });
}

fn a_dropped_batch_keeps_the_descriptor_readable() {
    let mut connector = open_live();
    load::threads(1);
    wait(&connector, "the first time");
    for _ in 0..3 {
        connector.recv_batch().expect("a batch");
        assert!(is_readable(&connector, PollTimeout::ZERO), "two events are unread");
    }
}

fn a_loss_at_the_end_of_the_queue_is_readable() {
    let mut connector = builder().receive_buffer_events(200).open().expect("a live connector");
    let _ = connector.as_fd();
    load::threads(2_000);
    let (mut events, mut lost) = (0, 0);
    let deadline = Deadline::new();
    while lost == 0 {
        assert!(deadline.left().is_some(), "{events} events and no loss");
        // Immediately: the next event of another process would make it readable again.
        let readable = is_readable(&connector, PollTimeout::ZERO);
        assert!(readable, "{events} events were read, and the loss was not");
        let mut batch = connector.recv_batch_timeout(Duration::ZERO).expect("a batch");
        match batch.next() {
            Some(Received::Event(_)) => events += 1,
            Some(Received::Lost(found)) => lost += found.count.expect("a count"),
            None => {}
        }
    }
    assert!(events > 0, "the queue held some");
}

/// Runs a test on tokio, with a time limit.
fn on_tokio(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        tokio::time::timeout(PATIENCE, test).await.expect("no wake-up was missed");
    });
}

#[allow(deprecated, reason = "the constructor that programs of 0.1.5 use")]
fn on_reactor(connector: ProcConnector) -> std::io::Result<AsyncFd<ProcConnector>> {
    AsyncFd::new(connector)
}

fn async_fd_with_one_receive_per_readiness_receives_all() {
    let connector = open_live();
    connector.set_nonblocking().expect("a socket option");
    on_tokio(async {
        let connector = on_reactor(connector).expect("a reactor");
        for count in [1, 2, 300] {
            let mut missing: HashSet<u32> = load::threads(count).into_iter().collect();
            while !missing.is_empty() {
                let mut readable = connector.readable().await.expect("readiness");
                match readable.get_inner().recv(&mut [0; EVENT_LEN]) {
                    Ok(event) => {
                        exited(&event).map(|pid| missing.remove(&pid));
                    }
                    Err(Error::WouldBlock) => readable.clear_ready(),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
}

/// An edge-triggered caller that does not read everything gets a new edge for each later event, as
/// with any socket.
fn async_fd_that_clears_readiness_after_each_event_receives_all() {
    let connector = open_live();
    connector.set_nonblocking().expect("a socket option");
    on_tokio(async {
        let connector = on_reactor(connector).expect("a reactor");
        for _ in 0..200 {
            load::threads(1);
            let mut readable = connector.readable().await.expect("readiness");
            match readable.get_inner().recv(&mut [0; EVENT_LEN]) {
                Ok(_) | Err(Error::WouldBlock) => readable.clear_ready(),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

fn async_fd_with_a_batch_per_readiness_receives_all() {
    let connector = open_live();
    on_tokio(async {
        let mut connector = on_reactor(connector).expect("a reactor");
        for _ in 0..200 {
            load::threads(1);
            let mut readable = connector.readable_mut().await.expect("readiness");
            let batch = readable.get_inner_mut().recv_batch_timeout(Duration::ZERO);
            batch.expect("a batch").for_each(drop);
            readable.clear_ready();
        }
    });
}

fn a_thread_that_stops_receiving_lets_others_wake_up() {
    let connector = open_live();
    let deadline = Deadline::new();
    for round in 0..300 {
        if deadline.left().is_none() {
            break;
        }
        let received = AtomicUsize::new(0);
        let (done, all_done) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (done, received, connector) = (done.clone(), &received, &connector);
                scope.spawn(move || {
                    connector.recv_raw(&mut [0; EVENT_LEN]).expect("a datagram");
                    received.fetch_add(1, Relaxed);
                    done.send(()).expect("it waits");
                });
            }
            // Two events each, more than the readers receive, sent as they begin to wait.
            for _ in 0..3 {
                load::threads(1);
            }
            for _ in 0..2 {
                if all_done.recv_timeout(PATIENCE).is_err() {
                    let received = received.load(Relaxed);
                    eprintln!("round {round}: {received} of 2 receives returned");
                    std::process::exit(1);
                }
            }
        });
    }
}

fn four_threads_in_recv_receive_all() {
    let connector = open_live();
    let count = 2_000;
    let exits = AtomicUsize::new(0);
    let longest = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [(); 4].map(|()| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let event = connector.recv(&mut [0; EVENT_LEN]).expect("an event");
                    if exited(&event).is_some() {
                        exits.fetch_add(1, Relaxed);
                    }
                }
            })
        });
        let deadline = Deadline::new();
        for made in 1..=count {
            let start = Instant::now();
            load::threads(1);
            // Each exit is received before the next thread is created, so no later event hides a
            // sleeping reader.
            while exits.load(Relaxed) < made {
                if deadline.left().is_none() {
                    eprintln!("{} of {made} exits were received", exits.load(Relaxed));
                    std::process::exit(1);
                }
                thread::yield_now();
            }
            let waited = usize::try_from(start.elapsed().as_micros()).unwrap_or(usize::MAX);
            longest.fetch_max(waited, Relaxed);
        }
        done.store(true, Relaxed);
        // These events end the last receives.
        while !readers.iter().all(thread::ScopedJoinHandle::is_finished) {
            load::threads(1);
        }
    });
    println!("longest wait {} us", longest.load(Relaxed));
}

fn new_uses_the_socket_as_0_1_5_did() {
    let Ok(connector) = ProcConnector::new() else { return };
    let stats = connector.stats();
    assert_eq!(stats.transport, Transport::Socket);
    assert_eq!(stats.no_ring, Some(NoRing::Compatibility));
    let kind = getsockopt(&connector.as_fd(), sockopt::SockType);
    assert_eq!(kind, Ok(SockType::Datagram));
    let is_nonblocking = || {
        let flags = fcntl(connector.as_fd(), FcntlArg::F_GETFL).expect("flags");
        OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK)
    };
    assert!(!is_nonblocking());
    connector.set_nonblocking().expect("a socket option");
    assert!(is_nonblocking());
    assert_eq!(connector.as_raw_fd(), connector.as_fd().as_raw_fd());
}
