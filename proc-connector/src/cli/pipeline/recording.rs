//! The loop that reads the events of a recording.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use proc_connector::Received;
use proc_connector::capture::{self, Reader};
use proc_connector::program::Chain;

use super::input::Input;
use super::records::{Counts, Record, Records};
use super::stage::Stage;
use super::summary::Summary;
use super::waiting_input::Waiting;
use crate::cli::failure::{Failure, Unread};
use crate::cli::shown::{complain, report};

/// The result of reading a recording.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    /// Packets of other protocols.
    pub(crate) skipped: u64,
    pub(crate) unread: Unread,
    /// Comments with recorded values that could not be read.
    pub(crate) unread_comments: u64,
    /// The damage at which reading ended.
    pub(crate) damage: Option<capture::Error>,
}

impl Outcome {
    /// Reports packets that could not be read.
    pub(crate) fn report_unread(self) -> Result<(), Failure> {
        let Outcome { summary, skipped, unread, unread_comments, damage } = self;
        if unread_comments > 0 {
            complain(format_args!(
                "{unread_comments} comments with recorded values could not be read: they were edited, or \
                 written by another version of this program; their events are shown without these values"
            ));
        }
        let has_unread = unread.packets > 0;
        if let Some(error) = damage {
            if has_unread {
                complain(unread);
            }
            return Err(error.into());
        }
        if has_unread {
            return Err(Failure::Unread { file: PathBuf::new(), unread });
        }
        if summary.events == 0 && skipped > 0 {
            report(format_args!(
                "skipped {skipped} packets of other protocols: nlmon interfaces, which other programs \
                 capture from, do not carry process events",
            ));
        }
        Ok(())
    }
}

/// Passes the events of a recording to the stage, until the end or until the stage has enough.
pub(crate) fn read<'a, I: Input, S: Stage + 'a>(
    reader: Reader<I>,
    title: &str,
    stage: &Rc<RefCell<S>>,
    waiting: &Waiting<'a>,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    waiting.flush_before(Some(Rc::clone(stage) as Rc<RefCell<dyn Stage + 'a>>));
    let mut records = I::records(reader);
    loop {
        if I::IS_FILE && waiting.is_requested_to_end() {
            waiting.cut_short();
            break;
        }
        let Record { received, time, notes } = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) if error.is_of_one_packet() => {
                // Only the first is reported, because every packet may be unreadable.
                if outcome.unread.packets == 0 {
                    let error = Chain(&error);
                    complain(format_args!("{title}: {error}; skipping this packet"));
                }
                outcome.unread.packets += 1;
                continue;
            }
            Err(error) if waiting.explains(&error) => break,
            Err(error) => {
                outcome.damage = Some(error);
                break;
            }
        };
        if let Received::Lost(lost) = &received {
            let sum = &mut outcome.summary.lost;
            *sum = sum.saturating_add(lost.count.unwrap_or_default());
        }
        let mut stage = stage.borrow_mut();
        if !notes.is_empty() {
            stage.note(notes)?;
        }
        if !stage.take(&received, time)? {
            break;
        }
    }
    waiting.flush_before(None);
    if let Some(failure) = waiting.take_failure() {
        return Err(failure);
    }
    // Events before the damage are shown.
    stage.borrow_mut().finish()?;
    outcome.summary.events = stage.borrow().shown();
    outcome.summary.time = started.elapsed();
    let Counts { cut, skipped, unread_comments } = records.counts();
    outcome.unread.cut = cut;
    (outcome.skipped, outcome.unread_comments) = (skipped, unread_comments);
    Ok(outcome)
}
