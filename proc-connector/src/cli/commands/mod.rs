//! The commands, one per file. A command reads its options, assembles a pipeline and runs it.

pub(super) mod doctor;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
pub(super) mod export;
mod not_started;
pub(super) mod record;
pub(super) mod replay;
pub(super) mod stats;
pub(super) mod trace;
pub(super) mod wait;
pub(super) mod watch;
