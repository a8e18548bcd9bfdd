//! This machine: its users and time zone, what exists on it, and what this process may do.

pub(super) mod cgroups;
pub(super) mod descriptors;
mod mounts;
pub(super) mod present;
pub(super) mod privileges;
pub(super) mod users;
pub(super) mod zone;
