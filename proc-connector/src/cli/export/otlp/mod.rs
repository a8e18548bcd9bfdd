//! Events as log records of OTLP.

mod attributes;
mod backoff;
mod batch;
mod encode;
pub(crate) mod http;
pub(crate) mod positions;
mod record;
pub(crate) mod resource;
pub(crate) mod sender;
pub(crate) mod sink;
mod times;
mod uid;
