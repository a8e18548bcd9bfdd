//! Events as log records of OTLP.

mod attributes;
mod batch;
mod encode;
pub(crate) mod http;
mod positions;
mod record;
pub(crate) mod resource;
pub(crate) mod sink;
mod times;
mod uid;
