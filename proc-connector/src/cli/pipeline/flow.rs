//! The stages that connect a source to an output format.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::Received;
use proc_connector::capture::Note;
use proc_connector::process::Process;

use super::details;
use super::ends::{self, NotedEnds};
use super::held::{Held, HeldItem, State};
use super::identify::{Identify, Subject};
use super::stage::{Choose, Stage};
use crate::cli::failure::Failure;
use crate::cli::output::sink::{Details, Item, Sink};
use crate::cli::redact::Redactor;

/// Counts the shown events, up to the wanted number.
#[derive(Debug)]
struct Count {
    shown: u64,
    wanted: u64,
}

impl Count {
    fn new(wanted: u64) -> Self {
        Self { shown: 0, wanted }
    }

    fn add(&mut self, received: &Received<'_>) {
        self.shown += u64::from(matches!(received, Received::Event(_)));
    }

    fn wants_more(&self) -> bool {
        self.shown < self.wanted
    }
}

/// Writes all events to the output, without identifying their processes. The source has filtered them.
#[derive(Debug)]
pub(crate) struct Direct<S> {
    pub(crate) sink: S,
    count: Count,
    ends: NotedEnds,
    redactor: Option<Redactor>,
}

impl<S: Sink> Direct<S> {
    /// Wants at most this many events.
    pub(crate) fn new(sink: S, wanted: u64) -> Self {
        Self { sink, count: Count::new(wanted), ends: NotedEnds::default(), redactor: None }
    }

    /// Redacts the events.
    pub(crate) fn redacting(self, redactor: Option<Redactor>) -> Self {
        Self { redactor, ..self }
    }
}

impl<S: Sink> Stage for Direct<S> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        let received = match &mut self.redactor {
            None => *received,
            Some(redactor) => redactor.apply(received),
        };
        let received = &received;
        let (is_over, end) = self.ends.of(received);
        let details = Details::default();
        let (process, user) = (None, None);
        self.sink.write(&Item { received, time, process, user, is_over, end, details })?;
        self.count.add(received);
        Ok(self.count.wants_more())
    }

    fn due_in(&self) -> Option<Duration> {
        self.sink.due_in()
    }

    fn after_batch(&mut self, _: Instant) -> Result<bool, Failure> {
        self.sink.flush()?;
        Ok(self.count.wants_more())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.sink.flush()
    }

    fn shown(&self) -> u64 {
        self.count.shown
    }
}

/// Identifies the process of each event, and writes the chosen events to the output.
#[derive(Debug)]
pub(crate) struct Identified<C, S> {
    pub(crate) identify: Identify,
    pub(crate) choose: C,
    pub(crate) sink: S,
    count: Count,
    held: Held,
    redactor: Option<Redactor>,
    /// Whether events were lost.
    pub(crate) has_losses: bool,
}

impl<C: Choose, S: Sink> Identified<C, S> {
    /// Wants at most this many events.
    pub(crate) fn new(identify: Identify, choose: C, sink: S, wanted: u64) -> Self {
        let count = Count::new(wanted);
        let held = Held::default();
        Self { identify, choose, sink, count, held, redactor: None, has_losses: false }
    }

    /// Redacts the events. The processes must be redacted, too.
    pub(crate) fn redacting(self, redactor: Option<Redactor>) -> Self {
        Self { redactor, ..self }
    }

    /// Whether events wait to be written.
    #[cfg(feature = "otlp")]
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Handles an event or a loss after redaction.
    fn take_redacted(
        &mut self,
        received: &Received<'_>,
        time: Option<SystemTime>,
    ) -> Result<bool, Failure> {
        self.has_losses |= matches!(received, Received::Lost(_));
        let before = if self.sink.shows_details() { self.identify.before(received) } else { None };
        let subject = self.identify.apply(received);
        self.choose.follow(self.identify.table(), Some(received));
        self.held.note(self.identify.changes());
        self.write_held(false)?;
        let Self { identify, choose, sink, count, held, .. } = self;
        if let Some(other) = ends::other(received, identify.changes()) {
            let (process, end) = (identify.process(other.subject), Some(other.end));
            if process.is_some_and(|process| choose.chooses_end(process, &other.end)) {
                let names = names(identify, received, other.subject, None, sink);
                let (process, user, details) =
                    shown(identify, received, other.subject, None, &names, sink);
                let is_over = Some(true);
                let item = Item { received, time, process, user, is_over, end, details };
                write_or_hold(sink, count, held, &item, State::OtherEnd)?;
                if !count.wants_more() {
                    return Ok(false);
                }
            }
        }
        let (is_over, end) = ends::identified(received, identify.changes());
        let process = identify.process(subject);
        let (user, details) = (None, Details::default());
        let item = Item { received, time, process, user, is_over, end, details };
        let awaited = process.and_then(|process| identify.table().awaited_exec(process));
        let state = match awaited {
            Some(serial) => State::Waits(serial),
            None if choose.chooses(&item) => State::Event,
            None => return Ok(count.wants_more()),
        };
        let names = names(identify, received, subject, before.as_ref(), sink);
        let (process, user, details) =
            shown(identify, received, subject, before.as_ref(), &names, sink);
        let item = Item { received, time, process, user, is_over, end, details };
        write_or_hold(sink, count, held, &item, state)?;
        Ok(count.wants_more())
    }

    /// Writes the held events whose turn it is, or all.
    fn write_held(&mut self, all: bool) -> Result<(), Failure> {
        let Self { identify, choose, sink, count, held, .. } = self;
        while let Some(mut item) = held.pop(all) {
            if item.state == State::Known {
                if !item.show(|item| choose.chooses_held(item)) {
                    continue;
                }
                if sink.shows_users() {
                    item.user = item.process().and_then(|process| identify.user_of(process));
                }
            }
            if count.wants_more() {
                item.show(|shown| write(sink, count, shown, item.state == State::OtherEnd))?;
            }
        }
        Ok(())
    }
}

/// Writes an item, or the end of another process.
fn write(
    sink: &mut impl Sink,
    count: &mut Count,
    item: &Item<'_>,
    is_other_end: bool,
) -> Result<(), Failure> {
    if is_other_end {
        count.shown += u64::from(sink.write_end(item)?);
    } else {
        sink.write(item)?;
        count.add(item.received);
    }
    Ok(())
}

/// Writes an item, or holds it behind others.
fn write_or_hold(
    sink: &mut impl Sink,
    count: &mut Count,
    held: &mut Held,
    item: &Item<'_>,
    state: State,
) -> Result<(), Failure> {
    if held.is_empty() && !matches!(state, State::Waits(..)) {
        return write(sink, count, item, state == State::OtherEnd);
    }
    held.push(HeldItem::new(item, state));
    Ok(())
}

/// The names of users in the details, if the format shows them.
fn names(
    identify: &mut Identify,
    received: &Received<'_>,
    subject: Subject,
    before: Option<&Process>,
    sink: &impl Sink,
) -> details::Names {
    if sink.shows_details() {
        details::names(identify, received, subject, before)
    } else {
        details::Names::default()
    }
}

/// The process, the name of its user, and the details, if the format shows them.
fn shown<'a>(
    identify: &'a mut Identify,
    received: &Received<'_>,
    subject: Subject,
    before: Option<&'a Process>,
    names: &'a details::Names,
    sink: &impl Sink,
) -> (Option<&'a Process>, Option<Cow<'a, str>>, Details<'a>) {
    if sink.shows_details() {
        let identify: &'a Identify = identify;
        let details = details::of(identify, received, subject, before, names);
        (identify.process(subject), None, details)
    } else if sink.shows_users() {
        let (process, user) = identify.process_and_user(subject);
        (process, user, Details::default())
    } else {
        (identify.process(subject), None, Details::default())
    }
}

impl<C: Choose, S: Sink> Stage for Identified<C, S> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        let Some(mut redactor) = self.redactor.take() else {
            return self.take_redacted(received, time);
        };
        let taken = self.take_redacted(&redactor.apply(received), time);
        self.redactor = Some(redactor);
        taken
    }

    fn note(&mut self, notes: &[Note]) -> Result<(), Failure> {
        if self.identify.apply_notes(notes) {
            self.held.note(self.identify.changes());
            self.choose.follow(self.identify.table(), None);
            self.write_held(false)?;
        }
        Ok(())
    }

    fn due_in(&self) -> Option<Duration> {
        self.identify.rescan_in().into_iter().chain(self.sink.due_in()).min()
    }

    fn after_batch(&mut self, _: Instant) -> Result<bool, Failure> {
        if self.identify.rescan_if_due().is_some() {
            self.held.note(self.identify.changes());
            self.choose.follow(self.identify.table(), None);
            self.write_held(false)?;
        }
        self.sink.flush()?;
        Ok(self.count.wants_more())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.write_held(true)?;
        self.sink.flush()
    }

    fn shown(&self) -> u64 {
        self.count.shown
    }
}
