//! Tests of the spool against a plain account of what was appended, sent and refused.

mod damage;
mod directories;
mod killed;
mod model;
mod order;
mod support;
