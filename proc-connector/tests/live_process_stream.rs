//! The stream of processes, for every way to read it, compared with what the processes did.

mod common;

use std::collections::VecDeque;
use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::helper_process::{HelperProcess, pause, print_number, run_to_end};
use common::{Deadline, PATIENCE, builder, large_buffer, load, named};
use futures_lite::StreamExt;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proc_connector::process::{
    ChangeKind, ChangeKinds, ProcessChange, ProcessItem, ProcessStream, ProcessTable, WaitError,
};
use proc_connector::{Error, Filter, ProcConnector};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

fn main() -> ExitCode {
    let roles = named![exits_3, pauses];
    let everywhere = named![items_and_streams_can_be_sent_to_other_threads];
    let live = named![
        a_life_is_yielded_by_every_way_to_read,
        only_chosen_kinds_are_yielded,
        the_descriptor_is_readable_while_changes_are_queued,
        the_descriptor_is_not_readable_after_everything_was_read,
        after_a_loss_every_way_to_read_yields_what_vanished,
        a_timeout_without_changes_returns,
        a_non_blocking_stream_does_not_wait,
        a_shutdown_ends_the_iterator_after_the_queued_changes,
        a_shutdown_ends_asynchronous_streams,
        a_cancelled_future_loses_no_change,
        asynchronous_streams_wait_for_exits,
        a_stream_of_first_threads_only_reports_processes,
    ];
    common::main_with(&roles, &everywhere, &live)
}

fn exits_3() {
    std::process::exit(3)
}

fn pauses() {
    print_number(1);
    pause();
}

fn stream() -> ProcessStream {
    large_buffer().open_processes().expect("a live connector")
}

/// A way to read a stream. Calls the function for each item until it returns true.
type Read = fn(ProcessStream, &mut dyn FnMut(ProcessItem) -> bool);

/// Every way to read a stream to a certain item.
const WAYS: [(&str, Read); 8] = [
    ("Iterator", |stream, is_last| {
        stream.map(|item| item.expect("an item")).any(is_last);
    }),
    (
        "next_change",
        |mut stream, is_last| {
            while !is_last(stream.next_change().expect("an item")) {}
        },
    ),
    ("next_change_timeout", |mut stream, is_last| {
        let deadline = Deadline::new();
        let mut next = || {
            let time = deadline.left().expect("an item in time").min(Duration::from_millis(1));
            stream.next_change_timeout(time).expect("no error")
        };
        while !next().is_some_and(&mut *is_last) {}
    }),
    ("poll", |mut stream, is_last| {
        loop {
            wait_readable(&stream);
            while let Some(item) = stream.try_next().expect("no error") {
                if is_last(item) {
                    return;
                }
            }
        }
    }),
    ("poll for each item", |mut stream, is_last| {
        loop {
            wait_readable(&stream);
            if stream.try_next().expect("no error").is_some_and(&mut *is_last) {
                return;
            }
        }
    }),
    ("tokio", |stream, is_last| {
        on_tokio(async {
            let mut stream = stream.into_tokio().expect("a runtime");
            while !is_last(stream.next().await.expect("no end").expect("an item")) {}
        });
    }),
    ("AsyncFd, edge-triggered", |stream, is_last| {
        on_tokio(async {
            let mut fd = on_reactor(stream).expect("a reactor");
            loop {
                let mut guard = fd.readable_mut().await.expect("a descriptor");
                let stream = guard.get_inner_mut();
                while let Some(item) = stream.try_next().expect("no error") {
                    if is_last(item) {
                        return;
                    }
                }
                guard.clear_ready();
            }
        });
    }),
    ("async-io", |stream, is_last| {
        futures_lite::future::block_on(async {
            let mut stream = stream.into_async_io().expect("a reactor");
            while !is_last(stream.next_change().await.expect("an item")) {}
        });
    }),
];

#[allow(deprecated, reason = "its replacement is unsafe")]
fn on_reactor(stream: ProcessStream) -> std::io::Result<AsyncFd<ProcessStream>> {
    AsyncFd::with_interest(stream, Interest::READABLE)
}

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime").block_on(future)
}

fn is_readable(stream: &ProcessStream, timeout: PollTimeout) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, timeout).expect("a poll") > 0
}

fn wait_readable(stream: &ProcessStream) {
    assert!(
        is_readable(stream, PollTimeout::try_from(PATIENCE).expect("less than a month")),
        "it becomes readable"
    );
}

/// The change of an item, if it is of this process.
fn change_of(item: ProcessItem, tgid: u32) -> Option<ProcessChange> {
    match item {
        ProcessItem::Change(change) if change.process.tgid() == tgid => Some(change),
        _ => None,
    }
}

fn items_and_streams_can_be_sent_to_other_threads() {
    fn assert_owned<T: Send + Sync + 'static>() {}
    assert_owned::<ProcessItem>();
    assert_owned::<ProcessStream>();
}

fn a_life_is_yielded_by_every_way_to_read() {
    for (way, read) in WAYS {
        let stream = stream();
        let helper = HelperProcess::start("exits_3");
        let (pid, (sender, receiver)) = (helper.pid(), mpsc::channel());
        read(stream, &mut |item| {
            let Some(change) = change_of(item, pid) else { return false };
            let is_last = change.kind == ChangeKind::Ended;
            sender.send(change).expect("a receiver");
            is_last
        });
        drop(sender);
        let truth = helper.wait();
        // Examined in another thread, after the stream was dropped.
        let examine = move || {
            let changes: Vec<ProcessChange> = receiver.iter().collect();
            let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
            assert_eq!(
                kinds,
                [ChangeKind::Started, ChangeKind::Executed, ChangeKind::Ended],
                "{way}"
            );
            let [started, _, ended] = &changes[..] else { panic!("three changes") };
            assert!(started.process.is_alive() && !ended.process.is_alive(), "{way}");
            assert_eq!(started.process.parent(), Some(std::process::id()), "{way}");
            let status = ended.process.exit_status().expect("a status").into_raw();
            assert_eq!(i32::try_from(status), Ok(truth.into_raw()), "{way}");
        };
        thread::spawn(examine).join().expect("no panic");
    }
}

fn only_chosen_kinds_are_yielded() {
    let mut stream = stream().only(ChangeKinds::ENDED);
    let helpers: Vec<_> = (0..20).map(|_| HelperProcess::start("exits_3")).collect();
    let mut expected: Vec<u32> = helpers.iter().map(HelperProcess::pid).collect();
    while !expected.is_empty() {
        let limit = Deadline::new().left().expect("time");
        let item = stream.next_change_timeout(limit).expect("no error").expect("an end");
        let ProcessItem::Change(change) = item else { panic!("{item:?}") };
        assert_eq!(change.kind, ChangeKind::Ended);
        expected.retain(|&pid| pid != change.process.tgid());
    }
    // The table has applied the other changes.
    let table = stream.table();
    assert!(helpers.iter().all(|helper| table.get(helper.pid()).is_none()));
}

fn the_descriptor_is_readable_while_changes_are_queued() {
    let mut stream = stream();
    let helper = HelperProcess::start("exits_3");
    let pid = helper.pid();
    // After its exit all events of the process have been sent, so that no further one of its
    // events makes the descriptor readable.
    helper.wait();
    let mut kinds = VecDeque::from([ChangeKind::Started, ChangeKind::Executed, ChangeKind::Ended]);
    while let Some(kind) = kinds.front() {
        assert!(is_readable(&stream, PollTimeout::ZERO), "{kind:?} is unread");
        let item = stream.try_next().expect("no error");
        let change = item.and_then(|item| change_of(item, pid));
        if change.is_some_and(|change| change.kind == *kind) {
            kinds.pop_front();
        }
    }
}

fn the_descriptor_is_not_readable_after_everything_was_read() {
    let mut stream = stream();
    let deadline = Deadline::new();
    run_to_end("exits_3");
    wait_readable(&stream);
    loop {
        while stream.try_next().expect("no error").is_some() {}
        // Another process may have caused an event meanwhile.
        if !is_readable(&stream, PollTimeout::ZERO) {
            return;
        }
        assert!(deadline.left().is_some(), "it is always readable");
    }
}

/// The only events are those of this process, which causes none while it reads: the stream must
/// wake up for the scan of `/proc`.
fn after_a_loss_every_way_to_read_yields_what_vanished() {
    for (way, read) in WAYS {
        let own = Filter::default().only_tgids(&[std::process::id()]).expect("one id");
        let connector = builder().receive_buffer_events(50).filter(own).open();
        let stream = ProcessStream::new(connector.expect("a connector")).expect("/proc");
        let helper = HelperProcess::start("pauses");
        let pid = helper.pid();
        load::threads(1_000);
        let (has_appeared, losses) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (mut helper, mut before) = (Some(helper), 0);
        // Once the helper has been found, ends it, and creates events until a loss is read. A reader
        // that is fast enough loses nothing at first.
        let end_it = || {
            if has_appeared.load(Relaxed) && helper.take().is_some() {
                before = losses.load(Relaxed);
            }
            if helper.is_none() && losses.load(Relaxed) == before {
                load::threads(1_000);
            } else {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let deadline = Deadline::new();
        load::repeat_during(end_it, || {
            read(stream, &mut |item| {
                assert!(deadline.left().is_some(), "{way}: no end");
                if matches!(item, ProcessItem::Lost(_)) {
                    losses.fetch_add(1, Relaxed);
                }
                let Some(change) = change_of(item, pid) else { return false };
                if change.process.is_alive() {
                    has_appeared.store(true, Relaxed);
                }
                change.kind == ChangeKind::Vanished
            });
        });
        assert!(losses.load(Relaxed) > 0, "{way}");
    }
}

fn a_timeout_without_changes_returns() {
    let mut stream = stream().only(ChangeKinds::empty());
    assert!(stream.next_change_timeout(Duration::from_millis(20)).expect("no error").is_none());
    run_to_end("exits_3");
    assert!(stream.next_change_timeout(Duration::from_millis(20)).expect("no error").is_none());
    assert!(stream.try_next().expect("no error").is_none());
}

fn a_non_blocking_stream_does_not_wait() {
    let mut stream = builder().nonblocking(true).open_processes().expect("a connector");
    let deadline = Deadline::new();
    loop {
        match stream.next_change() {
            Err(Error::WouldBlock) => break,
            other => drop(other.expect("an item")),
        }
        assert!(deadline.left().is_some(), "a quiet moment");
    }
    let helper = HelperProcess::start("pauses");
    let waited = stream.wait_for_exit(helper.pid(), None).expect("a process");
    assert!(waited.is_none(), "it is running");
}

fn a_shutdown_ends_the_iterator_after_the_queued_changes() {
    let mut stream = stream();
    let helper = HelperProcess::start("exits_3");
    let pid = helper.pid();
    stream.wait_for_exit(pid, Deadline::new().left()).expect("a process").expect("an end");
    stream.shutdown_handle().shutdown().expect("no error");
    let kinds: Vec<_> = stream
        .by_ref()
        .filter_map(|item| change_of(item.expect("an item"), pid))
        .map(|change| change.kind)
        .collect();
    assert_eq!(kinds, [ChangeKind::Started, ChangeKind::Executed, ChangeKind::Ended]);
    assert!(matches!(stream.next_change(), Err(Error::Shutdown)));

    // A blocked iterator ends, too.
    let stream = self::stream().only(ChangeKinds::empty());
    let shutdown = stream.shutdown_handle();
    let reader = thread::spawn(move || stream.count());
    shutdown.shutdown().expect("no error");
    assert_eq!(reader.join().expect("no panic"), 0);
}

fn a_shutdown_ends_asynchronous_streams() {
    on_tokio(async {
        let stream = stream().only(ChangeKinds::empty());
        let mut stream = stream.into_tokio().expect("a runtime");
        let shutdown = stream.shutdown_handle();
        let thread = thread::spawn(move || shutdown.shutdown());
        assert!(stream.next().await.is_none());
        assert!(matches!(stream.next_change().await, Err(Error::Shutdown)));
        let helper = HelperProcess::start("pauses");
        let waited = stream.wait_for_exit(helper.pid(), None).await;
        assert!(matches!(waited, Err(WaitError::Receive(Error::Shutdown))), "{waited:?}");
        thread.join().expect("no panic").expect("no error");
    });
}

fn a_cancelled_future_loses_no_change() {
    let ends = ChangeKinds::ENDED;
    let mut expected = Vec::new();
    on_tokio(async {
        let mut stream = stream().only(ends).into_tokio().expect("a runtime");
        let deadline = Deadline::new();
        for _ in 0..20 {
            expected.push(run_to_end("exits_3"));
            let time = Duration::from_micros(200);
            if let Ok(item) = tokio::time::timeout(time, stream.next_change()).await {
                if let ProcessItem::Change(change) = item.expect("an item") {
                    expected.retain(|&pid| pid != change.process.tgid());
                }
            }
        }
        while !expected.is_empty() {
            let time = deadline.left().expect("an end of each process");
            let item = tokio::time::timeout(time, stream.next_change()).await.expect("in time");
            if let ProcessItem::Change(change) = item.expect("an item") {
                expected.retain(|&pid| pid != change.process.tgid());
            }
        }
    });
}

fn asynchronous_streams_wait_for_exits() {
    let assert_status = |status: Option<proc_connector::ExitStatus>, helper: HelperProcess| {
        let status = status.expect("a status").into_raw();
        assert_eq!(i32::try_from(status), Ok(helper.wait().into_raw()));
    };
    on_tokio(async {
        let mut stream = stream().into_tokio().expect("a runtime");
        let helper = HelperProcess::start("exits_3");
        let exit = stream.wait_for_exit(helper.pid(), Deadline::new().left()).await;
        let exit = exit.expect("a process").expect("an end");
        assert!(exit.lifetime_ns().is_some());
        assert_status(exit.status(), helper);
        let helper = HelperProcess::start("pauses");
        let time = Some(Duration::from_millis(5));
        assert!(stream.wait_for_exit(helper.pid(), time).await.expect("a process").is_none());
    });
    futures_lite::future::block_on(async {
        let mut stream = stream().into_async_io().expect("a reactor");
        let helper = HelperProcess::start("exits_3");
        let exit = stream.wait_for_exit(helper.pid(), Deadline::new().left()).await;
        assert_status(exit.expect("a process").expect("an end").status(), helper);
    });
}

fn a_stream_of_first_threads_only_reports_processes() {
    let filter = Filter::default().processes_only();
    let connector: ProcConnector = large_buffer().filter(filter).open().expect("a connector");
    let table = ProcessTable::new().expect("/proc is mounted");
    let mut stream = ProcessStream::with_table(connector, table).expect("descriptors");
    load::threads(10);
    let helper = HelperProcess::start("exits_3");
    let exit = stream.wait_for_exit(helper.pid(), Deadline::new().left());
    assert!(exit.expect("a process").expect("an end").status().is_some());
    while let Some(item) = stream.try_next().expect("no error") {
        let ProcessItem::Change(change) = item else { continue };
        assert!(!matches!(change.kind, ChangeKind::ThreadStarted(_)), "{change:?}");
    }
}
