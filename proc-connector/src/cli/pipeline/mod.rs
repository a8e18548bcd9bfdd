//! The stages of the pipeline: receive or read an event, identify its process, choose it, format it.

pub(super) mod actions;
pub(super) mod await_end;
pub(super) mod choose;
pub(super) mod conditions;
pub(super) mod connect;
mod details;
mod ends;
pub(super) mod flow;
pub(crate) mod follow;
pub(super) mod held;
pub(super) mod identify;
pub(super) mod input;
mod lives;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
pub(super) mod measure;
mod read_ahead;
pub(super) mod receive;
pub(super) mod recording;
mod records;
pub(super) mod stage;
pub(super) mod summary;
pub(super) mod tally;
mod thread_io;
pub(super) mod waiting_input;
