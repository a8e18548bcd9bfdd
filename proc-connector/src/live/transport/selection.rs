//! Which events are let through, and whether any are missing.

use std::io;

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{CpuSequence, Event, Filter};
use proc_connector_sys::sock_filter;

use crate::error::{Error, Result};
use crate::live::host::kernel::goes_deaf;
use crate::sys::NetlinkSocket;

/// The filter of a socket, and the sequence numbers of what comes through where there is none.
#[derive(Debug)]
pub(crate) struct Selection {
    /// The kernel has a filter.
    attached: bool,
    /// A filter that the kernel cannot be given.
    here: Option<Box<Filter>>,
    /// The numbers of each CPU; none on a filtered stream, which has gaps by design.
    sequences: Option<Vec<CpuSequence>>,
    missing: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { attached: false, here: None, sequences: Some(Vec::new()), missing: 0 }
    }
}

/// More CPUs than any kernel is built for (`NR_CPUS`).
const MAX_CPUS: usize = 8192;

impl Selection {
    /// Prepares a socket that is not bound yet.
    pub(crate) fn new(filter: &Filter, socket: &NetlinkSocket) -> Result<Self> {
        let mut selection = Self::default();
        selection.apply(filter, socket)?;
        Ok(selection)
    }

    /// For a stream that is filtered by others before it gets here.
    pub(crate) fn filtered(filter: &Filter) -> Self {
        let mut selection = Self::default();
        selection.note(filter);
        selection
    }

    /// Puts `filter` in the place of the one before. From now on every event that passes it is
    /// queued and no other; what is queued already was chosen by the filter of its time.
    pub(crate) fn apply(&mut self, filter: &Filter, socket: &NetlinkSocket) -> Result<()> {
        let everything = filter.passes_everything();
        if goes_deaf() {
            socket.report_overruns_to_senders()?;
            self.here = (!everything).then(|| Box::new(filter.clone()));
        } else if self.attached || !everything {
            attach(filter, socket).map_err(Error::FilterRefused)?;
            self.attached = true;
        }
        self.note(filter);
        Ok(())
    }

    /// Takes note of a filter. One that holds something back ends the counting of sequence numbers
    /// for good: after it, nobody knows where they should go on.
    pub(crate) fn note(&mut self, filter: &Filter) {
        if !filter.passes_everything() {
            self.sequences = None;
        }
    }

    /// Whether an event is wanted, as far as the kernel has not seen to it.
    #[inline]
    pub(crate) fn wants(&self, event: &Event<'_>) -> bool {
        self.here.as_ref().is_none_or(|filter| filter.matches(event))
    }

    /// Takes note of a sequence number.
    #[inline]
    pub(crate) fn observe(&mut self, cpu: u32, seq: u32) {
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

    /// Sequence numbers that never came, on a stream that was never filtered.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.sequences.as_ref().map(|_| self.missing)
    }
}

fn attach(filter: &Filter, socket: &NetlinkSocket) -> io::Result<()> {
    let mut buffer = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?;
    socket.attach_filter(program)
}
