//! Code shared by the fuzz targets: structured buffers, and a naive decoder and ring as references.

#![forbid(unsafe_code)]

pub mod naive;
pub mod naive_ring;
pub mod naive_selector;
pub mod shape;
