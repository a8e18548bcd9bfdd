//! Which namespaces this process is in.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::error::Namespace;

/// Whether the process is in the initial namespace of a kind; `None` where that cannot be told.
///
/// The initial pid and user namespaces have fixed inode numbers (`include/uapi/linux/nsfs.h`,
/// before that `include/linux/proc_ns.h`). The network namespace has none: there the kernel's
/// answer to a request decides.
pub(crate) fn is_initial(kind: Namespace) -> Option<bool> {
    let (path, initial) = match kind {
        Namespace::Pid => ("/proc/self/ns/pid", 0xefff_fffc),
        Namespace::User => ("/proc/self/ns/user", 0xefff_fffd),
        Namespace::Network => return None,
    };
    Some(fs::metadata(path).ok()?.ino() == initial)
}
