//! Reads the processes of this machine for a recording.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_connector_core::{Event, Payload};

use super::hasher::ById;
use super::proc_fs;
use super::redact::{Redact, Redacted};
use super::rescan::Rescan;
use super::snapshot::{Fields, Ids, ReadError, Snapshot, SnapshotSource};
use crate::capture::{Kind, Listed, Note, Scan};
use crate::stream::Received;

/// How often the path of a cgroup is looked for. It is not found if each process that is in the cgroup
/// has ended when its event is received.
const MAX_TRIES: u8 = 16;

/// More cgroups than a machine has, except one that creates cgroups continuously.
const MAX_CGROUPS: usize = 10_000;

/// Reads what a recording needs and events do not contain: the processes that exist when it begins, and
/// after each loss, and the paths of cgroups.
///
/// ```no_run
/// use proc_connector::capture::Writer;
/// use proc_connector::process::Survey;
/// use proc_connector::{ProcConnector, Received, WallClock};
/// use std::fs::File;
/// use std::time::SystemTime;
///
/// // Open the connector first: then its events report every later start and end.
/// let mut events = ProcConnector::builder().context(true).open()?;
/// let mut survey = Survey::new()?;
/// let mut writer = Writer::new(File::create("events.pcapng")?)?;
/// for note in survey.processes()? {
///     writer.write_note(&note, SystemTime::now())?;
/// }
/// loop {
///     let batch = match survey.due_in() {
///         None => events.recv_batch()?,
///         Some(time) => events.recv_batch_timeout(time)?,
///     };
///     let clock = WallClock::new();
///     for received in batch {
///         let time = match received {
///             Received::Event(event) => clock.time(event.timestamp_ns()),
///             Received::Lost(_) => SystemTime::now(),
///         };
///         if let Some(note) = survey.apply(&received) {
///             writer.write_note(&note, time)?;
///         }
///         writer.write(&received, time)?;
///     }
///     if survey.due_in() == Some(std::time::Duration::ZERO) {
///         for note in survey.processes()? {
///             writer.write_note(&note, SystemTime::now())?;
///         }
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Survey {
    source: Box<dyn SnapshotSource>,
    rescan: Rescan,
    /// How often the path of each cgroup was looked for, by id. `MAX_TRIES`: it was found.
    tries: ById<u64, u8>,
    /// The last cgroup whose path needs no search.
    last_cgroup: u64,
    /// Whether no recorded id determines the path of a cgroup.
    has_version_1: bool,
}

impl Survey {
    /// Opens `/proc`.
    ///
    /// # Errors
    ///
    /// Those of [`ProcessTable::new`](super::ProcessTable::new).
    pub fn new() -> io::Result<Self> {
        Ok(Self::with_source(proc_fs::open()?))
    }

    /// The same as [`new`](Self::new), without the values that `redact` leaves out.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn redacted(redact: Arc<dyn Redact>) -> io::Result<Self> {
        Ok(Self::with_source(Box::new(Redacted { source: proc_fs::open()?, redact })))
    }

    fn with_source(source: Box<dyn SnapshotSource>) -> Self {
        Self {
            source,
            rescan: Rescan::default(),
            tries: ById::default(),
            last_cgroup: 0,
            has_version_1: false,
        }
    }

    /// Reads all processes.
    ///
    /// # Errors
    ///
    /// Errors of reading `/proc`, for example because too many files are open. The processes are then
    /// due again later.
    pub fn processes(&mut self) -> io::Result<Vec<Note>> {
        let started = Instant::now();
        match self.read_all() {
            Ok(notes) => {
                self.rescan.after_scan(started, Instant::now());
                Ok(notes)
            }
            Err(error) => {
                self.rescan.after_loss(Instant::now());
                Err(error)
            }
        }
    }

    fn read_all(&mut self) -> io::Result<Vec<Note>> {
        // Each list makes a file complete, together with the paths that follow.
        self.tries.clear();
        self.last_cgroup = 0;
        let (at_ns, listed) = (self.source.now_ns(), self.source.list()?);
        let mut notes = Vec::with_capacity(listed.len() + 1);
        notes.push(Note(Kind::Scan(Scan::default())));
        let boot_id = self.source.boot_id().map(|boot_id| boot_id.to_string().into_bytes());
        let boottime_offset_ns = self.source.boottime_offset_ns();
        for tgid in listed {
            match self.source.read(tgid, Fields::ALL) {
                Ok(snapshot) if snapshot.is_alive => {
                    if let Some(cgroup) = &snapshot.cgroup {
                        self.has_version_1 = !cgroup.id_determines_path;
                    }
                    notes.push(Note(Kind::Process(Box::new(listed_process(tgid, snapshot)))));
                }
                Ok(_) | Err(ReadError::Gone | ReadError::Unreadable) => {}
                Err(ReadError::Failed(error)) => return Err(error),
            }
        }
        let count = u32::try_from(notes.len() - 1).unwrap_or(u32::MAX);
        notes[0] = Note(Kind::Scan(Scan { count, at_ns, boottime_offset_ns, boot_id }));
        Ok(notes)
    }

    /// The time until the processes must be read again because of a loss: wait for events no longer than
    /// this. `None` if nothing was lost.
    pub fn due_in(&self) -> Option<Duration> {
        self.rescan.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Applies an event or a loss. Returns what a replay must know before it.
    #[inline]
    pub fn apply(&mut self, received: &Received<'_>) -> Option<Note> {
        match received {
            Received::Event(event) => self.find_cgroup(event),
            Received::Lost(_) => {
                self.rescan.after_loss(Instant::now());
                None
            }
        }
    }

    /// The path of the cgroup of a process that executed a program, if it was not reported yet.
    #[inline]
    fn find_cgroup(&mut self, event: &Event<'_>) -> Option<Note> {
        let Payload::Exec(exec) = event.payload() else { return None };
        if self.has_version_1 {
            return None;
        }
        let id = event.context()?.cgroup_id()?;
        if id == self.last_cgroup {
            return None;
        }
        self.read_cgroup(exec.process_tgid(), id)
    }

    #[cold]
    fn read_cgroup(&mut self, tgid: u32, id: u64) -> Option<Note> {
        if self.tries.len() >= MAX_CGROUPS {
            self.tries.clear();
        }
        let tries = self.tries.entry(id).or_default();
        if *tries >= MAX_TRIES {
            self.last_cgroup = id;
            return None;
        }
        *tries += 1;
        let cgroup = self.source.read(tgid, Fields::CGROUP).ok()?.cgroup?;
        if !cgroup.id_determines_path {
            self.has_version_1 = true;
            return None;
        }
        // The process may have moved since.
        if self.source.cgroup_id(&cgroup.path) != Some(id) {
            return None;
        }
        *tries = MAX_TRIES;
        self.last_cgroup = id;
        let path = cgroup.path.into_os_string().into_encoded_bytes();
        Some(Note(Kind::Cgroup { id, path }))
    }
}

fn listed_process(tgid: u32, snapshot: Snapshot) -> Listed {
    let ids = |ids: Ids| (ids.real, ids.effective);
    let (exe, args) = snapshot.image.map_or((None, None), |image| (image.exe, image.args));
    let id_determines_cgroup =
        snapshot.cgroup.as_ref().is_none_or(|cgroup| cgroup.id_determines_path);
    Listed {
        tgid,
        seen_ns: snapshot.seen_ns,
        start_ticks: snapshot.start_ticks,
        parent: snapshot.parent,
        session: snapshot.session,
        is_kernel_thread: snapshot.is_kernel_thread,
        first_ended: snapshot.first.is_err(),
        others: snapshot.others,
        comm: Some(snapshot.comm),
        uid: snapshot.uid.map(ids),
        gid: snapshot.gid.map(ids),
        cgroup: snapshot.cgroup.map(|cgroup| cgroup.path.into_os_string().into_encoded_bytes()),
        id_determines_cgroup,
        exe: exe.map(|exe| exe.into_os_string().into_encoded_bytes()),
        args_cut: args.as_ref().is_some_and(|args| args.is_cut),
        args: args.map(|args| args.bytes.into()),
    }
}
