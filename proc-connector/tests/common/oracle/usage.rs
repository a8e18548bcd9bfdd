//! Compares resource usage with that of `wait4`.

use proc_connector::parser::Usage;

use super::judge::{Judged, Verdict, compare, wrong};
use crate::behaviour::sys;
use crate::common::is_cpu_time;

/// Judges the CPU time, the peak memory, the faults and the context switches, under these names.
pub(crate) fn judge_usage(
    judged: &mut Vec<Judged>,
    fields: [&'static str; 6],
    reported: Option<Usage>,
    actual: Option<sys::Usage>,
) {
    let Some(actual) = actual else { return };
    let verdicts = match reported {
        None => [const { Verdict::Missing }; 6],
        Some(reported) => [
            cpu(reported.cpu_ns, actual.cpu_ns),
            compare(reported.max_rss, &(actual.max_rss_kib * 1024)),
            compare(Some(reported.min_flt), &actual.minor_faults),
            compare(Some(reported.maj_flt), &actual.major_faults),
            switches(reported.nvcsw, actual.voluntary_switches),
            switches(reported.nivcsw, actual.involuntary_switches),
        ],
    };
    judged.extend(fields.into_iter().zip(verdicts));
}

fn cpu(reported: u64, actual: u64) -> Verdict {
    if is_cpu_time(reported, actual) { Verdict::Right } else { wrong(&reported, &actual) }
}

/// The event precedes the last switch of the thread, after which it never runs again.
fn switches(reported: u64, actual: u64) -> Verdict {
    if actual == reported || actual == reported + 1 {
        Verdict::Right
    } else {
        wrong(&reported, &actual)
    }
}
