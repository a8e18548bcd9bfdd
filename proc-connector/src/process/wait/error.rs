//! Why a wait for an exit fails.

use std::io;

use crate::error::Error;

/// An error of waiting for a process to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The number is zero or exceeds the largest possible process id.
    #[error("{0} is not a process id")]
    InvalidPid(u32),

    /// The process would wait for its own end.
    #[error("a process cannot wait for its own end")]
    OwnProcess,

    /// No process has this id. If one had it, it was reaped, and the stream, if there is one, has no
    /// record of its end.
    #[error("no process has the id {0}")]
    NoSuchProcess(u32),

    /// The id is that of a thread other than the first of its process.
    #[error("{tid} is the id of a thread{}", of_process(*.tgid))]
    Thread {
        /// The thread id.
        tid: u32,
        /// The process that the thread belongs to, if `/proc` shows it.
        tgid: Option<u32>,
    },

    /// The system has no process descriptors (`pidfd_open`), which Linux has since version 5.3, or a
    /// sandbox forbids them.
    #[error("process descriptors (pidfd_open) are not available")]
    Unsupported(#[source] io::Error),

    /// The stream failed to receive events. The kind [`Error::Shutdown`] means that a
    /// [`Shutdown`](crate::Shutdown) handle ended the wait.
    #[error(transparent)]
    Receive(#[from] Error),

    /// A system call failed.
    #[error("system call error")]
    Os(#[from] io::Error),
}

fn of_process(tgid: Option<u32>) -> String {
    tgid.map_or(String::new(), |tgid| format!(" of process {tgid}: wait for the process"))
}
