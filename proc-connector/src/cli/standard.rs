//! The standard streams, any of which may be closed, full or without a reader.

use std::io::{self, Read, Stdin, StdoutLock};
use std::os::fd::{AsFd, BorrowedFd};

use nix::unistd;
use proc_connector::program::was_closed;

use super::Failure;

/// Standard output. If it was closed at the start, `/dev/null` takes its place, and all output would be
/// lost without notice.
pub(super) fn output() -> Result<StdoutLock<'static>, Failure> {
    if was_closed(1) { Err(Failure::Closed("output")) } else { Ok(io::stdout().lock()) }
}

/// Standard input, unbuffered.
#[derive(Debug)]
pub(super) struct Input(Stdin);

pub(super) fn input() -> Result<Input, Failure> {
    if was_closed(0) { Err(Failure::Closed("input")) } else { Ok(Input(io::stdin())) }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(unistd::read(&self.0, buffer)?)
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
