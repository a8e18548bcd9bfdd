//! Events as log records of OTLP.

mod ahead;
mod attributes;
mod backoff;
mod batch;
pub(crate) mod config;
mod encode;
pub(crate) mod gzip;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod notice;
pub(crate) mod positions;
mod record;
pub(crate) mod resource;
pub(crate) mod sender;
pub(crate) mod sink;
pub(crate) mod spans;
pub(crate) mod split;
pub(crate) mod store;
mod times;
mod uid;
