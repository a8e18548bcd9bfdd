//! What the targets share: buffers with the structure of the kernel's, and a decoder and a ring to
//! compare with.

#![forbid(unsafe_code)]

pub mod naive;
pub mod naive_ring;
pub mod shape;
