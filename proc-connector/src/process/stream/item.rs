//! What a stream of processes yields: owned changes, and losses.

use std::sync::Arc;

use super::super::change::ChangeKind;
use super::super::process::Process;
use crate::stream::Lost;

/// An item of a [`ProcessStream`](super::ProcessStream): a change, or a loss of events.
///
/// ```
/// use proc_connector::process::{ChangeKind, ProcessItem};
///
/// fn show(item: &ProcessItem) {
///     match item {
///         ProcessItem::Change(change) if change.kind == ChangeKind::Ended => {
///             println!("{} ended: {:?}", change.process.tgid(), change.process.exit_status());
///         }
///         ProcessItem::Change(_) => {}
///         ProcessItem::Lost(lost) => eprintln!("lost {lost}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum ProcessItem {
    /// A process changed.
    Change(ProcessChange),
    /// Events were lost between the previous and the next item. If the stream reads `/proc`, items
    /// of the kinds [`Appeared`](ChangeKind::Appeared), [`Vanished`](ChangeKind::Vanished) and
    /// [`Corrected`](ChangeKind::Corrected) follow within about a second.
    Lost(Lost),
}

/// One change to a process, owned.
///
/// It can be stored and sent to other threads. Clones share the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessChange {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The process, in its state after the change.
    pub process: Arc<Process>,
}
