//! Receiving in batches: everything once, in order, and an end when one is wanted.

mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Witnessed};
use common::tape::{Got, Tape};
use common::{CAP_NET_ADMIN, Deadline, builder, live, load, named, need};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use proc_connector::{Error, EventMask, Filter, ProcConnector};
use rustix::io::ioctl_fionbio;
use signal_hook::consts::SIGUSR1;

fn main() -> ExitCode {
    let tests = named![
        the_stream_is_what_was_sent_and_in_order,
        what_a_loop_leaves_behind_comes_with_the_next_batch,
        a_batch_can_be_taken_apart_one_by_one,
        with_no_time_to_wait_there_is_an_empty_batch,
        a_timeout_that_never_ends_is_fine,
        a_nonblocking_connector_would_block,
        a_wait_for_events_alone_ends_with_one,
        the_first_event_comes_at_once,
        who_is_woken_takes_nothing_from_the_others,
        a_handle_ends_a_blocked_receive,
        after_a_shutdown_the_rest_can_be_drained,
        a_storm_of_signals_costs_nothing,
        the_totals_are_the_sum_of_what_came,
    ];
    common::main(&[], &tests)
}

fn the_stream_is_what_was_sent_and_in_order() {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connector = live();
    let mut tape = Tape::default();
    let mut threads = Vec::new();
    // More than a batch each, and on every CPU.
    for cpu in load::cpus().into_iter().cycle().take(8) {
        threads.push(load::thread_on(cpu));
        threads.extend(load::threads(200));
        // Some of it is read in between.
        tape.record(&mut connector, Duration::from_millis(1));
    }
    tape.record_exits(&mut connector, &threads);
    tape.assert_is_all_of(&witness, &mut witnessed);
}

/// Reads at most `limit` of each batch until a new thread's exit has come.
fn read_piecemeal(limit: impl Fn(usize) -> usize) {
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connector = live();
    let threads = load::threads(100);
    let mut tape = Tape::default();
    for turn in 0..60 {
        let batch = connector.recv_batch_timeout(Duration::from_millis(1)).expect("a batch");
        for got in batch.take(limit(turn)) {
            tape.got.push(got.into());
        }
    }
    tape.record_exits(&mut connector, &threads);
    tape.assert_is_all_of(&witness, &mut witnessed);
}

fn what_a_loop_leaves_behind_comes_with_the_next_batch() {
    read_piecemeal(|turn| turn % 7);
}

fn a_batch_can_be_taken_apart_one_by_one() {
    read_piecemeal(|_| 1);
}

fn with_no_time_to_wait_there_is_an_empty_batch() {
    let mut connector = live();
    let deadline = Deadline::new();
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
        // The machine may do something all the time, though not faster than it can be read.
        while connector.recv_batch_timeout(timeout).expect("a batch").count() > 0 {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
    }
}

fn a_timeout_that_never_ends_is_fine() {
    let mut connector = live();
    let thread = load::threads(1)[0];
    let mut tape = Tape::default();
    while !tape.has_exit_of(thread) {
        tape.record(&mut connector, Duration::MAX);
    }
}

/// Takes batches until there is nothing more, as a non-blocking connector says it.
fn drain_nonblocking(connector: &mut ProcConnector, tape: &mut Tape) {
    let deadline = Deadline::new();
    loop {
        assert!(deadline.left().is_some(), "the machine is too busy");
        match connector.recv_batch() {
            Ok(batch) => tape.got.extend(batch.map(Got::from)),
            Err(Error::WouldBlock) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn a_nonblocking_connector_would_block() {
    let built = builder().nonblocking(true).open().expect("a live connector");
    let set = live();
    set.set_nonblocking().expect("a socket option");
    for mut connector in [built, set] {
        let mut tape = Tape::default();
        drain_nonblocking(&mut connector, &mut tape);
        let threads = load::threads(2);
        let deadline = Deadline::new();
        while !tape.has_exits_of(&threads) {
            assert!(deadline.left().is_some(), "{tape:?}");
            drain_nonblocking(&mut connector, &mut tape);
        }
        tape.assert_has(&threads);
        // With a timeout there is an empty batch instead, and no wait for it.
        while connector.recv_batch_timeout(Duration::MAX).expect("a batch").count() > 0 {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
    }
}

fn a_wait_for_events_alone_ends_with_one() {
    // Whoever has the descriptor can change its mode: the wait stays one.
    for nonblocking in [false, true] {
        let mut connector = live();
        ioctl_fionbio(&connector, nonblocking).expect("a descriptor");
        let mut tape = Tape::default();
        while tape.record(&mut connector, Duration::from_millis(2)) {}
        let later = thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            load::threads(1)
        });
        // Its own exit comes after that, so there is always something to come.
        while !later.is_finished() {
            tape.got.extend(connector.recv_batch().expect("a batch").map(Got::from));
        }
        tape.record_exits(&mut connector, &later.join().expect("a thread that ends"));
        assert!(connector.stats().wake_ups > 0);
    }
}

fn the_first_event_comes_at_once() {
    let this = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
    let builder = builder().filter(this).coalesce(Duration::from_secs(3600));
    let (tell, told) = mpsc::channel();
    let later = thread::spawn(move || {
        told.recv().expect("somebody tells it");
        thread::sleep(Duration::from_millis(50));
        load::threads(1)
    });
    let deadline = Deadline::new();
    let mut connector = loop {
        assert!(deadline.left().is_some(), "something happens all the time");
        let mut connector = builder.open().expect("a live connector");
        // The exit of a thread that has long been joined may come late.
        let late = connector.recv_batch_timeout(Duration::from_millis(20)).expect("a batch");
        if late.count() == 0 {
            break connector;
        }
    };
    tell.send(()).expect("it waits");
    let first = connector.recv_batch_timeout(Duration::from_secs(10)).expect("a batch");
    assert!(first.count() > 0);
    assert!(connector.stats().wake_ups > 0, "it slept though nothing had come");
    later.join().expect("a thread that ends");
}

fn who_is_woken_takes_nothing_from_the_others() {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connectors = [live(), live(), live()];
    let mut tapes: [Tape; 3] = Default::default();
    for _ in 0..20 {
        // So that all of them wait, by the time the next event comes.
        for (tape, connector) in tapes.iter_mut().zip(&mut connectors) {
            while tape.record(connector, Duration::from_millis(2)) {}
        }
        let threads = load::threads(1);
        for (tape, connector) in tapes.iter_mut().zip(&mut connectors) {
            tape.record_exits(connector, &threads);
        }
    }
    for (tape, connector) in tapes.iter().zip(&connectors) {
        tape.assert_is_all_of(&witness, &mut witnessed);
        assert_eq!(connector.stats().refused, 0);
    }
}

fn a_handle_ends_a_blocked_receive() {
    let mut connector = live();
    // Since Linux 6.6 this one now hears nothing, so that nothing else ends its wait.
    connector.unsubscribe().expect("a request sent");
    let shutdown = connector.shutdown_handle();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        for timeout in [None, Some(Duration::MAX)] {
            tell.send(()).expect("somebody waits");
            let ended = loop {
                let received = match timeout {
                    None => connector.recv_batch(),
                    Some(timeout) => connector.recv_batch_timeout(timeout),
                };
                match received {
                    Ok(batch) => drop(batch.count()),
                    Err(error) => break error,
                }
            };
            assert!(matches!(ended, Error::Shutdown), "{ended:?}");
        }
        tell.send(()).expect("somebody waits");
    });
    told.recv().expect("it begins");
    // Most likely it waits by now; the shutdown must end it whether it does or not, and each later
    // wait too.
    thread::sleep(Duration::from_millis(5));
    shutdown.clone().shutdown().expect("one write");
    for _ in 0..2 {
        let ended = told.recv_timeout(Duration::from_secs(10));
        ended.expect("the shutdown ends the wait");
    }
    reader.join().expect("the reader's own assertions hold");
    // The handle outlives the connector.
    shutdown.shutdown().expect("one write");
}

fn after_a_shutdown_the_rest_can_be_drained() {
    let mut connector = live();
    let threads = load::threads(5);
    connector.shutdown_handle().shutdown().expect("one write");
    let ended = connector.recv_batch().err();
    assert!(matches!(ended, Some(Error::Shutdown)), "{ended:?}");
    let mut tape = Tape::default();
    let deadline = Deadline::new();
    while !tape.has_exits_of(&threads) {
        assert!(deadline.left().is_some(), "{tape:?}");
        tape.record(&mut connector, Duration::ZERO);
    }
    tape.assert_has(&threads);
}

fn a_storm_of_signals_costs_nothing() {
    const SIGNALS: usize = 10_000;
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let caught = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGUSR1, Arc::clone(&caught)).expect("a handler");
    let mut connector = live();
    let mut tape = Tape::default();
    let reader = pthread_self();
    let stormy = AtomicBool::new(true);
    let threads = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..SIGNALS {
                pthread_kill(reader, Signal::SIGUSR1).expect("the reader lives");
                // So that they do not all count as one.
                while !caught.swap(false, Relaxed) {
                    thread::yield_now();
                }
            }
            stormy.store(false, Relaxed);
        });
        let load = scope.spawn(|| {
            let mut threads = Vec::new();
            while stormy.load(Relaxed) && threads.len() < 20_000 {
                threads.extend(load::threads(10));
            }
            threads
        });
        while stormy.load(Relaxed) {
            tape.record(&mut connector, Duration::from_millis(1));
        }
        load.join().expect("threads")
    });
    tape.record_exits(&mut connector, &threads);
    signal_hook::low_level::unregister(handler);
    tape.assert_is_all_of(&witness, &mut witnessed);
}

fn the_totals_are_the_sum_of_what_came() {
    let mut connector = live();
    let mut tape = Tape::default();
    load::threads(50);
    tape.mark(&mut connector);
    let stats = connector.stats();
    let of = |what: u32| tape.stamps().filter(|stamp| stamp.what == what).count() as u64;
    assert_eq!(stats.received, tape.stamps().count() as u64);
    assert_eq!(stats.lost, tape.lost());
    assert_eq!(stats.refused, 0);
    assert_eq!(stats.count(EventMask::FORK), of(1));
    assert_eq!(stats.count(EventMask::EXIT), of(0x8000_0000));
    assert_eq!(stats.count(EventMask::FORK | EventMask::EXIT), of(1) + of(0x8000_0000));
    assert!(stats.count(EventMask::FORK) >= 51);
}
