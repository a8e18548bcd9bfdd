//! Batches on disk, until a receiver has accepted them.

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
