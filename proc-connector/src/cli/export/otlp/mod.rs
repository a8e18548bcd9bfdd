//! Events as log records of OTLP.

pub(crate) mod http;
