//! Output formats. They know nothing about the machine except the data of each item.

pub(super) mod capture;
pub(super) mod chart;
pub(super) mod columns;
pub(super) mod comparison;
mod compile_commands;
pub(super) mod ended;
pub(super) mod human;
pub(super) mod json;
mod layout;
mod moment;
pub(super) mod names;
pub(super) mod ocsf;
pub(super) mod page;
pub(super) mod sink;
pub(super) mod statistics;
pub(super) mod unwritten;
