//! The way of an event: it is received or read, identified, chosen and formatted, in this order.

pub(super) mod choose;
pub(super) mod connect;
pub(super) mod flow;
pub(super) mod follow;
pub(super) mod identify;
mod lives;
mod process_names;
pub(super) mod receive;
pub(super) mod recording;
pub(super) mod stage;
pub(super) mod summary;
pub(super) mod tally;
mod trees;
pub(super) mod waiting_input;
