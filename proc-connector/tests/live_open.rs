//! Opening: each listener recognises its own acknowledgement, and loses no event before it.

mod common;

use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::raw::{RawSocket, Witnessed};
use common::recorder::{Recorder, receive_events_before_acknowledgements};
use common::{CAP_NET_ADMIN, Deadline, builder, load, named, open_live, require_capability, skip};
use proc_connector::ProcConnector;

fn main() -> ExitCode {
    let tests = named![
        two_listeners_receive_the_same_events_and_no_acknowledgement,
        eight_connectors_open_at_the_same_time,
        events_before_the_acknowledgement_are_delivered,
        an_event_before_the_acknowledgement_is_delivered_on_one_cpu,
        a_second_subscription_delivers_no_acknowledgement,
        unsubscribing_twice_does_not_affect_other_listeners,
    ];
    common::main(&[], &tests)
}

fn two_listeners_receive_the_same_events_and_no_acknowledgement() {
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let mut first = open_live();
    let mut second = open_live();
    // Another listener opens and closes; all listeners receive its acknowledgement.
    drop(open_live());
    let threads = load::threads(20);
    for connector in [&mut first, &mut second] {
        let mut recorder = Recorder::default();
        recorder.record_exits(connector, &threads);
        recorder.assert_is_all_of(&witness, &mut witnessed);
    }
}

fn eight_connectors_open_at_the_same_time() {
    const LISTENERS: usize = 8;
    let start = Barrier::new(LISTENERS);
    let connectors: Vec<ProcConnector> = thread::scope(|scope| {
        let open = || {
            start.wait();
            open_live()
        };
        let openers: Vec<_> = (0..LISTENERS).map(|_| scope.spawn(open)).collect();
        openers.into_iter().map(|opener| opener.join().expect("a connector")).collect()
    });
    let threads = load::threads(20);
    for mut connector in connectors {
        let mut recorder = Recorder::default();
        recorder.record_exits(&mut connector, &threads);
        assert_eq!(recorder.lost(), 0);
    }
}

fn events_before_the_acknowledgement_are_delivered() {
    receive_events_before_acknowledgements(open_live, |connector, witness, witnessed| {
        let mut recorder = Recorder::default();
        recorder.mark(connector);
        recorder.assert_is_all_of(witness, witnessed);
        recorder
    });
}

fn an_event_before_the_acknowledgement_is_delivered_on_one_cpu() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    // The witness makes the kernel send events from here on.
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let cpu = load::cpus()[0];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // On a single CPU, so that the loads sometimes interrupt the opening between its steps.
        for _ in 0..2 {
            scope.spawn(|| {
                load::stay_on(cpu);
                while !done.load(Relaxed) {
                    load::threads(1);
                }
            });
        }
        let open_until_interrupted = || {
            let _stop = load::OnDrop(|| done.store(true, Relaxed));
            load::stay_on(cpu);
            let deadline = Deadline::new();
            loop {
                if deadline.left().is_none() {
                    return false;
                }
                witnessed.add(&witness.drain());
                let builder = builder().receive_buffer_events(20_000);
                let mut connector = builder.open().expect("a live connector");
                let new = witness.drain();
                witnessed.add(&new);
                let mut recorder = Recorder::default();
                recorder.record(&mut connector, Duration::ZERO);
                // A single acknowledgement in this period belongs to this connector.
                let mut acks = new.iter().filter(|stamp| stamp.what == 0);
                let (Some(ack), None) = (acks.next(), acks.next()) else { continue };
                // The events of one CPU arrive in order.
                if recorder.stamps().any(|stamp| stamp.cpu == ack.cpu && ack.is_after(stamp)) {
                    recorder.mark(&mut connector);
                    recorder.assert_is_all_of(&witness, &mut witnessed);
                    return true;
                }
            }
        };
        let opener = scope.spawn(open_until_interrupted);
        let was_interrupted = opener.join().expect("the opener's own assertions hold");
        if !was_interrupted {
            skip(
                "on this busy machine no event arrived before the acknowledgement within a minute",
            );
        }
    });
}

fn a_second_subscription_delivers_no_acknowledgement() {
    let mut connector = open_live();
    let mut recorder = Recorder::default();
    connector.subscribe().expect("a request sent");
    recorder.mark(&mut connector);
    connector.unsubscribe().expect("a request sent");
    connector.subscribe().expect("a request sent");
    let threads = load::threads(3);
    recorder.record_exits(&mut connector, &threads);
}

fn unsubscribing_twice_does_not_affect_other_listeners() {
    let mut first = open_live();
    let second = open_live();
    // Kernels before 6.6 would count each request as another listener's.
    for _ in 0..3 {
        second.unsubscribe().expect("a request sent");
    }
    drop(second);
    Recorder::default().mark(&mut first);
}
