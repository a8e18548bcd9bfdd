//! The reports of `stats`: their data, and how they are shown.

pub(crate) mod block;
pub(crate) mod report;
pub(crate) mod screen;
