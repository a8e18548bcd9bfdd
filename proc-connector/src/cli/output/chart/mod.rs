//! Charts and trees of processes, with their run times and exit statuses.

mod chrome;
mod consumption;
mod files;
mod fold;
pub(crate) mod forest;
mod html;
mod lanes;
mod order;
mod profile;
mod svg;
mod ticks;
mod tree;

pub(crate) use consumption::Consumption;
pub(crate) use files::{Files, OnFailure, Target};
pub(crate) use forest::{Forest, Program};
pub(crate) use order::SortKey;
pub(crate) use profile::write as write_profile;
pub(crate) use tree::{Look, write as write_tree};

#[cfg(test)]
mod samples;
