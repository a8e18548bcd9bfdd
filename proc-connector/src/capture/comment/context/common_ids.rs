//! The ids that consecutive tasks often share: of the user, session, terminal, namespace and cgroup.

use proc_connector_core::context::layout::{Recorded, TaskHdr};

use super::COMMON;
use super::value::{Value, key as key_of};

/// The first key of these ids in a comment.
pub(super) const FIRST: u64 = key_of(b"u");

/// The ids of the last event, and their words. An event with the same words has the same ids, which need
/// not be read again.
#[derive(Debug, Default)]
pub(in crate::capture) struct CommonIds {
    words: Vec<u8>,
    recorded: u32,
    task: TaskHdr,
    /// Whether the words leave out the id in the namespace, because it is the one outside.
    has_own_ns_tgid: bool,
}

impl CommonIds {
    /// Whether the words at the start of `value` are those of the last event. Moves `value` behind them.
    #[inline]
    pub(super) fn skip_words(&self, value: &mut Value<'_>) -> bool {
        !self.words.is_empty() && value.skip(&self.words)
    }

    /// Sets the ids. Returns which they are.
    #[inline]
    pub(super) fn restore(&self, tgid: u32, task: &mut TaskHdr) -> u32 {
        let known = &self.task;
        (task.uid_gid, task.euid_egid) = (known.uid_gid, known.euid_egid);
        (task.session, task.tty) = (known.session, known.tty);
        (task.login_uid, task.audit_session) = (known.login_uid, known.audit_session);
        (task.cgroup_id, task.css_set) = (known.cgroup_id, known.css_set);
        task.pid_ns = known.pid_ns;
        task.ns_tgid = if self.has_own_ns_tgid { tgid.into() } else { known.ns_tgid };
        self.recorded
    }

    /// Keeps the ids that these words contain.
    #[cold]
    pub(super) fn keep(
        &mut self,
        words: &[u8],
        recorded: u32,
        task: &TaskHdr,
        has_own_ns_tgid: bool,
    ) {
        self.words.clear();
        self.words.extend_from_slice(words);
        *self =
            Self { words: std::mem::take(&mut self.words), recorded, task: *task, has_own_ns_tgid };
    }
}

/// Whether a part of a context is one of these ids.
#[inline]
pub(super) fn contains(part: Recorded) -> bool {
    !part.is_empty() && COMMON.contains(part)
}

/// The parts of a context that are these ids.
#[inline]
pub(super) fn among(recorded: u32) -> u32 {
    recorded & COMMON.bits()
}
