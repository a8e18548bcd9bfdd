//! A table, and the events that it receives.

use proc_connector_core::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::{EventData, EventRecord, ExitStatus, Notification, Notifications};

use super::fake_proc::{FakeProc, INIT, Id};
use crate::process::change::ChangeKind;
use crate::process::process::Process;
use crate::process::table::ProcessTable;
use crate::stream::{LossCause, Lost, Received};

/// A change: its kind, and the process with its creation time.
pub(super) type Reported = (ChangeKind, u32, Option<u64>);

/// A table, and the time of the next event.
pub(super) struct Stream {
    pub(super) table: ProcessTable,
    pub(super) now_ns: u64,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self { table: ProcessTable::without_proc(), now_ns: 1_000 }
    }

    /// A table of a machine with these processes, and the `/proc` that it reads.
    pub(super) fn with_proc(processes: &[Id]) -> (Self, FakeProc) {
        let proc = FakeProc::default();
        proc.set(processes);
        let table = ProcessTable::with_source(Box::new(proc.clone())).expect("a machine");
        (Self { table, now_ns: 1_000 }, proc)
    }

    pub(super) fn apply(&mut self, data: EventData<'_>, context: &RawContext) -> Vec<Reported> {
        self.apply_with(data, &context.bytes())
    }

    /// Applies an event without a context, as the socket receives it.
    pub(super) fn apply_bare(&mut self, data: EventData<'_>) -> Vec<Reported> {
        self.apply_with(data, &[])
    }

    fn apply_with(&mut self, data: EventData<'_>, context: &[u8]) -> Vec<Reported> {
        self.now_ns += 1;
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns: self.now_ns, data };
        record.encode_native(&mut datagram).expect("a buffer of the maximum length");
        let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
            panic!("an event")
        };
        let changes = self.table.apply(&Received::Event(event.with_context(context)));
        let row = |process: &Process| (process.tgid(), process.start_boottime_ns());
        changes
            .map(|change| (change.kind, row(change.process)))
            .map(|(k, (t, s))| (k, t, s))
            .collect()
    }

    pub(super) fn fork(&mut self, creator: Id, parent: Id, child: Id) -> Vec<Reported> {
        let data = EventData::Fork {
            parent_pid: parent.0,
            parent_tgid: parent.0,
            child_pid: child.0,
            child_tgid: child.0,
        };
        // The creator's parent is `parent` with `CLONE_PARENT`, or else init.
        let creators_parent = if creator == parent { INIT } else { parent };
        let context = RawContext::of_process(creator, creators_parent).with_child_start(child.1);
        self.apply(data, &context)
    }

    /// A fork by init, with its pid namespace.
    pub(super) fn fork_in(&mut self, child: Id, css_set: u64) -> Vec<Reported> {
        let data = EventData::Fork {
            parent_pid: INIT.0,
            parent_tgid: INIT.0,
            child_pid: child.0,
            child_tgid: child.0,
        };
        let task = TaskHdr { css_set: css_set.into(), ..TaskHdr::default() };
        let recorded = Recorded::CSS_SET;
        let extension = RawExtension { recorded, task, ..RawExtension::default() };
        let context = RawContext::of_process(INIT, (0, 0)).with_child_start(child.1);
        self.apply(data, &context.with_extension(extension))
    }

    pub(super) fn thread(&mut self, process: Id, child_pid: u32) -> Vec<Reported> {
        let (parent, child_tgid) = (INIT.0, process.0);
        let data =
            EventData::Fork { parent_pid: parent, parent_tgid: parent, child_pid, child_tgid };
        self.apply(data, &RawContext::of_process(process, INIT))
    }

    pub(super) fn exec(&mut self, process: Id, extension: Option<RawExtension>) -> Vec<Reported> {
        let data = EventData::Exec { process_pid: process.0, process_tgid: process.0 };
        let context = RawContext { extension, ..RawContext::of_process(process, INIT) };
        self.apply(data, &context)
    }

    /// The exit of a thread, and the status of the process if it is over.
    pub(super) fn exit(
        &mut self,
        process: Id,
        pid: u32,
        code: u32,
        over: Option<u32>,
    ) -> Vec<Reported> {
        self.exit_with(process, pid, code, over, None)
    }

    pub(super) fn exit_with(
        &mut self,
        process: Id,
        process_pid: u32,
        exit_code: u32,
        over: Option<u32>,
        process_usage: Option<UsageHdr>,
    ) -> Vec<Reported> {
        let data = EventData::Exit {
            process_pid,
            process_tgid: process.0,
            exit_code,
            exit_signal: 17,
            parent_pid: INIT.0,
            parent_tgid: INIT.0,
        };
        let mut context = RawContext::of_process(process, INIT).with_end(over);
        context.extension = process_usage
            .map(|usage| RawExtension { process_usage: Some(usage), ..RawExtension::default() });
        self.apply(data, &context)
    }

    pub(super) fn lose(&mut self) {
        let lost = Lost { count: Some(1), cause: LossCause::Overrun };
        self.table.apply(&Received::Lost(lost));
    }

    pub(super) fn status(&self, (tgid, start): Id) -> Option<u32> {
        let mut ended = self.table.ended();
        let process = ended
            .find(|process| (process.tgid(), process.start_boottime_ns()) == (tgid, Some(start)));
        process.and_then(Process::exit_status).map(ExitStatus::into_raw)
    }
}

pub(super) fn started((tgid, start): Id) -> Reported {
    (ChangeKind::Started, tgid, Some(start))
}

pub(super) fn ended((tgid, start): Id) -> Reported {
    (ChangeKind::Ended, tgid, Some(start))
}

pub(super) fn thread_ended((tgid, start): Id, pid: u32) -> Reported {
    (ChangeKind::ThreadEnded(pid), tgid, Some(start))
}

/// The program of an exec with these arguments.
pub(super) fn program(args: &str) -> RawExtension {
    let exec = ExecHdr { ino: 77.into(), ..ExecHdr::default() };
    let task = TaskHdr {
        comm: *b"ls\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        uid_gid: (1_001_u64 << 32 | 0x3e8).into(),
        euid_egid: (1_003_u64 << 32 | 0x3ea).into(),
        session: 20.into(),
        tty: (136 << 20_u32).into(),
        login_uid: 1_000.into(),
        audit_session: 3.into(),
        ns_tgid: 2.into(),
        pid_ns: 4_026_531_836_u32.into(),
        ..TaskHdr::default()
    };
    let recorded = Recorded::COMM
        | Recorded::UID_GID
        | Recorded::EUID_EGID
        | Recorded::SESSION
        | Recorded::TTY
        | Recorded::AUDIT
        | Recorded::PID_NS;
    let parts = [args.as_bytes(), b"./ls", b"ls\0bin\0", b"root\0"];
    RawExtension { recorded, task, ..RawExtension::default() }.with_exec(exec, parts)
}
