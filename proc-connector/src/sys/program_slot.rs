//! A place for a BPF program that another program calls.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::bpf::{MapKind, Program, create_map, update_map};

/// A BPF array with one element, a program.
///
/// The kernel empties it when the descriptor is closed.
#[derive(Debug)]
pub(crate) struct ProgramSlot {
    fd: OwnedFd,
}

impl ProgramSlot {
    /// Creates an empty slot.
    pub(crate) fn new(name: &CStr) -> io::Result<Self> {
        Ok(Self { fd: create_map(MapKind::ProgramSlot, name)? })
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Puts a program into the slot, in place of the present one. Later calls run the new program.
    pub(crate) fn set(&self, program: &Program) -> io::Result<()> {
        update_map(self.fd.as_fd(), 0, program.as_fd().as_raw_fd())
    }
}

impl AsFd for ProgramSlot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
