//! What a recording has besides events: the processes that exist at a moment, and names.

use super::comment;

/// Something that a recorder read on its machine, and that a replay cannot read: the processes that
/// existed when the recording began and after each loss, names of users, paths of cgroups, and the name of
/// the machine.
///
/// A [`Survey`](crate::process::Survey) reads notes, a [`Writer`](super::Writer) writes them, and a
/// [`ProcessTable`](crate::process::ProcessTable::apply_notes) learns from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(pub(crate) Kind);

/// The kinds of notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scan(Scan),
    Process(Box<Listed>),
    User {
        uid: u32,
        name: Vec<u8>,
    },
    Cgroup {
        id: u64,
        path: Vec<u8>,
    },
    /// Empty if the name is unknown.
    Host(Vec<u8>),
}

impl Note {
    /// The name of a user of the recording machine.
    pub fn of_user(uid: u32, name: &[u8]) -> Self {
        Self(Kind::User { uid, name: name.into() })
    }

    /// The id and the name of a user of the recording machine, if this note has one.
    pub fn user(&self) -> Option<(u32, &[u8])> {
        match &self.0 {
            Kind::User { uid, name } => Some((*uid, name)),
            _ => None,
        }
    }

    /// The name of the recording machine, if this note has it; empty if the name is unknown from here on.
    /// A [`Reader`](super::Reader) makes this note of the [`Origin`](super::Origin) of a capture.
    pub fn host(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Host(name) => Some(name),
            _ => None,
        }
    }

    /// The effective user id of a process that existed, if this note has one.
    pub fn process_uid(&self) -> Option<u32> {
        match &self.0 {
            Kind::Process(process) => Some(process.uid?.1),
            _ => None,
        }
    }

    /// Whether this note belongs to a list of processes.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.0, Kind::Scan(_) | Kind::Process(_))
    }

    /// The comment of this note, as a capture has it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        comment::note::write(&self.0, out);
    }

    /// Reads the comment of a note. `None` if it is damaged, or of an unknown kind.
    pub(crate) fn read(comment: &[u8]) -> Option<Self> {
        comment::note::read(comment).map(Self)
    }
}

/// Begins a list of all processes, which follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The number of processes.
    pub(crate) count: u32,
    /// When the list was begun, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) at_ns: u64,
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) boottime_offset_ns: u64,
    /// The boot id of the machine, as text.
    pub(crate) boot_id: Option<Vec<u8>>,
}

/// A process in a list, as `/proc` showed it.
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) tgid: u32,
    /// When the process was read, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) seen_ns: u64,
    pub(crate) start_ticks: u64,
    pub(crate) parent: Option<u32>,
    pub(crate) session: u32,
    pub(crate) is_kernel_thread: bool,
    /// Whether the first thread has exited.
    pub(crate) first_ended: bool,
    /// The ids of the other threads.
    pub(crate) others: Option<Vec<u32>>,
    pub(crate) comm: Option<Vec<u8>>,
    /// The real and the effective id.
    pub(crate) uid: Option<(u32, u32)>,
    pub(crate) gid: Option<(u32, u32)>,
    pub(crate) cgroup: Option<Vec<u8>>,
    /// Whether the id of the cgroup determines its path.
    pub(crate) id_determines_cgroup: bool,
    pub(crate) exe: Option<Vec<u8>>,
    pub(crate) args: Option<Vec<u8>>,
    pub(crate) args_cut: bool,
}
