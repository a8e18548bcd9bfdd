//! Builders of datagrams for the tests, benches and fuzz targets of every crate of this repository.
//!
//! The feature `testing` enables this module. It is not part of the public API and may change in any
//! release.
//!
//! [`wire`] lays out bytes by hand at the offsets of the kernel's headers, and [`kinds`] repeats the
//! kernel's numbers. Neither uses the encoder or the bindings, so they can test both.

#![allow(clippy::missing_panics_doc, reason = "a panic is a failed test")]
#![allow(clippy::exhaustive_enums, clippy::exhaustive_structs, reason = "no public API")]

pub mod bpf;
pub mod context;
pub mod filters;
pub mod kinds;

pub mod mixed;
#[cfg(feature = "testing-strategies")]
pub mod strategies;
pub mod wire;
