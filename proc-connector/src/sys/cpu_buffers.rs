//! Memory in which a BPF program builds what it cannot build on its stack: a buffer for each CPU.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::{fs, io};

use super::bpf::{MapKind, create_map};

/// A BPF array with an element for each CPU that the machine can have.
///
/// It is not a per-CPU array, whose elements are limited to 32 KiB.
#[derive(Debug)]
pub(crate) struct CpuBuffers {
    fd: OwnedFd,
}

impl CpuBuffers {
    /// Creates buffers of `len` bytes.
    pub(crate) fn new(len: usize, name: &CStr) -> io::Result<Self> {
        let bytes = u32::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let kind = MapKind::CpuBuffers { bytes: bytes.next_multiple_of(8), cpus: possible_cpus() };
        Ok(Self { fd: create_map(kind, name)? })
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for CpuBuffers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One more than the highest number of a CPU that the machine can have. Without `/sys`, a number
/// that exceeds that of most machines.
fn possible_cpus() -> u32 {
    let list = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    highest(&list).map_or(256, |highest| highest.saturating_add(1))
}

/// The highest number in a list such as `0-3,8-11`.
fn highest(list: &str) -> Option<u32> {
    list.trim().split([',', '-']).filter_map(|number| number.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::highest;

    #[test]
    fn the_highest_cpu_is_found_in_any_list() {
        for (list, expected) in [
            ("0\n", Some(0)),
            ("0-1\n", Some(1)),
            ("0-3,8-11\n", Some(11)),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(highest(list), expected, "{list:?}");
        }
    }
}
