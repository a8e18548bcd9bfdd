//! Which namespaces this process is in.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::error::Namespace;
use crate::sys::FileSystem;

/// The number of the initial time namespace (`include/uapi/linux/nsfs.h`).
pub(crate) const INITIAL_TIME: u64 = 0xefff_fffa;

/// Whether the process is in the initial namespace of a kind; `None` where that cannot be found out.
///
/// The initial pid and user namespaces have fixed inode numbers (`include/uapi/linux/nsfs.h`,
/// before that `include/linux/proc_ns.h`). The network namespace has none: there the kernel's
/// answer to a request decides.
pub(crate) fn is_initial(kind: Namespace) -> Option<bool> {
    let (name, initial) = match kind {
        Namespace::Pid => ("pid", 0xefff_fffc),
        Namespace::User => ("user", 0xefff_fffd),
        Namespace::Network => return None,
    };
    Some(inode_number(name).ok()? == initial)
}

/// The inode number of one of this process's namespaces.
pub(crate) fn inode_number(name: &str) -> io::Result<u64> {
    let namespace = File::open(format!("/proc/self/ns/{name}"))?;
    if FileSystem::containing(namespace.as_fd())? != FileSystem::NAMESPACES {
        // Something else than /proc is mounted there.
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(namespace.metadata()?.ino())
}
