//! The comment with the context of an event.
//!
//! A context has binary headers, which are those of the ring transport. The comment has their values as
//! text, so that other programs can show it, and the reader restores the headers.

use proc_connector_core::context::layout::Recorded;

mod common_ids;
mod common_text;
mod numbers;
mod process_texts;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(in crate::capture) use self::common_ids::CommonIds;
pub(in crate::capture) use self::read::read;
pub(in crate::capture) use self::write::ContextWriter;

/// The ids that consecutive tasks often share: their words follow each other in a comment.
const COMMON: Recorded = Recorded::UID_GID
    .union(Recorded::EUID_EGID)
    .union(Recorded::SESSION)
    .union(Recorded::TTY)
    .union(Recorded::AUDIT)
    .union(Recorded::PID_NS)
    .union(Recorded::CGROUP_ID)
    .union(Recorded::CSS_SET);

/// The inode of the initial pid namespace: `PROC_PID_INIT_INO` in the kernel's
/// `include/linux/proc_ns.h`. It is not written.
const INITIAL_PID_NS: u32 = 0xefff_fffc;
