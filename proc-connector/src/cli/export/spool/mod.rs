//! Batches on disk, until a receiver has accepted them.
//!
//! # Files
//!
//! The directory has these files. Other files in it are ignored.
//!
//! | name | content |
//! |---|---|
//! | `lock` | nothing; locked by `flock` while an exporter uses the directory |
//! | `state` | the first batch that is not yet accepted, and the number of discarded records |
//! | `0000000000000001.segment`, ... | batches; the number is hexadecimal and grows by one |
//!
//! All numbers in the files are little-endian. CRC is the CRC-32 of zlib. The segments and the state begin
//! with a magic number of 8 bytes, the version of the format (`u32`), and the CRC of these 12 bytes. They
//! are the same in all versions, so that an older program recognizes a newer file. The version is 1.
//!
//! A *segment* continues with its number (`u64`), its total (`u64`) and their CRC. Then follow its batches.
//! A total is the number of records that were appended to the spool before this place, ever. The
//! difference of two totals is the number of records in between, even if these are unreadable.
//!
//! A *batch* is written by one system call:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic number |
//! | 4 | CRC of the fields up to the CRC of the body |
//! | 8 | number of the segment |
//! | 8 | offset of this header in the segment |
//! | 8 | total |
//! | 8 | records of events |
//! | 8 | sum of the losses that the batch reports |
//! | 8 | discarded records that this batch and all before it report |
//! | 8 | damaged places that this batch and all before it report |
//! | 8 | discarded records in the state, when the batch was written |
//! | 8 | events after the positions that are part of losses that were reported already |
//! | 16 | boot id of the machine |
//! | 4 | number of positions |
//! | 4 | CRC of the positions |
//! | 4 | bytes of the body |
//! | 4 | CRC of the body |
//! | 8 each | positions: a CPU and its last sequence number (`u32` each) |
//! | | body: the compressed request |
//!
//! The *state* has two slots of 84 bytes, at the offsets 0 and 512. A change overwrites the older one, so
//! that it also succeeds on a full disk. The slot with the higher generation is valid:
//!
//! | bytes | field |
//! |---|---|
//! | 16 | magic number, version, CRC |
//! | 8 | generation |
//! | 8 | segment of the first batch that is not accepted |
//! | 8 | its offset |
//! | 8 | its total |
//! | 8 | the segment that follows; those in between are discarded |
//! | 8 | the records of the discarded segments in between |
//! | 8 | discarded records, ever |
//! | 8 | damaged places with an unknown number of records, ever |
//! | 4 | CRC of the fields from the generation on |
//!
//! # Counts
//!
//! Appended records are accepted, waiting, or discarded. Discarded records are reported when the header of
//! a batch contains them. This holds at each system call, because the order of changes is:
//!
//! - A segment is deleted after the state contains that it is accepted or discarded.
//! - A batch that reports discards contains their number in its own header. If the batch is incomplete, it
//!   has reported nothing.
//! - A batch is accepted and its refused records are discarded by one change of the state.
//!
//! After a `kill`, an incomplete batch at the end is removed. Its events are in the gap between the
//! positions of the last batch and the next event, which the exporter counts, without those that a loss has
//! reported already. The last segment remains when
//! all batches are accepted, because it has these positions.
//!
//! Damage within the spool is counted by the totals. Damage at the end, or of the state, is counted as a
//! place with an unknown number of records. If the state is damaged, all batches are sent again.
//!
//! The files are not synchronized with the disk. After a crash of the machine, the last batches may be
//! missing or damaged.

mod append;
mod batch;
mod directory;
mod disk;
mod error;
mod format;
mod queue;
mod recovery;
mod segment;
mod state;
mod store;
mod take;

pub(crate) use self::batch::{Batch, Content, Discards, Handed, Opened, Unreported};
pub(crate) use self::error::Error;
pub(crate) use self::queue::{Next, Queue};
pub(crate) use self::store::{LEAST_CAPACITY, Spool};

#[cfg(test)]
mod tests;
