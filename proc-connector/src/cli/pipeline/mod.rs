//! The way of an event: receive, identify, choose, format.

pub(super) mod drawing;
pub(super) mod follow;
pub(super) mod identify;
pub(super) mod machine;
mod process_names;
pub(super) mod receive;
pub(super) mod summary;
pub(super) mod tally;
mod trees;
pub(super) mod waiting_input;
