//! The reports of `stats`: their data, and their forms.

pub(crate) mod block;
pub(crate) mod report;
pub(crate) mod screen;
