//! Waiting for exits whose events do not arrive: the descriptors of the processes and the timers of
//! the stream are sufficient.

mod common;

use std::future::Future;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::ending::{
    KeptThread, ORDERS, ends_as_ordered, keeps_a_thread, ordered, raw, reaped, until_ended,
};
use common::raw::RawSocket;
use common::{Deadline, builder, kernel_is_at_least, large_buffer, load, named, transport};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::process::{
    ChangeKind, ExitWaiter, ProcessExit, ProcessItem, ProcessStream, ProcessTable, WaitError,
};
use proc_connector::{Builder, Filter, Transport};
use socket2::{SockFilter, SockRef};

fn main() -> ExitCode {
    let live = named![
        a_lost_exit_is_reported_by_the_descriptor,
        an_exit_that_a_filter_drops_is_reported_by_the_descriptor,
        a_wait_needs_no_event,
        a_scan_after_a_loss_needs_no_event,
        an_ended_process_is_never_reported_as_running,
        a_reaped_process_has_ended_even_if_nothing_reports_it,
        a_call_that_does_not_wait_knows_what_has_ended,
        acknowledgements_of_others_hide_no_change,
        an_end_is_remembered_while_a_tracer_keeps_a_thread,
    ];
    common::main_with(&named![ends_as_ordered, keeps_a_thread], &[], &live)
}

/// A limit for waits that must not reach it.
fn limit() -> Option<Duration> {
    Deadline::new().left()
}

/// A timeout before the time at which the event of an ended process is regarded as lost.
const SHORT: Option<Duration> = Some(Duration::from_millis(5));

/// `BPF_RET | BPF_K`.
const RETURN: u16 = 6;

/// Makes the kernel drop every datagram to this connector's socket, acknowledgements included.
fn silence(connector: &impl AsFd) {
    if transport() == Transport::Ring {
        // The descriptor is not the socket.
        return;
    }
    let drop_all = [SockFilter::new(RETURN, 0, 0, 0)];
    SockRef::from(&connector.as_fd()).attach_filter(&drop_all).expect("a program");
}

/// A stream to which nothing arrives any more. The table has read `/proc`.
fn silent() -> ProcessStream {
    silent_of(builder())
}

fn silent_of(builder: Builder) -> ProcessStream {
    let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
    let connector = builder.filter(own).open().expect("a connector");
    silence(&connector);
    ProcessStream::new(connector).expect("/proc")
}

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime").block_on(future)
}

/// Runs a function in another thread, and panics if it does not return.
fn must_return<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(run()));
    let left = limit().expect("time");
    receiver.recv_timeout(left).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A wait for the next exit.
type Wait =
    fn(ProcessStream, &mut ExitWaiter, Option<Duration>) -> Result<Option<ProcessExit>, WaitError>;

const WAYS: [(&str, Wait); 3] = [
    ("blocking", |mut stream, waiter, timeout| stream.next_exit(waiter, timeout)),
    ("tokio", |stream, waiter, timeout| {
        on_tokio(async { stream.into_tokio().expect("a runtime").next_exit(waiter, timeout).await })
    }),
    ("async-io", |stream, waiter, timeout| {
        let stream = stream.into_async_io().expect("a reactor");
        futures_lite::future::block_on(async { { stream }.next_exit(waiter, timeout).await })
    }),
];

fn a_lost_exit_is_reported_by_the_descriptor() {
    let mut stream = builder().receive_buffer_events(50).open_processes().expect("a connector");
    for order in ORDERS {
        let mut helper = ordered();
        let pid = helper.pid();
        let mut waiter = ExitWaiter::new();
        waiter.add(pid).expect("a process");
        // Fills the buffer, so that the exit is lost.
        load::threads(2_000);
        helper.write_number(order);
        until_ended(&helper);
        load::threads(2_000);
        let exit = stream.next_exit(&mut waiter, SHORT).expect("no error").expect("an end");
        assert_eq!((exit.tgid(), raw(&exit)), (pid, Some(reaped(helper))), "{order}");
    }
    assert_ne!(stream.stats().lost, 0);
}

fn an_exit_that_a_filter_drops_is_reported_by_the_descriptor() {
    let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
    let mut stream = large_buffer().filter(own).open_processes().expect("a live connector");
    let mut waiter = ExitWaiter::new();
    let mut helpers = std::collections::HashMap::new();
    for order in ORDERS {
        let mut helper = ordered();
        waiter.add(helper.pid()).expect("a process");
        helper.write_number(order);
        helpers.insert(helper.pid(), helper);
    }
    while let Some(exit) = stream.next_exit(&mut waiter, limit()).expect("no error") {
        let helper = helpers.remove(&exit.tgid()).expect("one exit each");
        assert_eq!(raw(&exit), Some(reaped(helper)));
    }
    assert!(helpers.is_empty());
    assert_eq!(stream.stats().lost, 0);
}

/// No datagram wakes the reader, which must poll the descriptor.
fn a_wait_needs_no_event() {
    for (way, wait) in WAYS {
        let mut helper = ordered();
        let stream = silent();
        let mut waiter = ExitWaiter::new();
        waiter.add(helper.pid()).expect("a process");
        helper.write_number(3);
        let exit = must_return(way, move || wait(stream, &mut waiter, None));
        let exit = exit.expect("no error").expect("an end");
        assert_eq!(raw(&exit), Some(reaped(helper)), "{way}");
    }
}

/// Reads a stream until this process vanishes.
type UntilVanished = fn(ProcessStream, u32);

const READS: [(&str, UntilVanished); 4] = [
    (
        "blocking",
        |mut stream, tgid| {
            while !is_vanished(&stream.next_change().expect("an item"), tgid) {}
        },
    ),
    ("poll", |mut stream, tgid| {
        loop {
            let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).expect("a poll");
            while let Some(item) = stream.try_next().expect("no error") {
                if is_vanished(&item, tgid) {
                    return;
                }
            }
        }
    }),
    ("tokio", |stream, tgid| {
        on_tokio(async {
            let mut stream = stream.into_tokio().expect("a runtime");
            while !is_vanished(&stream.next_change().await.expect("an item"), tgid) {}
        });
    }),
    ("async-io", |stream, tgid| {
        futures_lite::future::block_on(async {
            let mut stream = stream.into_async_io().expect("a reactor");
            while !is_vanished(&stream.next_change().await.expect("an item"), tgid) {}
        });
    }),
];

fn is_vanished(item: &ProcessItem, tgid: u32) -> bool {
    matches!(item, ProcessItem::Change(change)
        if change.process.tgid() == tgid && change.kind == ChangeKind::Vanished)
}

/// No datagram wakes the reader for the scan of `/proc`, in which a process is missing.
fn a_scan_after_a_loss_needs_no_event() {
    for (way, read) in READS {
        let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
        let connector = builder().receive_buffer_events(50).filter(own).open();
        let connector = connector.expect("a connector");
        let fd = connector.as_fd().try_clone_to_owned().expect("a descriptor");
        let mut helper = ordered();
        let tgid = helper.pid();
        let stream = ProcessStream::new(connector).expect("/proc");
        load::threads(1_000);
        silence(&fd);
        helper.write_number(0);
        helper.wait();
        must_return(way, move || read(stream, tgid));
    }
}

fn an_ended_process_is_never_reported_as_running() {
    for timeout in [0, 5].map(Duration::from_millis) {
        for (way, wait) in WAYS {
            for is_reaped in [false, true] {
                let mut helper = ordered();
                let stream = silent();
                let mut waiter = ExitWaiter::new();
                waiter.add(helper.pid()).expect("a process");
                helper.write_number(3);
                until_ended(&helper);
                let unreaped = (!is_reaped).then_some(helper);
                let exit = wait(stream, &mut waiter, Some(timeout)).expect("no error");
                let exit = exit.unwrap_or_else(|| panic!("{way}, {timeout:?}: it has ended"));
                let is_known = !is_reaped || kernel_is_at_least(6, 15);
                assert_eq!(raw(&exit), is_known.then_some(3 << 8), "{way}, {timeout:?}");
                assert!(waiter.is_empty());
                drop(unreaped);
            }
        }
    }
}

fn a_reaped_process_has_ended_even_if_nothing_reports_it() {
    let mut helper = ordered();
    let pid = helper.pid();
    let mut stream = silent();
    helper.write_number(3);
    helper.wait();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        let exit = stream.wait_for_exit(pid, Some(timeout)).expect("a record").expect("an end");
        // Its status is in the event.
        assert_eq!((exit.tgid(), raw(&exit)), (pid, None));
        assert_eq!(exit.process().map(|process| process.tgid()), Some(pid));
    }
}

fn a_call_that_does_not_wait_knows_what_has_ended() {
    let mut helper = ordered();
    let pid = helper.pid();
    let mut stream = silent_of(builder().nonblocking(true));
    let mut waiter = ExitWaiter::new();
    waiter.add(pid).expect("a process");
    assert!(stream.wait_for_exit(pid, None).expect("a process").is_none());
    assert!(stream.next_exit(&mut waiter, None).expect("no error").is_none());
    helper.write_number(3);
    until_ended(&helper);
    let exits = [stream.wait_for_exit(pid, None), stream.next_exit(&mut waiter, None)];
    let truth = reaped(helper);
    for exit in exits {
        assert_eq!(raw(&exit.expect("a process").expect("an end")), Some(truth));
    }
}

/// Datagrams that are no events precede the events of a process: more than a batch, and few.
fn acknowledgements_of_others_hide_no_change() {
    for listeners in [1, 300] {
        let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
        let mut stream = large_buffer().filter(own).open_processes().expect("a live connector");
        while stream.try_next().expect("no error").is_some() {}
        (0..listeners).for_each(|_| drop(RawSocket::listening()));
        let helper = ordered();
        let started = std::iter::from_fn(|| stream.try_next().expect("no error")).any(|item| {
            matches!(item, ProcessItem::Change(change)
                if change.process.tgid() == helper.pid() && change.kind == ChangeKind::Started)
        });
        assert!(started, "{listeners} listeners");

        // The record of a process that starts and is reaped before the wait is found.
        (0..listeners).for_each(|_| drop(RawSocket::listening()));
        let mut helper = ordered();
        let pid = helper.pid();
        helper.write_number(0);
        helper.wait();
        stream.wait_for_exit(pid, Some(Duration::ZERO)).expect("a record").expect("an end");
    }
}

/// A tracer keeps an ended thread until it waits for it. Until then `waitpid` does not return for the
/// process, although the events of all its exits have arrived.
fn an_end_is_remembered_while_a_tracer_keeps_a_thread() {
    let mut stream = large_buffer().open_processes().expect("a live connector");
    let (mut helper, kept) = KeptThread::start();
    let (mut before, mut after) = (ExitWaiter::new(), ExitWaiter::new());
    before.add(helper.pid()).expect("a process");
    helper.resume();
    kept.until_ended();
    after.add(helper.pid()).expect("a process");
    let table = ProcessTable::new().expect("/proc");
    assert!(table.get(helper.pid()).is_none(), "none of its threads runs");
    // Longer than an event may take to arrive after the end of its process.
    let long = Some(Duration::from_millis(1_200));
    for (waiter, timeout) in [(&mut before, long), (&mut after, SHORT)] {
        let exit = stream.next_exit(waiter, timeout).expect("no error");
        assert!(exit.is_none(), "waitpid does not return, either: {exit:?}");
    }
    drop(kept);
    for waiter in [&mut before, &mut after] {
        let exit = stream.next_exit(waiter, limit()).expect("no error").expect("an end");
        assert_eq!((exit.tgid(), raw(&exit)), (helper.pid(), Some(0)));
        assert!(exit.lifetime_ns().is_some(), "{exit:?}");
        assert_eq!(exit.usage().is_some(), transport() == Transport::Ring, "{exit:?}");
    }
    assert_eq!(reaped(helper), 0);
}
