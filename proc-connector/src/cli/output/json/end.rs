//! The end of a process, and the resources that it used.

use proc_connector::ExitStatus;
use proc_connector::parser::Usage;
use serde::Serialize;

use crate::cli::output::sink::End;

/// The end of a process. A status that is not known is null.
#[derive(Serialize)]
pub(in crate::cli::output) struct EndKeys {
    code: Option<u8>,
    signal: Option<u8>,
    core_dumped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageKeys>,
}

impl EndKeys {
    pub(in crate::cli::output) fn new(end: &End) -> Self {
        Self {
            code: end.status.and_then(ExitStatus::code),
            signal: end.status.and_then(ExitStatus::signal),
            core_dumped: end.status.map(ExitStatus::core_dumped),
            lifetime_ns: end.lifetime_ns,
            usage: end.usage.as_ref().map(UsageKeys::new),
        }
    }
}

/// The resources that a thread or a process used.
#[derive(Serialize)]
pub(in crate::cli::output) struct UsageKeys {
    cpu_ns: u64,
    user_ns: u64,
    system_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rss: Option<u64>,
    min_flt: u64,
    maj_flt: u64,
    nvcsw: u64,
    nivcsw: u64,
    read_bytes: u64,
    write_bytes: u64,
}

impl UsageKeys {
    pub(in crate::cli::output) fn new(usage: &Usage) -> Self {
        Self {
            cpu_ns: usage.cpu_ns,
            user_ns: usage.user_ns(),
            system_ns: usage.system_ns(),
            max_rss: usage.max_rss,
            min_flt: usage.min_flt,
            maj_flt: usage.maj_flt,
            nvcsw: usage.nvcsw,
            nivcsw: usage.nivcsw,
            read_bytes: usage.read_bytes,
            write_bytes: usage.write_bytes,
        }
    }
}
