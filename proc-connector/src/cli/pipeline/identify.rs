//! Identifies the process of an event, and the name of its user.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use proc_connector::Received;
use proc_connector::capture::{Note, Origin};
use proc_connector::process::{Changes, Process, ProcessTable};

use crate::cli::failure::Failure;
use crate::cli::host::users::Users;
use crate::cli::redact::Redactor;
use crate::cli::shown::complain;

/// The processes of this machine or of a recording.
#[derive(Debug)]
pub(crate) struct Identify {
    table: ProcessTable,
    users: Names,
    /// The name of the machine.
    host: Option<String>,
    /// Whether an event or a loss was applied.
    has_begun: bool,
}

/// The names of users.
#[derive(Debug)]
enum Names {
    Live(Users),
    /// Those in a recording. This machine does not know its users.
    Recorded(BTreeMap<u32, Box<str>>),
}

impl Names {
    fn name(&mut self, uid: u32) -> Option<&str> {
        match self {
            Self::Live(users) => users.name(uid),
            Self::Recorded(names) => names.get(&uid).map(|name| &**name),
        }
    }
}

/// The process that an event is about. The table has it until the next event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    tgid: u32,
    /// Set if the event changed the process. After its end, only the serial finds it.
    serial: Option<u64>,
    /// The time of the event: a process that started later has reused the id.
    at_ns: u64,
}

impl Subject {
    /// A process that an event changed.
    pub(crate) fn of(process: &Process) -> Self {
        Self { tgid: process.tgid(), serial: Some(process.serial()), at_ns: u64::MAX }
    }
}

impl Identify {
    /// The processes of this machine. Call it after opening the connector, which then receives every
    /// later change. Without a usable `/proc` it warns, and processes are known from events only.
    pub(crate) fn live() -> Result<Self, Failure> {
        Self::live_redacted(None)
    }

    /// The same, without what the redactor leaves out.
    pub(crate) fn live_redacted(redactor: Option<&Redactor>) -> Result<Self, Failure> {
        let table = match redactor {
            None => ProcessTable::new(),
            Some(redactor) => ProcessTable::redacted(redactor.rules()),
        };
        let table = match table {
            Err(error) if is_permanent(error.kind()) => {
                complain(format_args!(
                    "warning: processes are known only from their events: {error}"
                ));
                ProcessTable::without_proc()
            }
            table => table.map_err(Failure::Proc)?,
        };
        let is_anonymous = redactor.is_some_and(Redactor::is_anonymous);
        let host = if is_anonymous { None } else { Origin::this_machine().host };
        Ok(Self { table, users: Names::Live(Users::default()), host, has_begun: false })
    }

    /// The processes of a recording, which are known from its events and notes.
    pub(crate) fn recorded() -> Self {
        let users = Names::Recorded(BTreeMap::new());
        Self { table: ProcessTable::without_proc(), users, host: None, has_begun: false }
    }

    /// Applies notes of a recording. Returns whether the recording has begun. Before, they are about
    /// processes that existed earlier.
    pub(crate) fn apply_notes(&mut self, notes: &[Note]) -> bool {
        if let Names::Recorded(names) = &mut self.users {
            for (uid, name) in notes.iter().filter_map(Note::user) {
                names.insert(uid, String::from_utf8_lossy(name).into());
            }
        }
        if let Some(name) = notes.iter().filter_map(Note::host).next_back() {
            let name = String::from_utf8_lossy(name).into_owned();
            self.host = Some(name).filter(|name| !name.is_empty());
        }
        self.table.apply_notes(notes);
        self.has_begun
    }

    /// Keeps at most `number` ended processes, for `time` after their end.
    pub(crate) fn keep_ended(self, number: usize, time: Duration) -> Self {
        Self { table: self.table.keep_ended(number, time), ..self }
    }

    /// The name of the machine.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(crate) fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// Applies an event or a loss to the table. Returns the process that it is about.
    pub(crate) fn apply(&mut self, received: &Received<'_>) -> Subject {
        self.has_begun = true;
        let (ids, at_ns) = match received {
            Received::Event(event) => (event.process(), event.timestamp_ns()),
            Received::Lost(_) => (None, 0),
        };
        let tgid = ids.map_or(0, |ids| ids.tgid);
        let changed = self.table.apply(received).filter(|change| change.process.tgid() == tgid);
        Subject { tgid, serial: changed.last().map(|change| change.process.serial()), at_ns }
    }

    /// The changes by the last event, loss or scan of `/proc`.
    pub(crate) fn changes(&self) -> Changes<'_> {
        self.table.changes()
    }

    /// The name of a process's effective user, or the user's id while the name is unknown.
    pub(super) fn user_of(&mut self, process: &Process) -> Option<String> {
        let uid = process.uid()?.effective;
        let name = self.user_name(uid).map(str::to_owned);
        Some(name.unwrap_or_else(|| uid.to_string()))
    }

    pub(crate) fn process(&self, subject: Subject) -> Option<&Process> {
        find(&self.table, subject)
    }

    /// The process, and the name of its effective user, or the user's id while the name is unknown.
    pub(crate) fn process_and_user(
        &mut self,
        subject: Subject,
    ) -> (Option<&Process>, Option<Cow<'_, str>>) {
        let Self { table, users, .. } = self;
        let process = find(table, subject);
        let uid = process.and_then(Process::uid).map(|ids| ids.effective);
        let user = uid.map(|uid| {
            let name = users.name(uid);
            name.map_or_else(|| Cow::Owned(uid.to_string()), Cow::Borrowed)
        });
        (process, user)
    }

    /// The name of a user of this machine.
    pub(crate) fn user_name(&mut self, uid: u32) -> Option<&str> {
        self.users.name(uid)
    }

    /// How long to wait for events before calling [`rescan_if_due`](Self::rescan_if_due).
    pub(crate) fn rescan_in(&self) -> Option<Duration> {
        self.table.rescan_in()
    }

    /// Scans `/proc` if a loss made that necessary and the scan is due. Returns the changes, or `None`
    /// if `/proc` cannot be listed now; the table tries again later.
    pub(crate) fn rescan_if_due(&mut self) -> Option<Changes<'_>> {
        self.table.rescan_if_due().ok()
    }

    /// Scans `/proc` now. Returns the changes.
    pub(crate) fn rescan(&mut self) -> Option<Changes<'_>> {
        self.table.rescan().ok()
    }
}

fn find(table: &ProcessTable, Subject { tgid, serial, at_ns }: Subject) -> Option<&Process> {
    let is_subject = |process: &&Process| match serial {
        Some(serial) => process.serial() == serial,
        None => process.start_ns().is_none_or(|start| start <= at_ns),
    };
    table.get(tgid).filter(is_subject).or_else(|| {
        // A process that has ended cannot be found by its id.
        let changed = table.changes().map(|change| change.process);
        changed.filter(|process| Some(process.serial()) == serial).last()
    })
}

/// Whether the error is permanent, unlike a lack of descriptors or memory.
pub(crate) fn is_permanent(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, Unsupported};
    matches!(kind, NotFound | PermissionDenied | Unsupported)
}
