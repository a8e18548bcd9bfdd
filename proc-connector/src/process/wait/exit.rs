//! The end of a process that was waited for.

use std::sync::Arc;

use proc_connector_core::{ExitStatus, Usage};

use super::super::identity::ProcessId;
use super::super::process::Process;

/// How a process ended.
#[derive(Clone, Debug)]
pub struct ProcessExit {
    tgid: u32,
    status: Option<ExitStatus>,
    process: Option<Arc<Process>>,
}

impl ProcessExit {
    /// `status` takes precedence over that of the process.
    pub(super) fn new(
        tgid: u32,
        status: Option<ExitStatus>,
        process: Option<Arc<Process>>,
    ) -> Self {
        Self { tgid, status, process }
    }

    /// The exit of a process that the table has recorded as ended.
    pub(crate) fn recorded(process: Arc<Process>) -> Self {
        Self::new(process.tgid(), process.exit_status(), Some(process))
    }

    /// The process id.
    pub fn tgid(&self) -> u32 {
        self.tgid
    }

    /// The status that `waitpid(2)` returns for the process.
    ///
    /// The kernel reports it by the descriptor of the process
    ///
    /// - for a child of this process that was not reaped;
    /// - since Linux 6.15, for any process that was reaped after the wait started, and for an
    ///   unreaped process that this process may inspect (the same user, or `CAP_SYS_PTRACE`).
    ///
    /// Otherwise it is the status that a [stream](super::super::ProcessStream) has of the process.
    /// `None` if there is no stream, or if its event was lost.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// What identifies the process for ever, if the stream has it.
    pub fn id(&self) -> Option<ProcessId> {
        self.process.as_ref()?.id()
    }

    /// What all threads of the process used, if the stream has it.
    pub fn usage(&self) -> Option<Usage> {
        self.process.as_ref()?.usage()
    }

    /// The process in its last known state. `None` without a stream.
    pub fn process(&self) -> Option<&Arc<Process>> {
        self.process.as_ref()
    }

    /// The time from creation to end, in nanoseconds, if the stream has both.
    pub fn lifetime_ns(&self) -> Option<u64> {
        self.process.as_ref()?.lifetime_ns()
    }
}
