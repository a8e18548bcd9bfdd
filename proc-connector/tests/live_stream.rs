//! Receiving in batches: every event once and in order, and ways to end a receive.

mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Witnessed};
use common::recorder::{Delivered, Recorder};
use common::{
    CAP_NET_ADMIN, Deadline, PATIENCE, builder, load, named, open_live, require_capability,
};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use proc_connector::{Error, EventMask, Filter, ProcConnector};
use rustix::io::ioctl_fionbio;
use signal_hook::consts::SIGUSR1;

fn main() -> ExitCode {
    let tests = named![
        the_stream_equals_what_was_sent_in_order,
        unread_items_come_with_the_next_batch,
        a_batch_can_be_read_item_by_item,
        a_zero_timeout_yields_an_empty_batch,
        the_maximum_timeout_is_valid,
        a_nonblocking_connector_would_block,
        a_wait_without_timeout_ends_with_an_event,
        the_first_event_arrives_immediately,
        a_woken_listener_does_not_affect_others,
        a_handle_ends_a_blocked_receive,
        queued_events_can_be_drained_after_a_shutdown,
        a_storm_of_signals_loses_nothing,
        the_totals_equal_the_sum_of_the_items,
    ];
    common::main(&[], &tests)
}

fn the_stream_equals_what_was_sent_in_order() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connector = open_live();
    let mut recorder = Recorder::default();
    let mut threads = Vec::new();
    // More events than a batch, on every CPU.
    for cpu in load::cpus().into_iter().cycle().take(8) {
        threads.push(load::thread_on(cpu));
        threads.extend(load::threads(200));
        // Some of them are received in between.
        recorder.record(&mut connector, Duration::from_millis(1));
    }
    recorder.record_exits(&mut connector, &threads);
    recorder.assert_is_all_of(&witness, &mut witnessed);
}

/// Receives at most `limit` items of each batch until the exit of a new thread was received.
fn read_piecemeal(limit: impl Fn(usize) -> usize) {
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connector = open_live();
    let threads = load::threads(100);
    let mut recorder = Recorder::default();
    for turn in 0..60 {
        let batch = connector.recv_batch_timeout(Duration::from_millis(1)).expect("a batch");
        for got in batch.take(limit(turn)) {
            recorder.delivered.push(got.into());
        }
    }
    recorder.record_exits(&mut connector, &threads);
    recorder.assert_is_all_of(&witness, &mut witnessed);
}

fn unread_items_come_with_the_next_batch() {
    read_piecemeal(|turn| turn % 7);
}

fn a_batch_can_be_read_item_by_item() {
    read_piecemeal(|_| 1);
}

fn a_zero_timeout_yields_an_empty_batch() {
    let mut connector = open_live();
    let deadline = Deadline::new();
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
        // Other processes may cause events continuously, but more slowly than they are received.
        while connector.recv_batch_timeout(timeout).expect("a batch").count() > 0 {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
    }
}

fn the_maximum_timeout_is_valid() {
    let mut connector = open_live();
    let thread = load::threads(1)[0];
    let mut recorder = Recorder::default();
    while !recorder.has_exit_of(thread) {
        recorder.record(&mut connector, Duration::MAX);
    }
}

/// Receives batches until a non-blocking connector returns `WouldBlock`.
fn drain_nonblocking(connector: &mut ProcConnector, recorder: &mut Recorder) {
    let deadline = Deadline::new();
    loop {
        assert!(deadline.left().is_some(), "the machine is too busy");
        match connector.recv_batch() {
            Ok(batch) => recorder.delivered.extend(batch.map(Delivered::from)),
            Err(Error::WouldBlock) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn a_nonblocking_connector_would_block() {
    let built = builder().nonblocking(true).open().expect("a live connector");
    let set = open_live();
    set.set_nonblocking().expect("a socket option");
    for mut connector in [built, set] {
        let mut recorder = Recorder::default();
        drain_nonblocking(&mut connector, &mut recorder);
        let threads = load::threads(2);
        let deadline = Deadline::new();
        while !recorder.has_exits_of(&threads) {
            assert!(deadline.left().is_some(), "{recorder:?}");
            drain_nonblocking(&mut connector, &mut recorder);
        }
        recorder.assert_has(&threads);
        // With a timeout, a receive does not wait and returns an empty batch.
        while connector.recv_batch_timeout(Duration::MAX).expect("a batch").count() > 0 {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
    }
}

fn a_wait_without_timeout_ends_with_an_event() {
    // Another owner of the descriptor can change its mode, but a receive still waits.
    for nonblocking in [false, true] {
        let mut connector = open_live();
        ioctl_fionbio(&connector, nonblocking).expect("a descriptor");
        let mut recorder = Recorder::default();
        while recorder.record(&mut connector, Duration::from_millis(2)) {}
        let later = thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            load::threads(1)
        });
        // The thread's exit follows, so an event always arrives.
        while !later.is_finished() {
            recorder
                .delivered
                .extend(connector.recv_batch().expect("a batch").map(Delivered::from));
        }
        recorder.record_exits(&mut connector, &later.join().expect("a thread that ends"));
        assert!(connector.stats().wake_ups > 0);
    }
}

fn the_first_event_arrives_immediately() {
    let this = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
    let builder = builder().filter(this).coalesce(Duration::from_secs(3600));
    let (sender, receiver) = mpsc::channel();
    let later = thread::spawn(move || {
        receiver.recv().expect("an open channel");
        thread::sleep(Duration::from_millis(50));
        load::threads(1)
    });
    let deadline = Deadline::new();
    let mut connector = loop {
        assert!(deadline.left().is_some(), "something happens all the time");
        let mut connector = builder.open().expect("a live connector");
        // The exit of a thread can arrive long after it was joined.
        let late = connector.recv_batch_timeout(Duration::from_millis(20)).expect("a batch");
        if late.count() == 0 {
            break connector;
        }
    };
    sender.send(()).expect("it waits");
    let first = connector.recv_batch_timeout(PATIENCE).expect("a batch");
    assert!(first.count() > 0);
    assert!(connector.stats().wake_ups > 0, "it slept though nothing had come");
    later.join().expect("a thread that ends");
}

fn a_woken_listener_does_not_affect_others() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut connectors = [open_live(), open_live(), open_live()];
    let mut tapes: [Recorder; 3] = Default::default();
    for _ in 0..20 {
        // All connectors wait by the time of the next event.
        for (recorder, connector) in tapes.iter_mut().zip(&mut connectors) {
            while recorder.record(connector, Duration::from_millis(2)) {}
        }
        let threads = load::threads(1);
        for (recorder, connector) in tapes.iter_mut().zip(&mut connectors) {
            recorder.record_exits(connector, &threads);
        }
    }
    for (recorder, connector) in tapes.iter().zip(&connectors) {
        recorder.assert_is_all_of(&witness, &mut witnessed);
        assert_eq!(connector.stats().refused, 0);
    }
}

fn a_handle_ends_a_blocked_receive() {
    let mut connector = open_live();
    // Since Linux 6.6, this connector now receives no events that could end its wait.
    connector.unsubscribe().expect("a request sent");
    let shutdown = connector.shutdown_handle();
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        for timeout in [None, Some(Duration::MAX)] {
            sender.send(()).expect("an open channel");
            let ended = loop {
                let batch = match timeout {
                    None => connector.recv_batch(),
                    Some(timeout) => connector.recv_batch_timeout(timeout),
                };
                match batch {
                    Ok(batch) => drop(batch.count()),
                    Err(error) => break error,
                }
            };
            assert!(matches!(ended, Error::Shutdown), "{ended:?}");
        }
        sender.send(()).expect("an open channel");
    });
    receiver.recv().expect("it begins");
    // The receive most likely waits by now. The shutdown must end it in either case, and each later
    // wait too.
    thread::sleep(Duration::from_millis(5));
    shutdown.clone().shutdown().expect("a write to the event descriptor");
    for _ in 0..2 {
        let ended = receiver.recv_timeout(PATIENCE);
        ended.expect("the shutdown ends the wait");
    }
    reader.join().expect("the reader's own assertions hold");
    // The handle remains valid without the connector.
    shutdown.shutdown().expect("a write to the event descriptor");
}

fn queued_events_can_be_drained_after_a_shutdown() {
    let mut connector = open_live();
    let threads = load::threads(5);
    connector.shutdown_handle().shutdown().expect("a write to the event descriptor");
    let ended = connector.recv_batch().err();
    assert!(matches!(ended, Some(Error::Shutdown)), "{ended:?}");
    let mut recorder = Recorder::default();
    let deadline = Deadline::new();
    while !recorder.has_exits_of(&threads) {
        assert!(deadline.left().is_some(), "{recorder:?}");
        recorder.record(&mut connector, Duration::ZERO);
    }
    recorder.assert_has(&threads);
}

fn a_storm_of_signals_loses_nothing() {
    const SIGNALS: usize = 10_000;
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let caught = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGUSR1, Arc::clone(&caught)).expect("a handler");
    let mut connector = open_live();
    let mut recorder = Recorder::default();
    let reader = pthread_self();
    let stormy = AtomicBool::new(true);
    let threads = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..SIGNALS {
                pthread_kill(reader, Signal::SIGUSR1).expect("the reader lives");
                // Waits for the handler, so that the signals are not merged.
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
            recorder.record(&mut connector, Duration::from_millis(1));
        }
        load.join().expect("threads")
    });
    recorder.record_exits(&mut connector, &threads);
    signal_hook::low_level::unregister(handler);
    recorder.assert_is_all_of(&witness, &mut witnessed);
}

fn the_totals_equal_the_sum_of_the_items() {
    let mut connector = open_live();
    let mut recorder = Recorder::default();
    load::threads(50);
    recorder.mark(&mut connector);
    let stats = connector.stats();
    let of = |what: u32| recorder.stamps().filter(|stamp| stamp.what == what).count() as u64;
    assert_eq!(stats.received, recorder.stamps().count() as u64);
    assert_eq!(stats.lost, recorder.lost());
    assert_eq!(stats.refused, 0);
    assert_eq!(stats.count(EventMask::FORK), of(1));
    assert_eq!(stats.count(EventMask::EXIT), of(0x8000_0000));
    assert_eq!(stats.count(EventMask::FORK | EventMask::EXIT), of(1) + of(0x8000_0000));
    assert!(stats.count(EventMask::FORK) >= 51);
}
