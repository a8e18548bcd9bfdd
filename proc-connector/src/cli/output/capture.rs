//! Events as a capture file.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use proc_connector::capture::{Note, Origin, Writer};
use proc_connector::parser::netlink::NLMSG_OVERRUN;
use proc_connector::process::Survey;
use proc_connector::{Event, Payload, Received};

use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::host::users::Users;
use crate::cli::rotated::Rotation;

/// Where a recording is written to.
pub(crate) type Output = Box<dyn Write>;

/// Writes events to a capture, and what a replay must know to show them.
#[derive(Debug)]
pub(crate) struct Capture {
    writer: Option<Writer<Output>>,
    origin: Origin,
    /// `None` for a single file. It completes its file after the writer.
    rotation: Option<Rotation>,
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

impl Capture {
    /// Begins a capture with the processes that exist now.
    pub(crate) fn new(
        output: Output,
        origin: Origin,
        rotation: Option<Rotation>,
        survey: Option<Survey>,
    ) -> Result<Self, Failure> {
        let writer = Some(Writer::with_origin(output, &origin)?);
        let mut new = Self { writer, origin, rotation, survey, users: NotedUsers::default() };
        new.write_processes()?;
        Ok(new)
    }

    /// Ends the capture.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.finish_file()
    }

    fn finish_file(&mut self) -> Result<(), Failure> {
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        self.rotation.as_mut().map_or(Ok(()), Rotation::complete)
    }

    /// Begins another file if the current one is long or old enough, and has an event.
    fn rotate_if_due(&mut self) -> Result<(), Failure> {
        let (Some(rotation), Some(writer)) = (&self.rotation, &self.writer) else { return Ok(()) };
        if writer.is_empty() || !rotation.is_due(writer.len()) {
            return Ok(());
        }
        self.finish_file()?;
        if let Some(rotation) = &mut self.rotation {
            let output: Output = Box::new(rotation.open()?);
            self.writer = Some(Writer::with_origin(output, &self.origin)?);
        }
        self.users =
            NotedUsers { users: std::mem::take(&mut self.users.users), ..NotedUsers::default() };
        self.write_processes()
    }

    /// Writes the processes that exist now. A failure to read them is not one of the recording: a later
    /// call tries again.
    fn write_processes(&mut self) -> Result<(), Failure> {
        let Self { survey: Some(survey), writer: Some(writer), users, .. } = self else {
            return Ok(());
        };
        let Ok(notes) = survey.processes() else { return Ok(()) };
        let time = SystemTime::now();
        for note in &notes {
            writer.write_note(note, time)?;
        }
        for uid in notes.iter().filter_map(Note::process_uid) {
            users.note(uid, time, writer)?;
        }
        Ok(())
    }

    /// Writes what a replay must know before an event.
    fn write_notes(&mut self, received: &Received<'_>, time: SystemTime) -> Result<(), Failure> {
        let Self { survey, writer: Some(writer), users, .. } = self else { return Ok(()) };
        if let Some(note) = survey.as_mut().and_then(|survey| survey.apply(received)) {
            writer.write_note(&note, time)?;
        }
        if let Received::Event(event) = received {
            if let Some(uid) = effective_user(event).filter(|&uid| users.last != Some(uid)) {
                users.note(uid, time, writer)?;
                users.last = Some(uid);
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

impl Sink for Capture {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        let time = item.time.unwrap_or(SystemTime::UNIX_EPOCH);
        self.rotate_if_due()?;
        self.write_notes(item.received, time)?;
        Ok(self.writer.as_mut().map_or(Ok(()), |writer| writer.write(item.received, time))?)
    }

    fn due_in(&self) -> Option<Duration> {
        let survey = self.survey.as_ref().and_then(Survey::due_in);
        // A file without events does not end.
        let has_events = self.writer.as_ref().is_some_and(|writer| !writer.is_empty());
        let rotation = self.rotation.as_ref().filter(|_| has_events);
        survey.into_iter().chain(rotation.and_then(Rotation::due_in)).min()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.survey.as_ref().and_then(Survey::due_in) == Some(Duration::ZERO) {
            self.write_processes()?;
        }
        self.rotate_if_due()?;
        Ok(self.writer.as_mut().map_or(Ok(()), Writer::flush)?)
    }
}

/// Writes events as netlink messages, without anything else.
pub(crate) struct Raw {
    output: Output,
    /// Whole messages that are not yet written.
    messages: Vec<u8>,
}

/// The number of bytes of messages that are collected before they are written.
const MESSAGES: usize = 64 << 10;

impl Raw {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, messages: Vec::with_capacity(MESSAGES) }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = self.output.write_all(&self.messages);
        self.messages.clear();
        written
    }
}

impl Sink for Raw {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        match item.received {
            Received::Event(event) => {
                let start = self.messages.len();
                self.messages.resize(start + event.encoded_len(), 0);
                event.encode(&mut self.messages[start..]).map_err(io::Error::other)?;
            }
            Received::Lost(_) => self.messages.extend_from_slice(&overrun()),
        }
        if self.messages.len() >= MESSAGES {
            self.write_out()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.write_out()?;
        Ok(self.output.flush()?)
    }
}

/// A message that reports lost events (`NLMSG_OVERRUN`), which has only a header.
fn overrun() -> [u8; NETLINK_HEADER_LEN] {
    let mut message = [0; NETLINK_HEADER_LEN];
    message[..4].copy_from_slice(&16_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&NLMSG_OVERRUN.to_ne_bytes());
    message
}

const NETLINK_HEADER_LEN: usize = 16;
