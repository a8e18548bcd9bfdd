//! Lives of processes from events with contexts, as the ring has them.

use proc_connector::parser::context::layout::UsageHdr;
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::process::ProcessTable;
use proc_connector::{ExitStatus, Received};

use super::{Child, Follower};
use crate::cli::output::chart::forest::{Forest, Io, Life, Program};
use crate::cli::pipeline::stage::Choose;

/// A process id and a creation time.
type Id = (u32, u64);

/// The program that traces, and the command.
const TRACER: Id = (50, 500);
const COMMAND: Id = (100, 1_000);

struct Stream {
    follower: Follower,
    table: ProcessTable,
    now_ns: u64,
}

impl Stream {
    fn new() -> Self {
        let program = Program::default();
        let child = Child { tgid: COMMAND.0, parent: TRACER.0, start_ns: 1, program };
        let follower = Follower::for_child(&child);
        let mut stream = Self { follower, table: ProcessTable::without_proc(), now_ns: 1_000 };
        stream.fork(TRACER, TRACER, COMMAND);
        stream
    }

    /// All processes of a recording.
    fn recorded() -> Self {
        let table = ProcessTable::without_proc();
        Self { follower: Follower::for_recording(), table, now_ns: 60_000_000_000 }
    }

    fn take(&mut self, received: &Received<'_>) {
        self.table.apply(received);
        self.follower.follow(&self.table, Some(received));
    }

    fn event(&mut self, data: EventData<'_>, context: &RawContext) {
        self.now_ns += 10;
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: self.now_ns, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram[..len]).next()
        else {
            panic!("an event");
        };
        let context = context.bytes();
        self.take(&Received::Event(event.with_context(&context)));
    }

    fn fork_of(&mut self, actor: Id, parent: Id, child: Id, child_pid: u32) {
        let data = EventData::Fork {
            parent_pid: parent.0,
            parent_tgid: parent.0,
            child_pid,
            child_tgid: child.0,
        };
        let context = RawContext::of_process(actor, TRACER).with_child_start(child.1);
        self.event(data, &context);
    }

    fn fork(&mut self, actor: Id, parent: Id, child: Id) {
        self.fork_of(actor, parent, child, child.0);
    }

    fn thread(&mut self, process: Id, pid: u32) {
        self.fork_of(process, TRACER, process, pid);
    }

    /// The exit of a thread that read some bytes: with the status of the process if it is over.
    fn exit(&mut self, pid: u32, process: Id, status: Option<u32>, read_bytes: u64) {
        let data = EventData::Exit {
            process_pid: pid,
            process_tgid: process.0,
            exit_code: 0x700,
            exit_signal: 17,
            parent_pid: COMMAND.0,
            parent_tgid: COMMAND.0,
        };
        let usage = |read_bytes: u64| UsageHdr {
            cpu_ns: 1_000.into(),
            read_bytes: read_bytes.into(),
            ..UsageHdr::default()
        };
        let extension = RawExtension {
            usage: Some(usage(read_bytes)),
            // With the I/O of children that it has waited for.
            process_usage: status.map(|_| usage(1 << 30)),
            ..RawExtension::default()
        };
        let context = RawContext::of_process(process, COMMAND).with_end(status);
        self.event(data, &context.with_extension(extension));
    }

    fn lose(&mut self) {
        let lost = r#"{"event":"lost","count":1,"cause":"overrun"}"#;
        self.take(&Received::Lost(serde_json::from_str(lost).expect("a loss")));
    }

    fn forest(self) -> Forest {
        self.follower.into_forest()
    }
}

fn lives(forest: &Forest, tgid: u32) -> Vec<&Life> {
    forest.lives.iter().filter(|life| life.tgid == tgid).collect()
}

#[test]
fn an_id_that_is_given_out_again_belongs_to_two_lives() {
    let (first, second) = ((7, 2_000), (7, 3_000));
    let mut stream = Stream::new();
    stream.fork(COMMAND, COMMAND, first);
    stream.fork(COMMAND, COMMAND, second);
    stream.exit(7, first, Some(3 << 8), 0);
    stream.exit(7, second, Some(9), 0);
    let forest = stream.forest();
    let found = lives(&forest, 7);
    let statuses: Vec<_> = found.iter().map(|life| life.status.map(ExitStatus::into_raw)).collect();
    assert_eq!(statuses, [Some(3 << 8), Some(9)]);
    assert!(found.iter().all(|life| life.usage.is_some()), "{found:?}");
}

#[test]
fn a_process_from_before_the_recording_has_no_start() {
    let (old, new) = ((7, 1_000), (8, 60_000_000_025));
    let mut stream = Stream::recorded();
    stream.fork(TRACER, TRACER, new);
    stream.follower.want();
    stream.exit(7, old, Some(0), 0);
    stream.follower.want();
    let forest = stream.forest();
    assert_eq!(lives(&forest, 7)[0].start_ns, None);
    assert!(lives(&forest, 8)[0].start_ns.is_some());
    let first = 60_000_000_000;
    assert!((first - 1_000_000_000..=first + 25).contains(&forest.begin_ns), "{forest:?}");
}

#[test]
fn a_sibling_is_below_its_creator() {
    let (creator, sibling, uncle) = ((7, 2_000), (8, 3_000), (9, 4_000));
    let mut stream = Stream::new();
    stream.fork(COMMAND, COMMAND, creator);
    // With `CLONE_PARENT`, the parent is that of the creator.
    stream.fork(creator, COMMAND, sibling);
    stream.fork(COMMAND, TRACER, uncle);
    // Not in the tree.
    stream.fork(TRACER, TRACER, (10, 5_000));
    let forest = stream.forest();
    let creator = |tgid| lives(&forest, tgid).first().and_then(|life| life.creator);
    assert_eq!((creator(8), forest.lives[creator(8).expect("one")].tgid), (Some(1), 7));
    assert_eq!(creator(9), Some(0));
    assert_eq!(lives(&forest, 10).len(), 0);
}

#[test]
fn a_process_read_what_its_threads_read() {
    let process = (7, 2_000);
    let mut stream = Stream::new();
    stream.fork(COMMAND, COMMAND, process);
    stream.thread(process, 71);
    stream.thread(process, 72);
    stream.exit(71, process, None, 10);
    stream.exit(7, process, Some(0), 200);
    stream.exit(COMMAND.0, COMMAND, Some(0), 0);
    assert_eq!(stream.follower.ended(), (true, false));
    // Two threads that exit at once both report the end.
    stream.exit(72, process, Some(0), 3_000);
    assert_eq!(stream.follower.ended(), (true, true));
    let forest = stream.forest();
    let life = lives(&forest, 7)[0];
    assert_eq!(life.io, Some(Io { read: 3_210, written: 0 }));
    assert_eq!((life.threads, life.usage.map(|usage| usage.cpu_ns)), (2, Some(1_000)));
}

#[test]
fn what_a_process_read_is_unknown_if_an_exit_is_missing() {
    let (process, other) = ((7, 2_000), (8, 3_000));
    let mut stream = Stream::new();
    stream.fork(COMMAND, COMMAND, process);
    stream.thread(process, 71);
    stream.exit(7, process, Some(0), 10);
    stream.fork(COMMAND, COMMAND, other);
    stream.lose();
    stream.exit(8, other, Some(0), 10);
    let forest = stream.forest();
    assert_eq!((lives(&forest, 7)[0].io, lives(&forest, 8)[0].io), (None, None));
}
