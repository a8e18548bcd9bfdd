//! The profile of a forest: where the time, the CPU time and the memory went.

mod critical_path;
#[cfg(test)]
mod testing;

pub(crate) use critical_path::{Segment, critical_path, times_on_path};
