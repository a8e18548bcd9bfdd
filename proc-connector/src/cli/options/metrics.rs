//! Options for the commands that export metrics.

use crate::cli::export::metrics::GROUPS;
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct MetricsOptions {
    /// Count at most this many pairs of a program and a cgroup separately. Others count as `other`. A
    /// pair that did nothing for an hour can lose its place to another.
    #[arg(long, value_name = "N", value_parser = groups, default_value_t = GROUPS)]
    #[arg(allow_negative_numbers = true)]
    pub(crate) groups: usize,
}

/// The largest number of pairs, each of which has 17 series.
const MOST: usize = 10_000;

fn groups(text: &str) -> Result<usize, String> {
    match values::limit(text)? {
        groups if groups > MOST => Err(format!("larger than {MOST}")),
        groups => Ok(groups),
    }
}
