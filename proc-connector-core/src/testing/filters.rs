//! Models of filters and events. They compute the expected result from the numbers alone, without
//! this crate's views and programs.

use alloc::vec::Vec;

use super::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, PTRACE, SID, UID};
use super::wire::{EVENT_LEN, Head, Order};
use crate::{EventMask, Filter};

/// An event as the kernel sends it: the kind and the six words of the union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent {
    pub what: u32,
    pub words: [u32; 6],
}

impl RawEvent {
    /// The datagram in the host's byte order.
    pub fn datagram(&self) -> [u8; EVENT_LEN] {
        let data = Order::Native.words(&self.words);
        let bytes = Order::Native.datagram(Head::default(), self.what, &data);
        bytes.try_into().expect("the length of every event")
    }
}

/// The parts of a filter.
#[derive(Clone, Debug)]
pub struct FilterModel {
    pub mask: u32,
    pub processes_only: bool,
    pub failures_only: bool,
    pub tgids: Option<(TgidRule, Vec<u32>)>,
}

#[derive(Clone, Copy, Debug)]
pub enum TgidRule {
    Only,
    Except,
}

impl FilterModel {
    pub fn filter(&self) -> Filter {
        let mut filter = Filter::new(EventMask::from_bits_retain(self.mask));
        if self.processes_only {
            filter = filter.processes_only();
        }
        if self.failures_only {
            filter = filter.failures_only();
        }
        match &self.tgids {
            None => filter,
            Some((TgidRule::Only, tgids)) => filter.only_tgids(tgids).expect("few enough"),
            Some((TgidRule::Except, tgids)) => filter.except_tgids(tgids).expect("few enough"),
        }
    }

    /// Whether the filter must pass the event.
    pub fn passes(&self, event: &RawEvent) -> bool {
        let [first, second, third, fourth, ..] = event.words;
        if event.what & self.mask == 0 {
            return false;
        }
        // The process it concerns, and whether it concerns a thread other than the leader.
        let (tgid, is_thread) = match event.what {
            FORK if third == fourth => (second, false),
            FORK => (fourth, true),
            EXEC | COREDUMP => (second, false),
            UID | GID | SID | PTRACE | COMM | EXIT => (second, first != second),
            _ => return true,
        };
        let listed = |tgids: &[u32]| tgids.contains(&tgid);
        let unwanted_thread = self.processes_only && is_thread;
        let unwanted_success = self.failures_only && event.what == EXIT && third == 0;
        !unwanted_thread
            && !unwanted_success
            && match &self.tgids {
                None => true,
                Some((TgidRule::Only, tgids)) => listed(tgids),
                Some((TgidRule::Except, tgids)) => !listed(tgids),
            }
    }
}
