//! The end of a process that was waited for.

use std::sync::Arc;

use proc_connector_core::ExitStatus;

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
    /// `None` if it is unknown. A [stream](super::super::ProcessStream) knows it unless the event was
    /// lost. Without the event, the kernel reports the status
    ///
    /// - of a child of this process that was not reaped yet;
    /// - since Linux 6.15, of any process that was reaped after the wait started, and of an
    ///   unreaped process that this process may inspect (the same user, or `CAP_SYS_PTRACE`).
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
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
