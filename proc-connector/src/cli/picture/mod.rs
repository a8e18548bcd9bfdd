//! Charts and trees of processes: creators and children, run times, and ends.

mod chrome;
mod drawing;
mod files;
mod fold;
mod follow;
mod forest;
mod lanes;
mod svg;
mod ticks;
mod tree;

pub(super) use drawing::Drawing;
pub(super) use files::{Files, Target};
pub(super) use follow::{Child, Follower};
pub(super) use forest::{Forest, Program};
pub(super) use tree::{Look, write as write_tree};

#[cfg(test)]
mod samples;
