//! The stream of processes.
fn main() {}
