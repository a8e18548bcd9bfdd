//! Events as a capture file.

use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, SystemTime};

use proc_connector::capture::{Note, Writer};
use proc_connector::process::Survey;
use proc_connector::{Event, Payload, Received};

use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::host::users::Users;

/// Writes events to a capture, and what a replay must know to show them.
#[derive(Debug)]
pub(crate) struct Capture<W: Write> {
    writer: Writer<W>,
    /// `None` if `/proc` cannot be used.
    survey: Option<Survey>,
    users: NotedUsers,
}

/// The users whose names the capture has.
#[derive(Debug, Default)]
struct NotedUsers {
    users: Users,
    noted: HashSet<u32>,
    /// The last user. Consecutive events are often of the same user.
    last: Option<u32>,
}

impl<W: Write> Capture<W> {
    /// Begins a capture with the processes that exist now.
    pub(crate) fn new(writer: Writer<W>, survey: Option<Survey>) -> Result<Self, Failure> {
        let mut new = Self { writer, survey, users: NotedUsers::default() };
        new.write_processes()?;
        Ok(new)
    }

    /// Ends the capture.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        Ok(self.writer.finish()?)
    }

    /// Writes the processes that exist now. A failure to read them is not one of the recording: a later
    /// call tries again.
    fn write_processes(&mut self) -> Result<(), Failure> {
        let Some(survey) = &mut self.survey else { return Ok(()) };
        let Ok(notes) = survey.processes() else { return Ok(()) };
        let time = SystemTime::now();
        for note in &notes {
            if let Some(uid) = note.process_uid() {
                self.users.note(uid, time, &mut self.writer)?;
            }
        }
        for note in &notes {
            self.writer.write_note(note, time)?;
        }
        Ok(())
    }

    /// Writes what a replay must know before an event.
    fn write_notes(&mut self, received: &Received<'_>, time: SystemTime) -> Result<(), Failure> {
        if let Some(note) = self.survey.as_mut().and_then(|survey| survey.apply(received)) {
            self.writer.write_note(&note, time)?;
        }
        if let Received::Event(event) = received {
            if let Some(uid) = effective_user(event).filter(|&uid| self.users.last != Some(uid)) {
                self.users.note(uid, time, &mut self.writer)?;
                self.users.last = Some(uid);
            }
        }
        Ok(())
    }
}

impl NotedUsers {
    /// Writes the name of a user, if it is known and not yet written.
    fn note(
        &mut self,
        uid: u32,
        time: SystemTime,
        writer: &mut Writer<impl Write>,
    ) -> Result<(), Failure> {
        if !self.noted.contains(&uid) {
            if let Some(name) = self.users.name(uid) {
                writer.write_note(&Note::of_user(uid, name.as_bytes()), time)?;
                self.noted.insert(uid);
            }
        }
        Ok(())
    }
}

/// The user that an event has: the new one after a change.
#[inline]
fn effective_user(event: &Event<'_>) -> Option<u32> {
    match event.payload() {
        Payload::Uid(uid) => Some(uid.euid()),
        _ => event.context()?.euid(),
    }
}

impl<W: Write> Sink for Capture<W> {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        let time = item.time.unwrap_or(SystemTime::UNIX_EPOCH);
        self.write_notes(item.received, time)?;
        Ok(self.writer.write(item.received, time)?)
    }

    fn due_in(&self) -> Option<Duration> {
        self.survey.as_ref()?.due_in()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.due_in() == Some(Duration::ZERO) {
            self.write_processes()?;
        }
        Ok(self.writer.flush()?)
    }
}
