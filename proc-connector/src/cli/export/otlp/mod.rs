//! Events as log records of OTLP.

mod backoff;
pub(crate) mod http;
pub(crate) mod notice;
pub(crate) mod sender;
