//! The same event, captured more than once.

use proc_connector_core::{ByteOrder, Event};

/// CPUs that are followed, more than any kernel is built for.
const MAX_CPUS: usize = 8192;

/// Recognises copies: an `nlmon` interface sees an event once for each socket that gets it.
///
/// The kernel makes them one after the other (`netlink_broadcast_filtered` in `af_netlink.c`), so a
/// copy follows its original among the events of its CPU, and has its number and time stamp.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// The last event of each CPU.
    last: Vec<Option<(u32, u64, u32)>>,
}

impl Copies {
    /// Takes note of an event and says whether it is a copy of the one before.
    #[inline]
    pub(super) fn is_copy<O: ByteOrder>(&mut self, event: &Event<'_, O>) -> bool {
        let cpu = usize::try_from(event.cpu()).unwrap_or(usize::MAX);
        if cpu >= MAX_CPUS {
            return false;
        }
        if cpu >= self.last.len() {
            self.last.resize(cpu + 1, None);
        }
        let this = Some((event.seq(), event.timestamp_ns(), event.what()));
        std::mem::replace(&mut self.last[cpu], this) == this
    }
}
