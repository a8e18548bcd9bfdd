//! Once the last listener is gone, the kernel stops sending events.
//!
//! This is measured with a socket that is bound to the group without a request to listen: it
//! receives events while the kernel counts any listener. These tests therefore only work if no
//! other listener runs on the machine, and are a test binary of their own.

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use common::raw::{RawSocket, Stamp};
use common::{Deadline, builder, load, named, open_live, skip};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proc_connector::ProcConnector;

fn main() -> ExitCode {
    let tests = named![
        dropping_a_connector_stops_the_events,
        dropping_after_two_subscriptions_stops_the_events,
        unsubscribing_stops_the_events_immediately,
        a_panic_stops_the_events,
        a_failed_open_stops_the_events,
    ];
    let silent = RawSocket::try_bound()
        .is_some_and(|listener| events_have_stopped(&listener, &mut Vec::new()));
    SILENT_AT_FIRST.store(silent, Relaxed);
    common::main(&[], &tests)
}

/// Whether the kernel sent no events before these tests.
static SILENT_AT_FIRST: AtomicBool = AtomicBool::new(false);

/// Whether no other program has listened on this machine: it was booted by `cargo xtask vm-test`.
fn is_test_machine() -> bool {
    Path::new("/plan").is_file()
}

fn dropping_a_connector_stops_the_events() {
    assert_events_stop(|connector| {
        drop(connector);
        0
    });
}

fn dropping_after_two_subscriptions_stops_the_events() {
    assert_events_stop(|connector| {
        connector.subscribe().expect("a request sent");
        connector.subscribe().expect("a request sent");
        2
    });
    assert_events_stop(|connector| {
        connector.unsubscribe().expect("a request sent");
        connector.subscribe().expect("a request sent");
        1
    });
}

fn unsubscribing_stops_the_events_immediately() {
    let mut kept = Vec::new();
    assert_events_stop(|connector| {
        connector.unsubscribe().expect("a request sent");
        kept.push(connector);
        0
    });
}

fn a_panic_stops_the_events() {
    assert_events_stop(|connector| {
        let panicked = thread::spawn(move || {
            let _connector = connector;
            // Unlike `panic!`, this prints no message.
            resume_unwind(Box::new(()));
        });
        assert!(panicked.join().is_err());
        0
    });
}

/// Exceeds the number of descriptors of a connector.
const DESCRIPTORS: u64 = 16;

fn a_failed_open_stops_the_events() {
    assert_events_stop(|connector| {
        drop(connector);
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        let file = File::open("/proc/self/stat").expect("/proc is mounted");
        let next = u64::try_from(file.as_raw_fd()).expect("a descriptor");
        drop(file);
        let mut opened = 0_u64;
        // A limit that permits none, some, or all of a connector's descriptors.
        for limit in 0..DESCRIPTORS {
            setrlimit(Resource::RLIMIT_NOFILE, next + limit, hard).expect("a lower limit");
            opened += u64::from(builder().open().is_ok());
        }
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the previous limit");
        assert!((1..DESCRIPTORS).contains(&opened), "{opened} of {DESCRIPTORS} were opened");
        usize::try_from(opened).expect("a few")
    });
}

/// Opens a connector, passes it to `leave`, and asserts that the kernel then sends no events.
/// `leave` returns the number of its requests that the kernel acknowledged.
fn assert_events_stop(mut leave: impl FnMut(ProcConnector) -> usize) {
    let deadline = Deadline::new();
    while deadline.left().is_some() {
        let listener = RawSocket::bound();
        if !events_have_stopped(&listener, &mut Vec::new()) {
            if RawSocket::count_bound() == 1 {
                let left_here = SILENT_AT_FIRST.load(Relaxed) || is_test_machine();
                assert!(!left_here, "a connector has left the kernel sending events");
                skip("a listener that was killed has left the kernel sending events");
            }
            continue;
        }
        let connector = open_live();
        load::threads(1);
        let mut observed = listener.drain();
        assert!(
            observed.iter().any(|stamp| stamp.what != 0),
            "a bound socket receives the events of other listeners"
        );
        let requests = 1 + leave(connector);
        if events_have_stopped(&listener, &mut observed) {
            return;
        }
        // Another listener that appeared in the meantime was acknowledged too, and may still
        // listen.
        let acknowledged = observed.iter().filter(|stamp| stamp.what == 0).count();
        assert!(acknowledged > requests, "the kernel continues to send events");
    }
    skip("another listener is running");
}

/// Whether the kernel sends no event about a fork. It would send the event before the fork returns.
///
/// Several forks are tried, because earlier events may still be queued. Received events are
/// appended to `observed`.
fn events_have_stopped(listener: &RawSocket, observed: &mut Vec<Stamp>) -> bool {
    (0..10).any(|_| {
        observed.extend(listener.drain());
        load::threads(1);
        let new = listener.drain();
        let silent = new.is_empty();
        observed.extend(new);
        silent
    })
}
