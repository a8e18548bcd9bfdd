//! The profile of a forest: where the time, the CPU time and the memory went.

mod critical_path;
mod over_time;
mod parallelism;
mod ranking;
mod slices;
#[cfg(test)]
mod testing;
mod text;

pub(crate) use critical_path::{Segment, critical_path, times_on_path};
pub(crate) use over_time::Step;
pub(crate) use parallelism::{Parallelism, memory_over_time, processes_over_time};
pub(crate) use ranking::{Cost, ProgramCost, most_expensive, programs};
pub(crate) use slices::{Slice, slices};
pub(crate) use text::write;
