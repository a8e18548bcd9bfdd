//! The commands, a file each: they read their options, put a pipeline together and run it.

pub(super) mod doctor;
pub(super) mod record;
pub(super) mod replay;
pub(super) mod stats;
pub(super) mod trace;
pub(super) mod watch;
