//! The comment with the context of an event.
//!
//! A context has binary headers, which are those of the ring transport. The comment has their values as
//! text, so that other programs can show it, and the reader restores the headers.

mod common;
mod numbers;
mod process_texts;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(in crate::capture) use self::read::read;
pub(in crate::capture) use self::write::ContextWriter;

/// The inode of the initial pid namespace: `PROC_PID_INIT_INO` in the kernel's
/// `include/linux/proc_ns.h`. It is not written.
const INITIAL_PID_NS: u32 = 0xefff_fffc;
