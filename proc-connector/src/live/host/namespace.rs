//! The namespaces that this process is in.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::error::Namespace;
use crate::sys::FileSystem;

/// The inode number of the initial time namespace (`include/uapi/linux/nsfs.h`).
pub(crate) const INITIAL_TIME: u64 = 0xefff_fffa;

/// Whether this process is in the initial namespace of a kind. `None` if unknown.
///
/// The initial pid and user namespaces have fixed inode numbers (`include/uapi/linux/nsfs.h`,
/// formerly `include/linux/proc_ns.h`). The initial network namespace has none; the kernel's answer
/// to a LISTEN request shows whether this is it.
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
        // Another file system is mounted at /proc.
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(namespace.metadata()?.ino())
}
