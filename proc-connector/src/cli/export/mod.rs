//! What `export` sends, and how.

#[cfg(any(feature = "otlp", feature = "prometheus"))]
pub(crate) mod metrics;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
#[cfg(feature = "prometheus")]
pub(crate) mod prometheus;
#[cfg(feature = "otlp")]
pub(crate) mod spool;
