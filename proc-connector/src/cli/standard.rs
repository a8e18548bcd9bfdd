//! The standard streams. Each may be closed, full or without a reader.

use std::fmt;
use std::io::{self, Read, Stdin, StdoutLock, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::unistd;
use proc_connector::program::was_closed;

use super::failure::Failure;
use super::shown::{Screened, on_stdout};

/// Standard output. Fails if it was closed when the program started: the runtime then opens `/dev/null`
/// instead, and all output would be lost silently.
pub(super) fn output() -> Result<StdoutLock<'static>, Failure> {
    if was_closed(1) { Err(Failure::Closed("output")) } else { Ok(io::stdout().lock()) }
}

/// Standard output, for human-readable text.
pub(super) fn text_output() -> Result<Screened<impl Write + fmt::Debug>, Failure> {
    Ok(on_stdout(output()?))
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

/// Whether a file name is `-`, which stands for standard input or output.
pub(super) fn is_dash(file: &Path) -> bool {
    file == Path::new("-")
}
