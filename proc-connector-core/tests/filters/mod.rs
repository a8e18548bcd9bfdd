//! Filters and events made up at random, and what the one says of the other, worked out from the
//! numbers alone: without this crate's views, and without its programs.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary includes this file and uses a part of it"
)]

#[path = "../kinds/mod.rs"]
mod kinds;

pub(crate) use kinds::*;
use proc_connector_core::{EventMask, Filter};

/// An event as the kernel lays it out: the kind and the six words of the union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) what: u32,
    pub(crate) words: [u32; 6],
}

impl Happening {
    /// The datagram, in the host's byte order.
    pub(crate) fn datagram(&self) -> [u8; 76] {
        let mut bytes = [0; 76];
        let mut put = |at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        put(0, 76);
        put(16, 1);
        put(20, 1);
        put(36, self.what);
        for (index, &word) in self.words.iter().enumerate() {
            put(52 + 4 * index, word);
        }
        bytes[4..6].copy_from_slice(&3u16.to_ne_bytes());
        bytes[32..34].copy_from_slice(&40u16.to_ne_bytes());
        bytes
    }
}

/// What a filter is made of.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) mask: u32,
    pub(crate) processes_only: bool,
    pub(crate) failures_only: bool,
    pub(crate) tgids: Option<(Set, Vec<u32>)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Set {
    Only,
    Except,
}

impl Choice {
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::new(EventMask::from_bits_retain(self.mask));
        if self.processes_only {
            filter = filter.processes_only();
        }
        if self.failures_only {
            filter = filter.failures_only();
        }
        match &self.tgids {
            None => filter,
            Some((Set::Only, tgids)) => filter.only_tgids(tgids).expect("few enough"),
            Some((Set::Except, tgids)) => filter.except_tgids(tgids).expect("few enough"),
        }
    }

    /// Whether the event should pass.
    pub(crate) fn wants(&self, event: &Happening) -> bool {
        let [first, second, third, fourth, ..] = event.words;
        if event.what & self.mask == 0 {
            return false;
        }
        // Whom it concerns, and whether that is a thread that is not its process's first.
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
                Some((Set::Only, tgids)) => listed(tgids),
                Some((Set::Except, tgids)) => !listed(tgids),
            }
    }
}
