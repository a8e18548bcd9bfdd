//! Tests of the spool against a plain account of what was appended, sent and refused.

mod order;
mod support;
