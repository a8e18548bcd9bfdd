//! Metrics in the formats of Prometheus, served over HTTP.

mod accept;
mod encode;
mod http;
pub(crate) mod server;
