//! What the system says of itself without `/proc`: the kernel's names, who exists, and which kind of
//! file system is mounted somewhere.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{check, retry_on_interrupt};

/// A kind of file system, by its magic number (`include/uapi/linux/magic.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem(i128);

impl FileSystem {
    pub(crate) const PROC: Self = Self(0x9fa0);
    /// Where the links in `/proc/PID/ns` lead to.
    pub(crate) const NAMESPACES: Self = Self(0x6e73_6673);
    /// The cgroups of version 2.
    #[cfg(feature = "process")]
    pub(crate) const CGROUP2: Self = Self(0x6367_7270);

    /// That of an open file.
    pub(crate) fn containing(file: BorrowedFd<'_>) -> io::Result<Self> {
        let mut about = MaybeUninit::<libc::statfs>::uninit();
        retry_on_interrupt(|| {
            // SAFETY: the pointer is to memory for one such struct, which the kernel writes to.
            check(unsafe { libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) })
        })?;
        // SAFETY: the call succeeded, so all of it is written.
        let about = unsafe { about.assume_init() };
        Ok(Self(about.f_type.into()))
    }
}

/// What `uname` says.
#[derive(Clone, Debug)]
pub(crate) struct Uname {
    /// The machine's name.
    #[cfg(feature = "capture")]
    pub(crate) node: String,
    /// The kernel's version, such as `6.1.0-18-cloud-amd64`.
    pub(crate) release: String,
    /// The architecture's name, such as `x86_64`.
    pub(crate) machine: String,
}

/// The names of the machine and of its kernel.
pub(crate) fn uname() -> io::Result<Uname> {
    let mut names = MaybeUninit::<libc::utsname>::uninit();
    // SAFETY: the pointer is to memory for one such struct, which the kernel writes to.
    check(unsafe { libc::uname(names.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so all of it is written.
    let names = unsafe { names.assume_init() };
    Ok(Uname {
        #[cfg(feature = "capture")]
        node: text(&names.nodename),
        release: text(&names.release),
        machine: text(&names.machine),
    })
}

/// Whether the kernel hides the architecture behind that of a 32-bit machine (`setarch`).
pub(crate) fn hides_architecture() -> bool {
    /// Parts of a personality (`personality.h`).
    const PER_MASK: libc::c_int = 0xff;
    const PER_LINUX32: libc::c_int = 0x08;
    // SAFETY: the call takes a number only; this one asks and changes nothing.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    personality & PER_MASK == PER_LINUX32
}

fn text(name: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().flat_map(|letter| letter.to_ne_bytes()).collect();
    let name = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether a process has this id, in this pid namespace, one that has ended and was not waited for
/// included. Only a clear no is one.
pub(crate) fn exists(tgid: u32) -> bool {
    let Some(pid) = libc::pid_t::try_from(tgid).ok().filter(|&pid| pid > 0) else { return false };
    // SAFETY: takes numbers only, and sends no signal.
    let answer = check(unsafe { libc::kill(pid, 0) });
    answer.err().and_then(|error| error.raw_os_error()) != Some(libc::ESRCH)
}
