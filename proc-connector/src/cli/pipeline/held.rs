//! Events of processes that wait for the program of an exec, which the table reports later.
//!
//! Over the socket, the program is read from `/proc`, and is certain only after later events. The events
//! of the process, and those behind them, are held until then, so that their order is kept.

use std::collections::VecDeque;
use std::time::SystemTime;

use proc_connector::OwnedReceived;
use proc_connector::process::{ChangeKind, Changes, Process};

use super::details::OwnedDetails;
use crate::cli::output::sink::{End, Item};

/// A busy machine sends this number of events in a few milliseconds.
const CAPACITY: usize = 4096;

/// The held events, in order.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: VecDeque<HeldItem>,
}

/// An item that owns its event and its process.
#[derive(Debug)]
pub(super) struct HeldItem {
    received: OwnedReceived,
    time: Option<SystemTime>,
    process: Option<Process>,
    pub(super) user: Option<String>,
    is_over: Option<bool>,
    end: Option<End>,
    details: OwnedDetails,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// An event whose process waits for the exec of the process with this serial.
    Waits(u64),
    /// Such an event, with the program. Whether it is shown is still to be decided.
    Known,
    /// An event to show.
    Event,
    /// The end of another process than that of the event.
    OtherEnd,
}

impl HeldItem {
    pub(super) fn new(item: &Item<'_>, state: State) -> Self {
        let &Item { received, time, process, is_over, end, ref details, .. } = item;
        let details = OwnedDetails::new(details);
        let user = item.user.as_deref().map(str::to_owned);
        let process = process.cloned();
        Self { received: (*received).into(), time, process, user, is_over, end, details, state }
    }

    /// Calls `show` with the item.
    pub(super) fn show<T>(&self, show: impl FnOnce(&Item<'_>) -> T) -> T {
        let &Self { time, is_over, end, ref details, .. } = self;
        let (process, user) = (self.process.as_ref(), self.user.as_deref().map(Into::into));
        let (received, details) = (&self.received.as_received(), details.borrowed());
        show(&Item { received, time, process, user, is_over, end, details })
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn push(&mut self, item: HeldItem) {
        self.items.push_back(item);
    }

    /// Notes the execs that the table reports now.
    pub(super) fn note(&mut self, changes: Changes<'_>) {
        if self.items.is_empty() {
            return;
        }
        for change in changes.filter(|change| change.kind == ChangeKind::Executed) {
            let state = State::Waits(change.process.serial());
            for item in self.items.iter_mut().filter(|item| item.state == state) {
                if let Some(process) = &mut item.process {
                    process.take_program(change.process);
                }
                item.details.take_program(&item.received, change.process);
                item.state = State::Known;
            }
        }
    }

    /// The first item, if it does not wait, `all` are wanted, or too many are held.
    pub(super) fn pop(&mut self, all: bool) -> Option<HeldItem> {
        let is_ready = |item: &HeldItem| !matches!(item.state, State::Waits(..));
        if !all && self.items.len() <= CAPACITY && !self.items.front().is_some_and(is_ready) {
            return None;
        }
        let mut item = self.items.pop_front()?;
        if !is_ready(&item) {
            item.state = State::Known;
        }
        Some(item)
    }
}
