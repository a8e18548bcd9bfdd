//! Filters of descendants: short trees of processes beside a flood of others. The maker of the trees
//! records every process in them, and exactly their events are received.
//!
//! `PROC_CONNECTOR_TREES=10000` sets the number of trees.

mod common;

#[path = "common/behaviour/mod.rs"]
#[allow(dead_code, reason = "the behaviours themselves are not used here")]
mod behaviour;
#[path = "common/choice/maker.rs"]
mod maker;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use behaviour::programs::Programs;
use common::flood::{Flood, floods};
use common::helper_process::command;
use common::scratch::Scratch;
use common::{CAP_SYS_ADMIN, Deadline, large_buffer, load, named, require_capability, transport};
use maker::{Record, makes_trees};
use proc_connector::parser::filter::TreeRoot;
use proc_connector::{Event, Filter, Payload, ProcConnector, Received, Transport};

fn main() -> ExitCode {
    let roles = named![makes_trees, floods];
    common::main(&roles, &named![short_trees_are_complete_beside_a_flood])
}

/// Trees that exist at a time. All of them are in one filter.
const BATCH: u32 = 32;

/// The number of trees.
fn count() -> u32 {
    let count = std::env::var("PROC_CONNECTOR_TREES").ok();
    count.map_or(256, |count| count.parse().expect("PROC_CONNECTOR_TREES is a number"))
}

fn short_trees_are_complete_beside_a_flood() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let scratch = Scratch::new("trees");
    Programs::write_all(scratch.directory());
    let _flood = Flood::start();
    let mut connector = large_buffer()
        .filter(Filter::new(proc_connector::EventMask::empty()))
        .open()
        .expect("a live connector");
    let mut total = 0;
    for batch in 0..count().div_ceil(BATCH) {
        let mut maker = Maker::start(&scratch.file(""), batch);
        let filter = Filter::default().descendants_of(&maker.roots()).expect("few enough");
        // A new connector and one with a changed filter.
        if batch % 2 == 0 {
            connector.set_filter(&filter).expect("a filter");
        } else {
            connector = large_buffer().filter(filter).open().expect("a live connector");
        }
        maker.resume();
        let mut seen = Seen::default();
        let expected = loop {
            seen.take(&mut connector, Duration::from_millis(1));
            if let Some(expected) = maker.records() {
                break expected;
            }
        };
        let deadline = Deadline::new();
        while !seen.has(&expected) && deadline.left().is_some() {
            seen.take(&mut connector, Duration::from_millis(10));
        }
        // Further events would have been sent before these.
        for cpu in [load::cpus(), load::cpus()].concat() {
            load::thread_on(cpu);
        }
        while seen.take(&mut connector, Duration::ZERO) {}
        total += seen.0.values().sum::<u32>();
        assert_eq!(seen.differences(&expected), "", "batch {batch}");
    }
    eprintln!("{} trees, {total} events", count().next_multiple_of(BATCH));
}

/// A running maker.
struct Maker {
    child: Child,
    lines: Receiver<String>,
    records: Vec<Record>,
}

impl Maker {
    fn start(programs: &str, seed: u32) -> Self {
        // Over the socket, an event does not name the creator of a sibling.
        let with_siblings = transport() == Transport::Ring;
        let mut command = command("makes_trees");
        command.arg(programs).args([BATCH, seed].map(|number| number.to_string()));
        command.arg(with_siblings.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this binary can be started");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.expect("text")).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, records: Vec::new() }
    }

    /// The roots of the trees, which wait.
    fn roots(&mut self) -> Vec<TreeRoot> {
        let mut roots = Vec::new();
        loop {
            let record = Record::read(&self.lines.recv().expect("a record"));
            match record {
                Record::Root(pid) => roots.push(TreeRoot::new(pid)),
                _ => break,
            }
            self.records.push(record);
        }
        roots
    }

    fn resume(&mut self) {
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin.write_all(b"\n").expect("the maker reads");
    }

    /// All expected events, once all processes of the trees have ended.
    fn records(&mut self) -> Option<BTreeMap<Sign, u32>> {
        loop {
            match self.lines.try_recv() {
                Ok(line) => self.records.push(Record::read(&line)),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => break,
            }
        }
        assert!(self.child.wait().expect("a child").success());
        let mut expected = BTreeMap::new();
        for record in &self.records {
            for sign in signs(*record) {
                *expected.entry(sign).or_default() += 1;
            }
        }
        Some(expected)
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// The creation of a process.
    Process(u32),
    /// The creation of a thread in a process.
    Thread(u32, u32),
    /// The exit of a thread of a process.
    Exit(u32, u32),
    Exec(u32),
    Session(u32),
    Trace(u32),
    Other(u32, u32),
}

/// The events of a record.
fn signs(record: Record) -> Vec<Sign> {
    match record {
        Record::Root(pid) => vec![Sign::Exit(pid, pid)],
        Record::Process(pid) => vec![Sign::Process(pid), Sign::Exit(pid, pid)],
        Record::Thread(pid, thread) => vec![Sign::Thread(pid, thread), Sign::Exit(pid, thread)],
        Record::Exec(pid) => vec![Sign::Exec(pid)],
        Record::Session(pid) => vec![Sign::Session(pid)],
        Record::Traced(pid) => vec![Sign::Trace(pid), Sign::Trace(pid)],
        Record::Ready => Vec::new(),
    }
}

fn sign(event: &Event<'_>) -> Sign {
    match event.payload() {
        Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
            Sign::Process(fork.child_tgid())
        }
        Payload::Fork(fork) => Sign::Thread(fork.child_tgid(), fork.child_pid()),
        Payload::Exit(exit) => Sign::Exit(exit.process_tgid(), exit.process_pid()),
        Payload::Exec(exec) => Sign::Exec(exec.process_tgid()),
        Payload::Sid(sid) => Sign::Session(sid.process_tgid()),
        Payload::Ptrace(ptrace) => Sign::Trace(ptrace.process_tgid()),
        _ => Sign::Other(event.what(), event.process().map_or(0, |process| process.tgid)),
    }
}

/// The received events.
#[derive(Debug, Default)]
struct Seen(BTreeMap<Sign, u32>);

impl Seen {
    /// Receives a batch. Returns whether it had an event.
    fn take(&mut self, connector: &mut ProcConnector, time: Duration) -> bool {
        let mut has_any = false;
        for received in connector.recv_batch_timeout(time).expect("a batch") {
            match received {
                Received::Event(event) => *self.0.entry(sign(&event)).or_default() += 1,
                Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
            }
            has_any = true;
        }
        has_any
    }

    fn has(&self, expected: &BTreeMap<Sign, u32>) -> bool {
        expected.iter().all(|(sign, count)| self.0.get(sign) >= Some(count))
    }

    fn differences(&self, expected: &BTreeMap<Sign, u32>) -> String {
        let signs = self.0.keys().chain(expected.keys());
        let mut differences: Vec<String> = signs
            .filter(|sign| self.0.get(sign) != expected.get(sign))
            .map(|sign| format!("{sign:?}: {:?}, not {:?}", self.0.get(sign), expected.get(sign)))
            .collect();
        differences.sort();
        differences.dedup();
        differences.join("\n")
    }
}
