//! The time of the process table is proportional to the number of events for any shape: chains,
//! many children, threads, reused ids, and revived processes.

#[path = "common/wire.rs"]
mod wire;

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proc_connector::Received;
use proc_connector::parser::{Notification, Notifications};
use proc_connector::process::ProcessTable;
use wire::{EXEC, EXIT, FORK, event};

/// The factor by which the number of events grows.
const LARGER: u32 = 8;

/// The factor by which the time may grow. With a linear scan per event, it grows by the square of
/// `LARGER`, more than twice as much.
const LONGER: u32 = 26;

/// The default number of ended processes that a table keeps.
const KEPT: usize = 4_096;

/// An event of a shape.
#[derive(Clone, Copy)]
enum Step {
    /// A parent and its new process.
    Fork(u32, u32),
    /// A process and its new thread.
    Thread(u32, u32),
    Exec(u32),
    Exit(u32),
    ThreadExit(u32, u32),
}

impl Step {
    fn datagram(self, time: u64) -> Vec<u8> {
        let mut datagram = match self {
            Self::Fork(parent, child) => event(FORK, &[parent, parent, child, child]),
            Self::Thread(process, thread) => event(FORK, &[1, 1, thread, process]),
            Self::Exec(process) => event(EXEC, &[process, process]),
            Self::Exit(process) => event(EXIT, &[process, process]),
            Self::ThreadExit(process, thread) => event(EXIT, &[thread, process]),
        };
        datagram[44..52].copy_from_slice(&time.to_ne_bytes());
        datagram
    }
}

type Shape = fn(u32) -> Vec<Step>;

/// Each process creates the next. They end in the same order.
fn a_chain(n: u32) -> Vec<Step> {
    let forks = (1..n).map(|id| Step::Fork(id, id + 1));
    forks.chain((1..=n).map(Step::Exit)).collect()
}

/// A chain in which each process also has children that outlive it.
fn a_hedge(n: u32) -> Vec<Step> {
    let n = n / 3;
    let forks = (1..n).flat_map(move |id| {
        [Step::Fork(id, n + id), Step::Fork(id, 2 * n + id), Step::Fork(id, id + 1)]
    });
    forks.chain((1..=n).map(Step::Exit)).collect()
}

/// Many children of one process, which ends before them.
fn a_crowd(n: u32) -> Vec<Step> {
    let forks = (2..n).map(|id| Step::Fork(1, id));
    forks.chain((1..n).map(Step::Exit)).collect()
}

/// Threads of one process; the youngest has the lowest id and exits last.
fn threads(n: u32) -> Vec<Step> {
    let starts = (6..n).rev().map(|id| Step::Thread(5, id));
    starts.chain((6..n).rev().map(|id| Step::ThreadExit(5, id))).collect()
}

/// The same threads, ended by an exec before their exits are reported.
fn threads_and_an_exec(n: u32) -> Vec<Step> {
    let starts = (6..n).map(|id| Step::Thread(5, id)).chain([Step::Exec(5)]);
    starts.chain((6..n).rev().map(|id| Step::ThreadExit(5, id))).collect()
}

/// Ids that are reused before their exits are reported.
fn reused_ids(n: u32) -> Vec<Step> {
    let forks = (0..2 * n).map(move |id| Step::Fork(1, 2 + id % n));
    forks.chain((2..n).rev().map(Step::Exit)).collect()
}

/// The CPU time of a table that keeps this number of ended processes.
fn time(shape: Shape, n: u32, kept: usize) -> Duration {
    let datagrams: Vec<Vec<u8>> =
        (1..).zip(shape(n)).map(|(time, step)| step.datagram(time)).collect();
    // The minimum of several runs, because other programs may run.
    let times = (0..3).map(|_| {
        let mut table = ProcessTable::without_proc().keep_ended(kept, Duration::from_secs(60));
        let start = processor_time();
        for datagram in &datagrams {
            apply(&mut table, datagram);
        }
        processor_time().saturating_sub(start)
    });
    times.min().expect("three")
}

fn apply(table: &mut ProcessTable, datagram: &[u8]) {
    let Some(Ok(Notification::Event(event))) = Notifications::new(datagram).next() else {
        panic!("an event")
    };
    table.apply(&Received::Event(event)).for_each(|_| ());
}

/// The CPU time of this thread, which excludes other programs.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

#[test]
fn processing_time_is_linear_in_the_number_of_events() {
    let shapes: [(&str, Shape); 6] = [
        ("a chain", a_chain),
        ("a hedge", a_hedge),
        ("a crowd", a_crowd),
        ("threads", threads),
        ("threads and an exec", threads_and_an_exec),
        ("ids given away", reused_ids),
    ];
    for (name, shape) in shapes {
        let few = 3_000;
        let (short, long) = (time(shape, few, KEPT), time(shape, few * LARGER, KEPT));
        println!("{name}: {short:?}, {long:?}");
        assert!(
            long < short * LONGER,
            "{name}: {short:?}, and {long:?} for {LARGER} times as many"
        );
    }
}

/// Events of unknown processes do not search the ended processes linearly.
#[test]
fn ended_processes_are_not_searched() {
    /// Exits of unknown processes, among as many ended processes as a table keeps.
    fn strangers(n: u32) -> Vec<Step> {
        (1..=n).map(Step::Exit).collect()
    }
    /// Exits, each followed by an exec that revives the process, repeatedly.
    fn revived(n: u32) -> Vec<Step> {
        let round = |_| (1..=4_000).flat_map(|id| [Step::Exit(id), Step::Exec(id)]);
        let last = (1..=4_000).map(Step::Exit);
        (0..n / 4_000).flat_map(round).chain(last).collect()
    }
    for (name, shape) in [("strangers", strangers as Shape), ("revived", revived)] {
        let (few, many) = (time(shape, 12_000, 16), time(shape, 12_000, KEPT));
        println!("{name}: {few:?}, {many:?}");
        assert!(many < few * 8, "{name}: {few:?}, and {many:?} with more that ended");
    }
}

#[test]
fn children_of_an_ended_parent_are_reparented() {
    let mut table = ProcessTable::without_proc();
    let known = [Step::Exec(1)].into_iter();
    for (time, step) in (1..).zip(known.chain(a_hedge(30))) {
        apply(&mut table, &step.datagram(time));
        for process in table.iter() {
            let parent = process.parent().map(|parent| table.get(parent).is_some());
            assert_ne!(parent, Some(false), "{process:?}");
        }
    }
    assert_eq!(table.len(), 2 * 9);
}
