//! Waiting for exits, with a stream and without, compared with the statuses of `wait4`.

mod common;

use std::collections::HashMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use common::ending::{
    ORDERS, ends_as_ordered, ends_its_first_thread_first, ends_with_its_last_thread, has_children,
    keeps_a_thread, ordered, ordered_with_id, pid_of, raw, reaped, until_ended,
    without_first_threads,
};
use common::helper_process::HelperProcess;
use common::load::{self};
use common::{Deadline, kernel_is_at_least, large_buffer, named, skip, transport};
use nix::sys::signal::{Signal, kill};
use proc_connector::process::{
    ChangeKind, ChangeKinds, ExitWaiter, ProcessItem, ProcessStream, WaitError, wait_for_exit,
};
use proc_connector::{Error, Filter, LossCause, Transport};

fn main() -> ExitCode {
    let roles = named![
        ends_as_ordered,
        has_children,
        keeps_a_thread,
        ends_its_first_thread_first,
        ends_with_its_last_thread,
    ];
    let everywhere = named![
        a_descriptor_has_the_status_of_a_child,
        a_descriptor_has_the_status_of_a_process_that_is_no_child,
        descriptors_wait_for_many_processes,
        a_timeout_ends_a_wait_and_keeps_the_process,
        a_descriptor_has_the_status_of_the_last_thread,
        ids_that_cannot_be_waited_for_are_errors,
        a_descriptor_ignores_a_later_process_with_the_same_id,
    ];
    let live = named![
        a_stream_has_the_status_of_wait4,
        a_stream_waits_for_200_processes,
        a_stream_waits_for_a_process_that_is_no_child,
        a_stream_waits_for_the_last_thread,
        a_stream_of_first_threads_waits_for_the_last_thread,
        a_process_that_ended_before_the_wait_is_found,
        changes_during_a_wait_stay_queued,
        changes_beyond_the_capacity_of_the_queue_are_a_loss,
        a_stream_without_a_record_of_a_process_reports_an_error,
        a_shutdown_ends_a_wait,
        a_stream_ignores_later_processes_with_the_same_id,
        a_stream_ignores_earlier_processes_with_the_same_id,
    ];
    common::main_with(&roles, &everywhere, &live)
}

/// A limit for waits that must not reach it.
fn limit() -> Option<Duration> {
    Deadline::new().left()
}

fn stream() -> ProcessStream {
    large_buffer().open_processes().expect("a live connector")
}

fn a_descriptor_has_the_status_of_a_child() {
    for order in ORDERS {
        let mut helper = ordered();
        helper.write_number(order);
        let exit = wait_for_exit(helper.pid(), limit()).expect("a process").expect("an end");
        assert_eq!((exit.tgid(), raw(&exit)), (helper.pid(), Some(reaped(helper))), "{order}");
    }
}

fn a_descriptor_has_the_status_of_a_process_that_is_no_child() {
    let mut parent = HelperProcess::start("has_children");
    let children = ORDERS.map(|_| parent.read_number());
    for (index, child) in children.into_iter().enumerate() {
        let mut waiter = ExitWaiter::new();
        waiter.add(child).expect("a process");
        parent.resume();
        let is_reaped_first = index % 2 == 0;
        if is_reaped_first {
            parent.resume();
            let truth = parent.read_number();
            let exit = waiter.wait(limit()).expect("no error").expect("an end");
            let known = kernel_is_at_least(6, 15).then_some(truth);
            assert_eq!(raw(&exit), known);
        } else {
            let exit = waiter.wait(limit()).expect("no error").expect("an end");
            parent.resume();
            let truth = parent.read_number();
            assert!([None, Some(truth)].contains(&raw(&exit)), "{exit:?} {truth}");
            assert!(raw(&exit).is_some() || !kernel_is_at_least(6, 15), "{exit:?}");
        }
    }
}

fn descriptors_wait_for_many_processes() {
    let mut waiter = ExitWaiter::new();
    let mut helpers = HashMap::new();
    for order in ORDERS {
        let helper = ordered();
        waiter.add(helper.pid()).expect("a process");
        waiter.add(helper.pid()).expect("the same process");
        helpers.insert(helper.pid(), (helper, order));
    }
    assert_eq!(waiter.len(), ORDERS.len());
    for (helper, order) in helpers.values_mut() {
        helper.write_number(*order);
    }
    while let Some(exit) = waiter.wait(limit()).expect("no error") {
        let (helper, _) = helpers.remove(&exit.tgid()).expect("one exit each");
        assert_eq!(raw(&exit), Some(reaped(helper)));
    }
    assert!(waiter.is_empty() && helpers.is_empty());
}

fn a_timeout_ends_a_wait_and_keeps_the_process() {
    let mut helper = ordered();
    let mut waiter = ExitWaiter::new();
    waiter.add(helper.pid()).expect("a process");
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        assert!(waiter.wait(Some(timeout)).expect("no error").is_none());
    }
    assert_eq!(waiter.len(), 1);
    helper.write_number(3);
    assert!(waiter.wait(limit()).expect("no error").is_some());
    assert!(waiter.wait(None).expect("no error").is_none(), "no process is left");
}

fn a_descriptor_has_the_status_of_the_last_thread() {
    for mut helper in without_first_threads() {
        let short = Some(Duration::from_millis(20));
        assert!(wait_for_exit(helper.pid(), short).expect("a process").is_none());
        helper.resume();
        let exit = wait_for_exit(helper.pid(), limit()).expect("a process").expect("an end");
        assert_eq!(raw(&exit), Some(reaped(helper)));
    }
}

fn ids_that_cannot_be_waited_for_are_errors() {
    let mut waiter = ExitWaiter::new();
    for id in [0, 1 << 31, u32::MAX] {
        assert!(matches!(waiter.add(id), Err(WaitError::InvalidPid(found)) if found == id));
    }
    assert!(matches!(waiter.add(std::process::id()), Err(WaitError::OwnProcess)));
    let helper = ordered();
    let pid = helper.pid();
    kill(pid_of(&helper), Signal::SIGKILL).expect("a child");
    helper.wait();
    assert!(matches!(waiter.add(pid), Err(WaitError::NoSuchProcess(found)) if found == pid));
    let mut helper = HelperProcess::start("keeps_a_thread");
    let thread = helper.read_number();
    match waiter.add(thread) {
        Err(WaitError::Thread { tid, tgid }) => {
            assert_eq!((tid, tgid), (thread, Some(helper.pid())));
        }
        other => panic!("{other:?}"),
    }
    assert!(waiter.is_empty());
}

fn a_stream_has_the_status_of_wait4() {
    let mut stream = stream();
    for order in ORDERS {
        let mut helper = ordered();
        helper.write_number(order);
        let exit = stream.wait_for_exit(helper.pid(), limit()).expect("a process");
        let exit = exit.expect("an end");
        let process = exit.process().expect("a recorded process");
        assert_eq!((exit.tgid(), process.tgid()), (helper.pid(), helper.pid()));
        assert!(!process.is_alive() && exit.lifetime_ns().is_some());
        assert_eq!(process.exit_status(), exit.status());
        let is_recorded = transport() == Transport::Ring;
        assert_eq!((exit.id().is_some(), exit.usage().is_some()), (is_recorded, is_recorded));
        assert_eq!(raw(&exit), Some(reaped(helper)), "{order}");
    }
}

fn a_stream_waits_for_200_processes() {
    let mut stream = stream();
    let mut waiter = ExitWaiter::new();
    let mut children = HashMap::new();
    for number in 0..200 {
        let mut helper = ordered();
        waiter.add(helper.pid()).expect("a process");
        helper.write_number(ORDERS[number % ORDERS.len()]);
        children.insert(helper.pid(), helper);
    }
    while let Some(exit) = stream.next_exit(&mut waiter, limit()).expect("no error") {
        let helper = children.remove(&exit.tgid()).expect("one exit each");
        // An unprivileged process has a small buffer.
        assert!(exit.lifetime_ns().is_some() || stream.stats().lost > 0, "reported by an event");
        assert_eq!(raw(&exit), Some(reaped(helper)));
    }
    assert!(waiter.is_empty() && children.is_empty());
}

fn a_stream_waits_for_a_process_that_is_no_child() {
    let mut stream = stream();
    let mut parent = HelperProcess::start("has_children");
    let children = ORDERS.map(|_| parent.read_number());
    for child in children {
        parent.resume();
        let exit = stream.wait_for_exit(child, limit()).expect("a process").expect("an end");
        parent.resume();
        assert_eq!(raw(&exit), Some(parent.read_number()));
    }
}

fn a_stream_waits_for_the_last_thread() {
    assert_waits_for_the_last_thread(&mut stream());
}

/// The filter may drop the last exit of the process.
fn a_stream_of_first_threads_waits_for_the_last_thread() {
    let filter = Filter::default().processes_only();
    let stream = large_buffer().filter(filter).open_processes();
    assert_waits_for_the_last_thread(&mut stream.expect("a live connector"));
}

fn assert_waits_for_the_last_thread(stream: &mut ProcessStream) {
    for mut helper in without_first_threads() {
        let short = Some(Duration::from_millis(20));
        assert!(stream.wait_for_exit(helper.pid(), short).expect("a process").is_none());
        helper.resume();
        let exit = stream.wait_for_exit(helper.pid(), limit()).expect("a process");
        assert_eq!(raw(&exit.expect("an end")), Some(reaped(helper)));
    }
}

fn a_process_that_ended_before_the_wait_is_found() {
    let mut stream = stream();
    for is_applied in [false, true] {
        for is_reaped in [false, true] {
            let mut helper = ordered();
            let pid = helper.pid();
            helper.write_number(3);
            until_ended(&helper);
            let helper = if is_reaped {
                helper.wait();
                None
            } else {
                Some(helper)
            };
            if is_applied {
                let is_end = |item: &ProcessItem| {
                    matches!(item, ProcessItem::Change(change)
                        if change.kind == ChangeKind::Ended && change.process.tgid() == pid)
                };
                while !is_end(
                    &stream
                        .next_change_timeout(limit().expect("time"))
                        .expect("an item")
                        .expect("an end"),
                ) {}
            }
            let exit = stream.wait_for_exit(pid, limit()).expect("a process").expect("an end");
            assert_eq!(raw(&exit), Some(3 << 8), "applied: {is_applied}, reaped: {is_reaped}");
            assert!(exit.lifetime_ns().is_some());
            drop(helper);
        }
    }
}

fn changes_during_a_wait_stay_queued() {
    let mut stream = stream();
    let (mut first, mut second) = (ordered(), ordered());
    first.write_number(3);
    stream.wait_for_exit(first.pid(), limit()).expect("a process").expect("an end");
    second.write_number(0);
    stream.wait_for_exit(second.pid(), limit()).expect("a process").expect("an end");
    let mut seen = HashMap::new();
    while let Some(item) = stream.try_next().expect("no error") {
        if let ProcessItem::Change(change) = item {
            seen.entry(change.process.tgid()).or_insert_with(Vec::new).push(change.kind);
        }
    }
    for helper in [first, second] {
        let kinds = &seen[&helper.pid()];
        assert_eq!(kinds.first(), Some(&ChangeKind::Started), "{kinds:?}");
        assert!(kinds.contains(&ChangeKind::Executed), "{kinds:?}");
        assert_eq!(kinds.last(), Some(&ChangeKind::Ended), "{kinds:?}");
    }
}

fn changes_beyond_the_capacity_of_the_queue_are_a_loss() {
    const THREADS: usize = 8_500;
    let kinds = ChangeKinds::THREAD_STARTED | ChangeKinds::THREAD_ENDED;
    let mut stream = stream().only(kinds);
    if stream.stats().receive_buffer_events < 2 * THREADS {
        skip("needs a buffer larger than an unprivileged process gets");
    }
    let mut helper = ordered();
    let pid = helper.pid();
    let busy = thread::spawn(move || {
        load::threads(THREADS);
        helper.write_number(3);
        helper
    });
    stream.wait_for_exit(pid, Deadline::new().left()).expect("a process").expect("an end");
    busy.join().expect("no panic");
    let (mut changes, mut dropped) = (0, 0);
    while let Some(item) = stream.try_next().expect("no error") {
        match item {
            ProcessItem::Change(_) => changes += 1,
            ProcessItem::Lost(lost) => {
                assert_eq!((changes, lost.cause), (16_384, LossCause::QueueFull));
                dropped += lost.count.expect("a number");
            }
        }
    }
    assert!(changes + dropped >= 2 * THREADS as u64, "{changes} {dropped}");
    assert_eq!(stream.stats().lost, 0);
}

fn a_stream_without_a_record_of_a_process_reports_an_error() {
    let mut helper = ordered();
    let pid = helper.pid();
    helper.write_number(0);
    helper.wait();
    let mut stream = stream();
    for (id, is_expected) in [
        (pid, (|error| matches!(error, WaitError::NoSuchProcess(_))) as fn(&WaitError) -> bool),
        (0, |error| matches!(error, WaitError::InvalidPid(0))),
        (std::process::id(), |error| matches!(error, WaitError::OwnProcess)),
    ] {
        let error = stream.wait_for_exit(id, limit()).expect_err("no process to wait for");
        assert!(is_expected(&error), "{id}: {error:?}");
    }
}

fn a_shutdown_ends_a_wait() {
    let mut stream = stream();
    let helper = ordered();
    let shutdown = stream.shutdown_handle();
    let other = thread::spawn(move || shutdown.shutdown());
    match stream.wait_for_exit(helper.pid(), limit()) {
        Err(WaitError::Receive(Error::Shutdown)) => {}
        other => panic!("{other:?}"),
    }
    other.join().expect("no panic").expect("no error");
}

fn a_descriptor_ignores_a_later_process_with_the_same_id() {
    let mut first = ordered();
    let tgid = first.pid();
    let mut waiter = ExitWaiter::new();
    waiter.add(tgid).expect("a process");
    first.write_number(3);
    first.wait();
    let second = ordered_with_id(tgid);
    let exit = waiter.wait(limit()).expect("no error").expect("an end");
    let known = kernel_is_at_least(6, 15).then_some(3 << 8);
    assert_eq!((exit.tgid(), raw(&exit)), (second.pid(), known));
}

fn a_stream_ignores_later_processes_with_the_same_id() {
    let mut stream = stream();
    let mut first = ordered();
    let tgid = first.pid();
    let mut waiter = ExitWaiter::new();
    waiter.add(tgid).expect("a process");
    first.write_number(3);
    first.wait();
    for order in [5, 7] {
        let mut later = ordered_with_id(tgid);
        later.write_number(order);
        until_ended(&later);
    }
    let exit = stream.next_exit(&mut waiter, limit()).expect("no error").expect("an end");
    assert_eq!(raw(&exit), Some(3 << 8));
    // All have been reaped.
    let last = stream.wait_for_exit(tgid, limit()).expect("a record").expect("an end");
    assert_eq!(raw(&last), Some(7 << 8));
}

fn a_stream_ignores_earlier_processes_with_the_same_id() {
    let mut stream = stream();
    let mut first = ordered();
    let tgid = first.pid();
    first.write_number(3);
    first.wait();
    let mut second = ordered_with_id(tgid);
    let short = Some(Duration::from_millis(20));
    assert!(stream.wait_for_exit(tgid, short).expect("a process").is_none());
    second.write_number(7);
    let exit = stream.wait_for_exit(tgid, limit()).expect("a process").expect("an end");
    assert_eq!(raw(&exit), Some(7 << 8));
    let usual = exit.process().map(|process| process.serial());

    // The stream reads the end of the second process before the start of the third, which has ended.
    second.wait();
    load::threads(400);
    let mut third = ordered_with_id(tgid);
    third.write_number(5);
    until_ended(&third);
    let exit = stream.wait_for_exit(tgid, limit()).expect("a process").expect("an end");
    assert_eq!(raw(&exit), Some(5 << 8));
    assert_ne!(exit.process().map(|process| process.serial()), usual);
}
