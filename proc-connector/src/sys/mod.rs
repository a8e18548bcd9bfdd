//! The system calls: the only unsafe code of the project, behind safe functions.
//!
//! Each unsafe block holds one operation and the reason why it is allowed.

mod batch;
mod bell;
mod board;
mod bpf;
#[cfg(feature = "cli")]
mod child;
mod clock;
#[cfg(feature = "cli")]
mod end_request;
mod event_fd;
#[cfg(any(test, fuzzing))]
mod fake;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod gate;
mod mapping;
mod netlink;
mod poll;
#[cfg(feature = "process")]
mod proc_dir;
mod ring_buffer;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "cli")]
mod started_with;

pub(crate) use self::batch::RecvBatch;
pub(crate) use self::bell::Bell;
pub(crate) use self::board::Board;
pub(crate) use self::bpf::{Instruction, Program};
#[cfg(feature = "cli")]
pub use self::child::TracedChild;
#[cfg(feature = "process")]
pub(crate) use self::clock::boottime;
pub(crate) use self::clock::monotonic;
#[cfg(feature = "cli")]
pub use self::end_request::{EndRequest, end_on_signals};
pub(crate) use self::event_fd::EventFd;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::gate::{Gate, Opened};
pub(crate) use self::mapping::page_size;
pub(crate) use self::netlink::{MemInfo, NetlinkSocket, Source};
pub(crate) use self::poll::{poll_readable, sleep_unless_readable};
#[cfg(feature = "process")]
pub(crate) use self::proc_dir::{ProcDir, process_ids};
pub(crate) use self::ring_buffer::{RingBuffer, Slot};
#[cfg(feature = "cli")]
pub use self::started_with::was_closed;

use std::io;
use std::time::Duration;

/// Repeats a system call for as long as signals interrupt it.
pub(crate) fn retry_on_interrupt<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What a system call returned, with errno as the error for a negative number.
fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// The same for calls that return a length.
fn check_len(returned: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// The size of a type as the system calls want it.
#[expect(clippy::cast_possible_truncation, reason = "no type given to a system call is that large")]
const fn socklen_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// A time as the system calls want it; one too long to say becomes the longest.
fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
