//! The receive calls of 0.1.5, with live events.

mod common;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::helper_process::HelperProcess;
use common::load::this_task;
use common::raw::{RawSocket, Witnessed};
use common::recorder::{Delivered, Recorder, catch_up};
use common::wire::EVENT_LEN;
use common::{
    CAP_NET_ADMIN, Deadline, PATIENCE, builder, load, named, open_live, require_capability,
};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use proc_connector::parser::{Notification, Notifications};
use proc_connector::{
    Error, ExitStatus, ProcConnector, ProcEvent, Received, Result, parse_netlink_message,
};
use signal_hook::consts::SIGUSR1;

fn main() -> ExitCode {
    let tests = named![
        every_receive_call_reports_the_life_of_a_child,
        a_small_buffer_is_rejected_without_losing_events,
        timeouts_of_zero_and_of_the_maximum_work,
        a_nonblocking_connector_would_block,
        a_signal_interrupts_without_losing_events,
        an_overrun_is_reported_and_counted,
        threads_can_share_a_connector,
    ];
    common::main(&named![ends_with_5], &tests)
}

fn ends_with_5() {
    std::process::exit(5)
}

/// A receive call; `None` if it returned no event.
type Receive = fn(&ProcConnector, &mut [u8]) -> Result<Option<ProcEvent>>;

const WAYS: [(&str, Receive); 4] = [
    ("recv", |connector, buffer| connector.recv(buffer).map(Some)),
    ("recv_timeout", |connector, buffer| connector.recv_timeout(buffer, PATIENCE)),
    ("recv_raw", |connector, buffer| {
        let len = connector.recv_raw(buffer)?;
        parse_netlink_message(buffer, len)
    }),
    ("recv_raw_timeout", |connector, buffer| {
        let Some(len) = connector.recv_raw_timeout(buffer, PATIENCE)? else { return Ok(None) };
        parse_netlink_message(buffer, len)
    }),
];

fn every_receive_call_reports_the_life_of_a_child() {
    for (name, receive) in WAYS {
        let connector = open_live();
        let child = HelperProcess::start("ends_with_5");
        let (pid, (parent_pid, parent_tgid)) = (child.pid(), this_task());
        let mut buffer = [0; 4096];
        let (mut seen, mut times) = (Vec::new(), Vec::new());
        let deadline = Deadline::new();
        while seen.len() < 3 {
            assert!(deadline.left().is_some(), "{name}: {seen:?}");
            let Some(event) = receive(&connector, &mut buffer).expect(name) else { continue };
            let (process, time) = match event {
                ProcEvent::Fork { child_tgid, timestamp_ns, .. } => (child_tgid, timestamp_ns),
                ProcEvent::Exec { tgid, timestamp_ns, .. }
                | ProcEvent::Exit { tgid, timestamp_ns, .. } => (tgid, timestamp_ns),
                _ => continue,
            };
            if process == pid {
                seen.push(event);
                times.push(time);
            }
        }
        assert!(times.is_sorted(), "{times:?}");
        let expected = [
            ProcEvent::Fork {
                parent_pid,
                parent_tgid,
                child_pid: pid,
                child_tgid: pid,
                timestamp_ns: times[0],
            },
            ProcEvent::Exec { pid, tgid: pid, timestamp_ns: times[1] },
            ProcEvent::Exit {
                pid,
                tgid: pid,
                exit_code: 5 << 8,
                exit_signal: Signal::SIGCHLD as u32,
                timestamp_ns: times[2],
            },
        ];
        assert_eq!(seen, expected, "{name}");
        assert_eq!(seen[2].exit_status().and_then(ExitStatus::code), Some(5));
        assert_eq!(child.wait().code(), Some(5));
    }
}

fn a_small_buffer_is_rejected_without_losing_events() {
    let connector = open_live();
    let threads = load::threads(5);
    for len in [0, 1, 16, EVENT_LEN - 1] {
        for (name, receive) in WAYS {
            let refused = receive(&connector, &mut vec![0; len]).err();
            assert!(
                matches!(refused, Some(Error::BufferTooSmall { needed: EVENT_LEN })),
                "{name} with {len}: {refused:?}"
            );
        }
    }
    // The smallest sufficient buffer.
    let mut recorder = Recorder::default();
    let mut buffer = [0; EVENT_LEN];
    while !recorder.has_exits_of(&threads) {
        record(&connector, &mut buffer, &mut recorder);
    }
    recorder.assert_has(&threads);
}

/// Records the next datagram.
fn record(connector: &ProcConnector, buffer: &mut [u8], recorder: &mut Recorder) {
    let len =
        connector.recv_raw_timeout(buffer, PATIENCE).expect("a datagram").expect("one in time");
    recorder.delivered.extend(event_of(&buffer[..len]));
}

/// The event of a datagram; `None` for an acknowledgement.
fn event_of(datagram: &[u8]) -> Option<Delivered> {
    let notification = Notifications::new(datagram).next().expect("a message");
    match notification.expect("the kernel's bytes") {
        Notification::Event(event) => Some(Received::Event(event).into()),
        _ => None,
    }
}

fn timeouts_of_zero_and_of_the_maximum_work() {
    let connector = open_live();
    let mut buffer = [0; EVENT_LEN];
    let deadline = Deadline::new();
    for timeout in [Duration::ZERO, Duration::from_millis(2)] {
        while connector.recv_timeout(&mut buffer, timeout).expect("no error").is_some() {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
        while connector.recv_raw_timeout(&mut buffer, timeout).expect("no error").is_some() {
            assert!(deadline.left().is_some(), "the machine is too busy");
        }
    }
    load::threads(1);
    let event = connector.recv_timeout(&mut buffer, Duration::MAX).expect("no error");
    assert!(event.is_some(), "of a fork and an exit at least one");
    load::threads(1);
    let len = connector.recv_raw_timeout(&mut buffer, Duration::MAX).expect("no error");
    assert_eq!(len, Some(EVENT_LEN));
}

fn a_nonblocking_connector_would_block() {
    let connector = open_live();
    connector.set_nonblocking().expect("a socket option");
    let mut buffer = [0; EVENT_LEN];
    let deadline = Deadline::new();
    let mut drain = |exited: Option<u32>| {
        let mut seen = false;
        loop {
            assert!(deadline.left().is_some(), "still no end, or no event");
            match connector.recv(&mut buffer) {
                Ok(ProcEvent::Exit { pid, .. }) => seen |= Some(pid) == exited,
                Ok(_) => {}
                Err(Error::WouldBlock) if seen || exited.is_none() => return,
                Err(Error::WouldBlock) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    drain(None);
    let thread = load::threads(1)[0];
    drain(Some(thread));
    let deadline = Deadline::new();
    loop {
        assert!(deadline.left().is_some(), "the machine is too busy");
        match connector.recv_raw(&mut buffer) {
            Ok(len) => assert_eq!(len, EVENT_LEN),
            Err(Error::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

fn a_signal_interrupts_without_losing_events() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let caught = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGUSR1, Arc::clone(&caught)).expect("a handler");
    let connector = open_live();
    let reader = pthread_self();
    let mut recorder = Recorder::default();
    let (mut interrupted, mut threads) = (0, Vec::new());
    let done = AtomicBool::new(false);
    let deadline = Deadline::new();
    thread::scope(|scope| {
        let loader = scope.spawn(|| {
            let mut threads = Vec::new();
            while !done.load(Relaxed) {
                pthread_kill(reader, Signal::SIGUSR1).expect("the reader lives");
                // If an event arrived together with the signal, the reader would return the event.
                thread::sleep(Duration::from_micros(200));
                threads.extend(load::threads(1));
                // Long enough for the reader to block.
                thread::sleep(Duration::from_micros(200));
            }
            threads
        });
        let stop = load::OnDrop(|| done.store(true, Relaxed));
        let mut buffer = [0; EVENT_LEN];
        while interrupted < 50 && deadline.left().is_some() {
            match connector.recv_raw_timeout(&mut buffer, PATIENCE) {
                Ok(Some(len)) => recorder.delivered.extend(event_of(&buffer[..len])),
                Err(Error::Interrupted) => interrupted += 1,
                other => panic!("{other:?}"),
            }
        }
        drop(stop);
        threads.extend(loader.join().expect("threads"));
    });
    assert!(interrupted >= 50, "{interrupted} interruptions");
    signal_hook::low_level::unregister(handler);
    let mut buffer = [0; EVENT_LEN];
    while !recorder.has_exits_of(&threads) {
        record(&connector, &mut buffer, &mut recorder);
    }
    recorder.assert_has(&threads);
    recorder.assert_is_all_of(&witness, &mut witnessed);
}

fn an_overrun_is_reported_and_counted() {
    require_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a witness with a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let builder = builder().receive_buffer_events(200);
    let connector = builder.open().expect("a live connector");
    let mut recorder = Recorder::default();
    let mut overruns = 0;
    let mut buffer = [0; EVENT_LEN];
    let deadline = Deadline::new();
    let mut read_until_exit_on_each_cpu = || {
        for cpu in load::cpus() {
            let mut mark = load::thread_on(cpu);
            while !recorder.has_exit_of(mark) {
                assert!(deadline.left().is_some(), "the machine is too busy");
                match connector.recv_raw_timeout(&mut buffer, Duration::from_millis(10)) {
                    Ok(Some(len)) => recorder.delivered.extend(event_of(&buffer[..len])),
                    Ok(None) => mark = load::thread_on(cpu),
                    Err(Error::Overrun) => {
                        overruns += 1;
                        // The mark may be among the lost events.
                        mark = load::thread_on(cpu);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    read_until_exit_on_each_cpu();
    load::threads(1_000);
    // Queued events can still be received, followed by new ones.
    read_until_exit_on_each_cpu();
    assert!(overruns > 0);

    let ends = recorder.ends();
    catch_up(&witness, &mut witnessed, ends.iter().map(|&(_, last)| last));
    let sent: usize = ends.iter().map(|&(first, last)| witnessed.between(first, last).len()).sum();
    let missing = sent - recorder.stamps().count();
    let lost = connector.stats().lost;
    assert!(0 < lost && lost <= missing as u64, "{lost} lost of {missing}");
}

fn threads_can_share_a_connector() {
    let connector = open_live();
    let recorder = Mutex::new(Recorder::default());
    let done = AtomicBool::new(false);
    let threads = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut buffer = [0; EVENT_LEN];
                while !done.load(Relaxed) {
                    let received =
                        connector.recv_raw_timeout(&mut buffer, Duration::from_millis(5));
                    let Some(len) = received.expect("no error") else { continue };
                    recorder
                        .lock()
                        .expect("a thread without a panic")
                        .delivered
                        .extend(event_of(&buffer[..len]));
                }
            });
        }
        let threads = load::threads(300);
        let deadline = Deadline::new();
        let all_came = || {
            let recorder = recorder.lock().expect("a thread without a panic");
            recorder.has_exits_of(&threads)
        };
        while deadline.left().is_some() && !all_came() {
            thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Relaxed);
        threads
    });
    // Each reader has recorded its last event by now.
    recorder.into_inner().expect("a thread without a panic").assert_has(&threads);
}
