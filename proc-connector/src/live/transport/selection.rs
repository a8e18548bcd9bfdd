//! The filter of a connector, and the count of missing sequence numbers on an unfiltered one.

use std::io;

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{CpuSequence, Event, Filter};
use proc_connector_sys::sock_filter;

use crate::error::{Error, Result};
use crate::live::host::kernel::forgets_listeners;
use crate::sys::NetlinkSocket;

/// Applies a filter, in the kernel if possible, and checks sequence numbers.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Whether the socket has a filter attached.
    attached: bool,
    /// The filter, if it must be evaluated in user space.
    user_space_filter: Option<Box<Filter>>,
    /// The sequence numbers of each CPU. `None` once the stream was filtered and has gaps by
    /// design.
    sequences: Option<Vec<CpuSequence>>,
    missing: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { attached: false, user_space_filter: None, sequences: Some(Vec::new()), missing: 0 }
    }
}

/// The most CPUs that a kernel can be built for (`NR_CPUS`).
const MAX_CPUS: usize = 8192;

impl Selection {
    /// Attaches `filter` to a socket that is not bound yet.
    pub(crate) fn new(filter: &Filter, socket: &NetlinkSocket) -> Result<Self> {
        let mut selection = Self::default();
        selection.apply(filter, socket)?;
        Ok(selection)
    }

    /// The selection for a stream that the ring's program filters.
    pub(crate) fn filtered_by_ring(filter: &Filter) -> Self {
        let mut selection = Self::default();
        selection.record_filter(filter);
        selection
    }

    /// Replaces the filter. From now on exactly the events that pass it are queued. Events that are
    /// already queued stay.
    pub(crate) fn apply(&mut self, filter: &Filter, socket: &NetlinkSocket) -> Result<()> {
        let everything = filter.passes_everything();
        if forgets_listeners() {
            // An overrun then fails with ENOBUFS instead of ESRCH, which this kernel takes to mean
            // that no process listens.
            socket.report_overruns_to_senders()?;
            self.user_space_filter = (!everything).then(|| Box::new(filter.clone()));
        } else if self.attached || !everything {
            attach(filter, socket).map_err(Error::FilterRefused)?;
            self.attached = true;
        }
        self.record_filter(filter);
        Ok(())
    }

    /// Ends the check of sequence numbers for good if the filter drops any event: the number at
    /// which the stream continues is then unknown.
    pub(crate) fn record_filter(&mut self, filter: &Filter) {
        if !filter.passes_everything() {
            self.sequences = None;
        }
    }

    /// Whether an event passes the filter, if that is evaluated in user space. True otherwise.
    #[inline]
    pub(crate) fn wants(&self, event: &Event<'_>) -> bool {
        self.user_space_filter.as_ref().is_none_or(|filter| filter.matches(event))
    }

    /// Checks the next sequence number of a CPU.
    #[inline]
    pub(crate) fn observe_sequence(&mut self, cpu: u32, seq: u32) {
        let Some(sequences) = &mut self.sequences else { return };
        let cpu = cpu as usize;
        if cpu >= sequences.len() {
            if cpu >= MAX_CPUS {
                return;
            }
            sequences.resize(cpu + 1, CpuSequence::default());
        }
        self.missing += u64::from(sequences[cpu].observe(seq));
    }

    /// How many sequence numbers are missing. `None` if the stream was ever filtered.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.sequences.as_ref().map(|_| self.missing)
    }
}

fn attach(filter: &Filter, socket: &NetlinkSocket) -> io::Result<()> {
    let mut buffer = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?;
    socket.attach_filter(program)
}
