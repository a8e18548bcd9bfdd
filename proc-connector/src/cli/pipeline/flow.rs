//! The stages that connect a source to an output format.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::Received;
use proc_connector::process::Process;

use super::ends::{self, NotedEnds};
use super::identify::{Identify, Subject};
use super::stage::{Choose, Stage};
use crate::cli::failure::Failure;
use crate::cli::output::sink::{Item, Sink};

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
}

impl<S: Sink> Direct<S> {
    /// Wants at most this many events.
    pub(crate) fn new(sink: S, wanted: u64) -> Self {
        Self { sink, count: Count::new(wanted), ends: NotedEnds::default() }
    }
}

impl<S: Sink> Stage for Direct<S> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        let (is_over, end) = self.ends.of(received);
        self.sink.write(&Item { received, time, process: None, user: None, is_over, end })?;
        self.count.add(received);
        Ok(self.count.wants_more())
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
}

impl<C: Choose, S: Sink> Identified<C, S> {
    /// Wants at most this many events.
    pub(crate) fn new(identify: Identify, choose: C, sink: S, wanted: u64) -> Self {
        Self { identify, choose, sink, count: Count::new(wanted) }
    }
}

/// The process, and the name of its user if the format shows it.
fn process_and_user<'a>(
    identify: &'a mut Identify,
    subject: Subject,
    sink: &impl Sink,
) -> (Option<&'a Process>, Option<Cow<'a, str>>) {
    if sink.shows_users() {
        identify.process_and_user(subject)
    } else {
        (identify.process(subject), None)
    }
}

impl<C: Choose, S: Sink> Stage for Identified<C, S> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        let Self { identify, choose, sink, count } = self;
        let subject = identify.apply(received);
        choose.follow(identify.table(), Some(received));
        if let Some(other) = ends::other(received, identify.changes()) {
            let (process, end) = (identify.process(other.subject), Some(other.end));
            if process.is_some_and(|process| choose.chooses_end(process, &other.end)) {
                let (process, user) = process_and_user(identify, other.subject, sink);
                let item = Item { received, time, process, user, is_over: Some(true), end };
                count.shown += u64::from(sink.write_end(&item)?);
                if !count.wants_more() {
                    return Ok(false);
                }
            }
        }
        let (is_over, end) = ends::identified(received, identify.changes());
        let process = identify.process(subject);
        if choose.chooses(&Item { received, time, process, user: None, is_over, end }) {
            let (process, user) = process_and_user(identify, subject, sink);
            sink.write(&Item { received, time, process, user, is_over, end })?;
            count.add(received);
        }
        Ok(count.wants_more())
    }

    fn due_in(&self) -> Option<Duration> {
        self.identify.rescan_in()
    }

    fn after_batch(&mut self, _: Instant) -> Result<bool, Failure> {
        if self.identify.rescan_if_due().is_some() {
            self.choose.follow(self.identify.table(), None);
        }
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
