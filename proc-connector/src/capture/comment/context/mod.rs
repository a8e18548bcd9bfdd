//! The comment with the context of an event.
//!
//! A context has binary headers, which are those of the ring transport. The comment has their values as
//! text, so that other programs can show it, and the reader restores the headers.

mod read;
mod task_ids;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(in crate::capture) use self::read::read;
pub(in crate::capture) use self::task_ids::TaskIds;
pub(in crate::capture) use self::write::write;
