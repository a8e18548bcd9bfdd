//! What the tests of filters with conditions on tasks share.

#![allow(dead_code, reason = "every test binary that includes this directory uses a part of it")]

pub(crate) mod cgroup;
pub(crate) mod pair;
pub(crate) mod tree;
