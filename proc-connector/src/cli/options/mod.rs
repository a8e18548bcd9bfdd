//! Options that several commands share.

pub(super) mod events;
pub(super) mod format;
pub(super) mod listen;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
pub(super) mod metrics;
pub(super) mod processes;
#[cfg(feature = "otlp")]
pub(super) mod receiver;
#[cfg(feature = "otlp")]
pub(super) mod spans;
#[cfg(feature = "otlp")]
pub(super) mod spool;
pub(super) mod target;
