//! The filter of a connector, and the count of missing sequence numbers on an unfiltered one.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::{CpuSequence, Event, Filter};
use proc_connector_sys::sock_filter;

use super::user_space::{UserSpace, superset};
use crate::error::{Error, Result};
use crate::live::host::kernel::forgets_listeners;
use crate::live::host::processes::Processes;
use crate::sys::NetlinkSocket;

/// Applies a filter, in the kernel if possible, and checks sequence numbers.
#[derive(Debug)]
pub(crate) struct Selection {
    filter: Box<Filter>,
    /// Whether the socket has a filter attached.
    attached: bool,
    /// The filter, if it must be evaluated in user space. Locked by shared receives only.
    user_space: Option<Box<Mutex<UserSpace>>>,
    /// The processes before the subscription, if the filter selects descendants.
    earlier: Option<Processes>,
    /// The sequence numbers of each CPU. `None` once the stream was filtered and has gaps by
    /// design.
    sequences: Option<Vec<CpuSequence>>,
    missing: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            filter: Box::default(),
            attached: false,
            user_space: None,
            earlier: None,
            sequences: Some(Vec::new()),
            missing: 0,
        }
    }
}

/// The most CPUs that a kernel can be built for (`NR_CPUS`).
const MAX_CPUS: usize = 8192;

impl Selection {
    /// Attaches `filter` to a socket that is not bound yet. Call [`seed`](Self::seed) once it
    /// listens.
    pub(crate) fn new(filter: &Filter, socket: &NetlinkSocket) -> Result<Self> {
        let mut selection = Self::default();
        if filter.selects_descendants() {
            selection.earlier = Some(Processes::scan()?);
        }
        selection.attach(filter, socket)?;
        if filter.selects_tasks() || (forgets_listeners() && !filter.passes_everything()) {
            selection.user_space = Some(Box::new(Mutex::new(UserSpace::new(filter)?)));
        }
        Ok(selection)
    }

    /// Finds the processes that the filter selects, after the subscription: later changes are then
    /// in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`] if the root of a tree has ended, and errors of reading `/proc`.
    pub(crate) fn seed(&mut self) -> Result<()> {
        let earlier = self.earlier.take();
        match &mut self.user_space {
            Some(user_space) => exclusive(user_space).seed(earlier.as_ref()),
            None => Ok(()),
        }
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
        let earlier = filter.selects_descendants().then(Processes::scan).transpose()?;
        if let Some(processes) = &earlier {
            // Fails before anything is changed if a root does not exist.
            processes.members(filter, |_| false)?;
        }
        let is_needed =
            filter.selects_tasks() || (forgets_listeners() && !filter.passes_everything());
        if self.user_space.is_none() && is_needed {
            let old = UserSpace::new(&self.filter)?;
            self.user_space = Some(Box::new(Mutex::new(old)));
        }
        let new = match &mut self.user_space {
            Some(user_space) => Some(exclusive(user_space).prepare(filter)?),
            None => None,
        };
        self.attach(filter, socket)?;
        let Some((user_space, new)) = self.user_space.as_mut().zip(new) else { return Ok(()) };
        let user_space = exclusive(user_space);
        user_space.replace(new);
        match user_space.seed(earlier.as_ref()) {
            // It has ended since then, and the queue has its exit.
            Err(Error::NoSuchProcess { .. }) => Ok(()),
            result => result,
        }
    }

    /// Attaches the part of the filter that the kernel evaluates.
    fn attach(&mut self, filter: &Filter, socket: &NetlinkSocket) -> Result<()> {
        if forgets_listeners() {
            // An overrun then fails with ENOBUFS instead of ESRCH, which this kernel takes to mean
            // that no process listens.
            socket.report_overruns_to_senders()?;
        } else if self.attached || !filter.passes_everything() {
            attach(&superset(filter), socket).map_err(Error::FilterRefused)?;
            self.attached = true;
        }
        *self.filter = filter.clone();
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
    pub(crate) fn wants(&mut self, event: &Event<'_>) -> bool {
        match &mut self.user_space {
            Some(user_space) => exclusive(user_space).wants(event),
            None => true,
        }
    }

    /// The same for a shared receive.
    pub(crate) fn wants_shared(&self, event: &Event<'_>) -> bool {
        self.user_space.as_ref().is_none_or(|user_space| lock(user_space).wants(event))
    }

    /// Records a loss of events.
    pub(crate) fn note_loss(&self) {
        if let Some(user_space) = &self.user_space {
            lock(user_space).note_loss();
        }
    }

    /// Whether conditions on the acting task are evaluated in user space.
    pub(crate) fn is_in_user_space(&self) -> bool {
        self.user_space.as_ref().is_some_and(|user_space| lock(user_space).selects_tasks())
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

fn lock(user_space: &Mutex<UserSpace>) -> MutexGuard<'_, UserSpace> {
    user_space.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exclusive(user_space: &mut Mutex<UserSpace>) -> &mut UserSpace {
    user_space.get_mut().unwrap_or_else(PoisonError::into_inner)
}

fn attach(filter: &Filter, socket: &NetlinkSocket) -> io::Result<()> {
    let mut buffer = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; MAX_PROGRAM_LEN];
    let program = filter.compile(&mut buffer).ok_or(io::ErrorKind::InvalidInput)?;
    socket.attach_filter(program)
}
