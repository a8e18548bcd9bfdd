//! Events as log records of OTLP.

mod backoff;
pub(crate) mod config;
pub(crate) mod gzip;
pub(crate) mod http;
pub(crate) mod sender;
