//! The JSON keys of what processes used.

use proc_connector::Usage;
use serde::{Serialize, Serializer};

/// What processes used together, except for I/O: the kernel's numbers of a process include the I/O of
/// children that it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct UsageKeys {
    cpu_ns: u64,
    user_ns: u64,
    system_ns: u64,
    max_rss: Option<u64>,
    min_flt: u64,
    maj_flt: u64,
    nvcsw: u64,
    nivcsw: u64,
}

impl From<Usage> for UsageKeys {
    fn from(usage: Usage) -> Self {
        Self {
            cpu_ns: usage.cpu_ns,
            user_ns: usage.user_ns(),
            system_ns: usage.system_ns(),
            max_rss: usage.max_rss,
            min_flt: usage.min_flt,
            maj_flt: usage.maj_flt,
            nvcsw: usage.nvcsw,
            nivcsw: usage.nivcsw,
        }
    }
}

/// Writes a usage with its keys, or null.
#[expect(clippy::ref_option, reason = "a field as serde passes it")]
pub(super) fn serialize<S: Serializer>(
    usage: &Option<Usage>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    usage.map(UsageKeys::from).serialize(serializer)
}
