//! Events as log records of OTLP.

pub(crate) mod config;
pub(crate) mod gzip;
pub(crate) mod http;
