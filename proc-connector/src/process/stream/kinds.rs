//! Sets of kinds of changes.

use super::super::change::ChangeKind;

bitflags::bitflags! {
    /// Kinds of changes that a [`ProcessStream`](super::ProcessStream) yields.
    ///
    /// ```
    /// use proc_connector::process::{ChangeKind, ChangeKinds};
    ///
    /// let lives = ChangeKinds::STARTED | ChangeKinds::ENDED;
    /// assert!(lives.contains(ChangeKind::Ended.into()));
    /// assert!(!lives.contains(ChangeKind::ThreadEnded(7).into()));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct ChangeKinds: u32 {
        /// [`ChangeKind::Started`].
        const STARTED = 1;
        /// [`ChangeKind::Executed`].
        const EXECUTED = 1 << 1;
        /// [`ChangeKind::Ended`].
        const ENDED = 1 << 2;
        /// [`ChangeKind::Renamed`].
        const RENAMED = 1 << 3;
        /// [`ChangeKind::UserChanged`].
        const USER_CHANGED = 1 << 4;
        /// [`ChangeKind::GroupChanged`].
        const GROUP_CHANGED = 1 << 5;
        /// [`ChangeKind::SessionChanged`].
        const SESSION_CHANGED = 1 << 6;
        /// [`ChangeKind::ThreadStarted`].
        const THREAD_STARTED = 1 << 7;
        /// [`ChangeKind::ThreadEnded`].
        const THREAD_ENDED = 1 << 8;
        /// [`ChangeKind::Traced`].
        const TRACED = 1 << 9;
        /// [`ChangeKind::Dumped`].
        const DUMPED = 1 << 10;
        /// [`ChangeKind::Appeared`].
        const APPEARED = 1 << 11;
        /// [`ChangeKind::Vanished`].
        const VANISHED = 1 << 12;
        /// [`ChangeKind::Corrected`].
        const CORRECTED = 1 << 13;
    }
}

/// The set of one kind. Ids of threads and tracers do not matter.
impl From<ChangeKind> for ChangeKinds {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Started => Self::STARTED,
            ChangeKind::Executed => Self::EXECUTED,
            ChangeKind::Ended => Self::ENDED,
            ChangeKind::Renamed => Self::RENAMED,
            ChangeKind::UserChanged => Self::USER_CHANGED,
            ChangeKind::GroupChanged => Self::GROUP_CHANGED,
            ChangeKind::SessionChanged => Self::SESSION_CHANGED,
            ChangeKind::ThreadStarted(_) => Self::THREAD_STARTED,
            ChangeKind::ThreadEnded(_) => Self::THREAD_ENDED,
            ChangeKind::Traced(_) => Self::TRACED,
            ChangeKind::Dumped => Self::DUMPED,
            ChangeKind::Appeared => Self::APPEARED,
            ChangeKind::Vanished => Self::VANISHED,
            ChangeKind::Corrected => Self::CORRECTED,
        }
    }
}
