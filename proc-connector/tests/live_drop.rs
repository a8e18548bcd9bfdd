//! Leaving: once the last listener is gone, the kernel sends nothing any more.
//!
//! Measured with a socket that is bound to the group and asks for nothing: it hears events for as
//! long as the kernel counts a listener, whoever that is. So these tests tell something only while
//! nobody else on the machine listens, and have a binary to themselves.

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
    // Before anything here has listened.
    let silent =
        RawSocket::try_bound().is_some_and(|ear| events_have_stopped(&ear, &mut Vec::new()));
    SILENT_AT_FIRST.store(silent, Relaxed);
    common::main(&[], &tests)
}

static SILENT_AT_FIRST: AtomicBool = AtomicBool::new(false);

/// Whether all listeners that this machine ever had were these tests, and none was killed: it is
/// one of `cargo xtask vm-test`.
fn skip_with_other_listeners() -> bool {
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
            // Without the message that a panic would print.
            resume_unwind(Box::new(()));
        });
        assert!(panicked.join().is_err());
        0
    });
}

/// More descriptors than a connector has.
const ROOMS: u64 = 16;

fn a_failed_open_stops_the_events() {
    assert_events_stop(|connector| {
        drop(connector);
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        let file = File::open("/proc/self/stat").expect("/proc is mounted");
        let next = u64::try_from(file.as_raw_fd()).expect("a descriptor");
        drop(file);
        let mut opened = 0_u64;
        // Room for none of the descriptors that a connector has, for some, for all.
        for room in 0..ROOMS {
            setrlimit(Resource::RLIMIT_NOFILE, next + room, hard).expect("a lower limit");
            opened += u64::from(builder().open().is_ok());
        }
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit of before");
        assert!((1..ROOMS).contains(&opened), "{opened} of {ROOMS} were opened");
        usize::try_from(opened).expect("a few")
    });
}

/// Opens a connector, lets `leave` have it, and listens whether the kernel still sends events.
/// `leave` says how many requests it made that the kernel acknowledges.
fn assert_events_stop(mut leave: impl FnMut(ProcConnector) -> usize) {
    let deadline = Deadline::new();
    while deadline.left().is_some() {
        let ear = RawSocket::bound();
        if !events_have_stopped(&ear, &mut Vec::new()) {
            if RawSocket::count_bound() == 1 {
                let left_here = SILENT_AT_FIRST.load(Relaxed) || skip_with_other_listeners();
                assert!(!left_here, "a connector has left the kernel sending events");
                skip("a listener that was killed has left the kernel sending events");
            }
            continue;
        }
        let connector = open_live();
        load::threads(1);
        let mut heard = ear.drain();
        assert!(heard.iter().any(|stamp| stamp.what != 0), "it hears what others ask for");
        let requests = 1 + leave(connector);
        if events_have_stopped(&ear, &mut heard) {
            return;
        }
        // Whoever came meanwhile was acknowledged as well, and may be the one who listens.
        let acknowledged = heard.iter().filter(|stamp| stamp.what == 0).count();
        assert!(acknowledged > requests, "the kernel goes on sending events");
    }
    skip("somebody else listens to process events");
}

/// Whether the kernel sends nothing about a fork, which it would do before the fork returns.
///
/// Asked a few times, for what was under way before; what was heard instead goes to `heard`.
fn events_have_stopped(ear: &RawSocket, heard: &mut Vec<Stamp>) -> bool {
    (0..10).any(|_| {
        heard.extend(ear.drain());
        load::threads(1);
        let news = ear.drain();
        let silent = news.is_empty();
        heard.extend(news);
        silent
    })
}
