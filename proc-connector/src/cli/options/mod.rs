//! Options that several commands share.

pub(super) mod events;
pub(super) mod format;
pub(super) mod listen;
pub(super) mod processes;
pub(super) mod target;
