//! What an event, a loss or a look at `/proc` changed in the table.

use super::population::{Key, Population};
use super::process::Process;

/// One change, and the process it is about, as it is after it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Change<'a> {
    /// What changed.
    pub kind: ChangeKind,
    /// Whose change it is.
    pub process: &'a Process,
}

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// Made by a fork.
    Started,
    /// Runs a new program.
    Executed,
    /// Ended with its last thread. Its status is not known where its process id was given to
    /// another before its exit was reported.
    Ended,
    /// Has another name.
    Renamed,
    /// Has other user ids.
    UserChanged,
    /// Has other group ids.
    GroupChanged,
    /// Leads a new session.
    SessionChanged,
    /// Has one thread more, with this id.
    ThreadStarted(u32),
    /// Has one thread less, which had this id.
    ThreadEnded(u32),
    /// This process traces it from now on; `None` when that ended.
    Traced(Option<u32>),
    /// Is about to dump core.
    Dumped,
    /// Was there before, without the table knowing.
    Appeared,
    /// Is no longer there, and nothing told its end. If its exit comes yet, `Ended` follows.
    Vanished,
    /// A look at `/proc` found it otherwise than events had said.
    Corrected,
}

/// The changes of one [`apply`](super::ProcessTable::apply), in their order.
#[derive(Clone, Debug)]
pub struct Changes<'a> {
    changes: std::slice::Iter<'a, (ChangeKind, Key)>,
    population: &'a Population,
}

impl<'a> Changes<'a> {
    pub(super) fn new(changes: &'a [(ChangeKind, Key)], population: &'a Population) -> Self {
        Self { changes: changes.iter(), population }
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        loop {
            let (kind, key) = *self.changes.next()?;
            // One that ended may be forgotten by now, where the table keeps none.
            if let Some(process) = self.population.by_key(key) {
                return Some(Change { kind, process });
            }
        }
    }
}
