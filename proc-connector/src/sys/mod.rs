//! System calls behind safe functions. All unsafe code of the project is in this module.
//!
//! Each unsafe block holds one operation and the proof that it is sound.

mod batch;
mod bpf;
#[cfg(feature = "cli")]
mod child;
mod clock;
#[cfg(feature = "cli")]
mod end_request;
mod epoll;
mod event_fd;
#[cfg(any(test, fuzzing))]
mod fake;
#[cfg(test)]
mod fork;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod gate;
mod host;
mod mapping;
mod netlink;
mod poll;
mod proc_dir;
mod ring_buffer;
mod shared_words;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "cli")]
mod started_with;
mod wakeup;

pub(crate) use self::batch::{RecvBatch, SLOT_LEN};
pub(crate) use self::bpf::{Instruction, Program};
#[cfg(feature = "cli")]
pub use self::child::TracedChild;
#[cfg(feature = "process")]
pub(crate) use self::clock::own_boottime;
pub(crate) use self::clock::own_monotonic;
#[cfg(feature = "cli")]
pub use self::end_request::EndRequest;
#[cfg(feature = "cli")]
pub(crate) use self::end_request::end_on_signals;
pub(crate) use self::epoll::Epoll;
pub(crate) use self::event_fd::EventFd;
#[cfg(test)]
pub(crate) use self::fork::run_in_child;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use self::gate::{Gate, OpenReason};
pub(crate) use self::host::{FileSystem, exists, hides_architecture, uname};
pub(crate) use self::mapping::page_size;
pub(crate) use self::netlink::{Datagram, MemInfo, NetlinkSocket, RecvMode, Sender};
pub(crate) use self::poll::{poll_readable, sleep_unless_readable};
pub(crate) use self::proc_dir::ProcDir;
pub(crate) use self::ring_buffer::{RecordState, RingBuffer};
pub(crate) use self::shared_words::SharedWords;
#[cfg(feature = "cli")]
pub use self::started_with::was_closed;
pub(crate) use self::wakeup::Wakeup;

use std::io;
use std::time::Duration;

/// Repeats a system call while it fails with `EINTR`.
pub(crate) fn retry_on_interrupt<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The result of a system call: a negative number becomes the error in `errno`.
fn check(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// Like [`check`], for system calls that return a length.
fn check_len(returned: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// The size of a type as a `socklen_t`.
#[expect(clippy::cast_possible_truncation, reason = "types passed to system calls are small")]
const fn socklen_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// A duration as a `timespec`, saturating at the longest that the type holds.
fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: long(time.subsec_nanos()),
    }
}

/// A small number as a `c_long`, which has 32 or 64 bits.
#[allow(clippy::cast_lossless, clippy::cast_possible_wrap, reason = "callers pass small numbers")]
const fn long(number: u32) -> libc::c_long {
    number as libc::c_long
}
