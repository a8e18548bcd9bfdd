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
pub(crate) use parallelism::{Parallelism, cpu_in_period};
pub(crate) use ranking::{Cost, most_expensive, programs};
pub(crate) use slices::{Slice, slices};
pub(crate) use text::{percent, write};
