//! Compares what the library reports of each process with what the process did.

pub(crate) mod judge;
pub(crate) mod observer;
pub(crate) mod recorded;
pub(crate) mod tally;
pub(crate) mod usage;
