//! The reports of `stats`: their data, and how they are shown.

pub(crate) mod block;
mod line;
pub(crate) mod report;
pub(crate) mod rows;
pub(crate) mod screen;
pub(crate) mod table;
mod usage;
