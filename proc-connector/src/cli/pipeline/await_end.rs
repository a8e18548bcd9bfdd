//! Waits for given processes to end: by the events of a connector, or where that is not possible by
//! process descriptors alone.

use std::io;
use std::time::Instant;

use proc_connector::process::{ExitWaiter, ProcessExit, ProcessStream, ProcessTable, WaitError};
use proc_connector::program::{Chain, EndRequest, request_end_on_signals};
use proc_connector::{Error, Filter};

use super::connect;
use crate::cli::failure::Failure;
use crate::cli::host::privileges;
use crate::cli::host::users::Users;
use crate::cli::options::listen::{ReceiveOptions, Transport};
use crate::cli::output::ended::Ended;
use crate::cli::output::sink::End;
use crate::cli::shown::complain;

/// The processes to wait for.
#[derive(Debug)]
pub(crate) struct Processes {
    waiter: ExitWaiter,
    source: Source,
    users: Users,
}

/// Where the ends of processes are known from.
#[derive(Debug)]
enum Source {
    Stream(Box<ProcessStream>, EndRequest),
    /// Descriptors, because no connector can be opened. The reason is reported once, if a status is
    /// unknown.
    Descriptors(Option<Error>),
}

/// How a wait ends.
#[derive(Debug)]
pub(crate) enum Next {
    Ended(Ended),
    Timeout,
    /// A signal requests the end of this program.
    Interrupted,
}

impl Processes {
    /// Opens a connector for the events of these processes. Call [`add`](Self::add) for each.
    pub(crate) fn open(options: &ReceiveOptions, pids: &[u32]) -> Result<Self, Failure> {
        // With too many ids for a filter, the events of all processes are received.
        let filter = Filter::default().only_tgids(pids).unwrap_or_default();
        let source = match connect::open_for_wait(options, filter) {
            Ok(connector) => {
                let table = ProcessTable::new().or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::Unsupported => {
                        Ok(ProcessTable::without_proc())
                    }
                    _ => Err(Failure::Proc(error)),
                })?;
                let stream = ProcessStream::with_table(connector, table)?;
                let ends = request_end_on_signals(&stream.shutdown_handle());
                Source::Stream(Box::new(stream), ends.map_err(Failure::Signals)?)
            }
            Err(Failure::Connector(error))
                if matches!(options.transport, Transport::Auto) && is_unavailable(&error) =>
            {
                Source::Descriptors(Some(error))
            }
            Err(failure) => return Err(failure),
        };
        privileges::drop_most();
        Ok(Self { waiter: ExitWaiter::new(), source, users: Users::default() })
    }

    /// Adds the process that has this id now. Returns why it cannot be waited for, if no process to
    /// wait for has the id.
    pub(crate) fn add(&mut self, pid: u32) -> Result<Option<WaitError>, Failure> {
        match self.waiter.add(pid) {
            Ok(()) => Ok(None),
            Err(error @ (WaitError::Os(_) | WaitError::Unsupported(_))) => Err(failure(error)),
            Err(error) => Ok(Some(error)),
        }
    }

    /// Waits until a process ends, until the deadline, or until a signal requests the end of this
    /// program.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Result<Next, Failure> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let exit = match &mut self.source {
            Source::Stream(stream, _) => stream.next_exit(&mut self.waiter, left),
            Source::Descriptors(_) => self.waiter.wait(left),
        };
        match exit {
            Ok(Some(exit)) => Ok(Next::Ended(self.ended(&exit))),
            Ok(None) => Ok(Next::Timeout),
            Err(WaitError::Receive(Error::Shutdown)) => Ok(Next::Interrupted),
            Err(error) => Err(failure(error)),
        }
    }

    /// Ends this program by the signal that requested its end.
    pub(crate) fn end_by_signal(&self) {
        if let Source::Stream(_, request) = &self.source {
            request.end_by_signal();
        }
    }

    fn ended(&mut self, exit: &ProcessExit) -> Ended {
        let tgid = exit.tgid();
        if let (Source::Descriptors(reason), None) = (&mut self.source, exit.status()) {
            if let Some(reason) = reason.take() {
                complain(format_args!("the status of process {tgid} is unknown: {reason}"));
            }
        }
        let process = exit.process().cloned();
        let uid = process.as_ref().and_then(|process| process.uid());
        let user = uid.and_then(|uid| self.users.name(uid.effective)).map(str::to_owned);
        let usage = process.as_ref().and_then(|process| process.usage());
        let end = End { status: exit.status(), lifetime_ns: exit.lifetime_ns(), usage };
        Ended { tgid, end, process, user }
    }
}

fn failure(error: WaitError) -> Failure {
    match error {
        WaitError::Receive(error) => Failure::Connector(error),
        WaitError::Os(error) => Failure::Waiting(error),
        other => Failure::Waiting(io::Error::other(Chain(&other).to_string())),
    }
}

/// Whether this machine delivers no events to this user.
fn is_unavailable(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied
            | Error::NotInitialNamespace { .. }
            | Error::ConnectorUnavailable
            | Error::NotAcknowledged
    )
}
