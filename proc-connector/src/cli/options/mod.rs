//! Options that several commands share.

pub(super) mod events;
pub(super) mod format;
