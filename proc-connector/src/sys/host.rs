//! Facts about this machine from system calls: the names in `uname`, whether a process exists, and
//! the type of a file system.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{check, retry_on_interrupt};

/// A file system type, by its magic number (`include/uapi/linux/magic.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem(i128);

impl FileSystem {
    pub(crate) const PROC: Self = Self(0x9fa0);
    /// `nsfs`, which holds the targets of the links in `/proc/PID/ns`.
    pub(crate) const NAMESPACES: Self = Self(0x6e73_6673);
    /// cgroup version 2.
    pub(crate) const CGROUP2: Self = Self(0x6367_7270);

    /// The type of the file system that an open file is on.
    pub(crate) fn containing(file: BorrowedFd<'_>) -> io::Result<Self> {
        let mut about = MaybeUninit::<libc::statfs>::uninit();
        retry_on_interrupt(|| {
            // SAFETY: the kernel writes one such struct to the live memory.
            check(unsafe { libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) })
        })?;
        // SAFETY: the successful call initialised it.
        let about = unsafe { about.assume_init() };
        Ok(Self(about.f_type.into()))
    }
}

/// Names that `uname(2)` reports.
#[derive(Clone, Debug)]
pub(crate) struct Uname {
    /// The machine's host name.
    #[cfg(feature = "capture")]
    pub(crate) node: String,
    /// The kernel's release, such as `6.1.0-18-cloud-amd64`.
    pub(crate) release: String,
    /// The architecture, such as `x86_64`.
    pub(crate) machine: String,
}

/// Calls `uname(2)`.
pub(crate) fn uname() -> io::Result<Uname> {
    let mut names = MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: the kernel writes one such struct to the live memory.
    check(unsafe { libc::uname(names.as_mut_ptr()) })?;
    // SAFETY: the successful call initialised it.
    let names = unsafe { names.assume_init() };
    Ok(Uname {
        #[cfg(feature = "capture")]
        node: to_string(&names.nodename),
        release: to_string(&names.release),
        machine: to_string(&names.machine),
    })
}

/// Whether `uname` reports a 32-bit architecture to this process on a 64-bit machine, as under
/// `setarch` (the personality `PER_LINUX32`).
pub(crate) fn hides_architecture() -> bool {
    // From `personality.h`.
    const PER_MASK: libc::c_int = 0xff;
    const PER_LINUX32: libc::c_int = 0x08;
    // SAFETY: the call takes a number only, and 0xffffffff queries the personality.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    personality & PER_MASK == PER_LINUX32
}

fn to_string(name: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().flat_map(|char| char.to_ne_bytes()).collect();
    let name = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether a process with this id exists in this pid namespace. A zombie counts as existing, and so
/// does a process that cannot be queried.
pub(crate) fn exists(tgid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(tgid).ok().filter(|&pid| pid > 0) else { return false };
    // SAFETY: the call takes numbers only, and signal 0 is never sent.
    let probed = check(unsafe { libc::kill(pid, 0) });
    probed.err().and_then(|error| error.raw_os_error()) != Some(libc::ESRCH)
}
