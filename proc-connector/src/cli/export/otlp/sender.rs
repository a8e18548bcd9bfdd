//! The thread that sends the batches of the spool.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, random};
use super::http::{Answer, Deliver};
use super::notice::Notice;
use crate::cli::export::spool::{Discards, Error, Handed, Next, Queue};

/// A part of a batch that is too large for the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) body: Vec<u8>,
    /// The records of events.
    pub(crate) events: u64,
    /// The sum of the losses that the part reports.
    pub(crate) lost: u64,
}

impl Part {
    fn records(&self) -> u64 {
        self.events.saturating_add(self.lost)
    }

    /// The records that are lost if the receiver rejects this number of log records. The answer does not
    /// say which: a loss is certainly among them if the events are fewer.
    fn lost_by(&self, rejected: u64) -> u64 {
        if rejected > self.events { self.records() } else { rejected }
    }
}

/// After this number of failures of the receiver (500), a part is refused.
const FAILURES: u32 = 5;

/// Splits a body in two. Returns nothing if it cannot be split.
pub(crate) type Split = fn(&[u8]) -> Option<[Part; 2]>;

/// A running sender.
#[derive(Debug)]
pub(crate) struct Sender {
    queue: Queue,
    ended: Receiver<()>,
}

impl Sender {
    /// Starts the thread. `report` is called once for each period of trouble and for each kind of refusal.
    ///
    /// # Errors
    ///
    /// Fails if the thread cannot be started.
    pub(crate) fn start(
        queue: Queue,
        deliver: Box<dyn Deliver>,
        split: Split,
        report: Box<dyn FnMut(&Notice) + Send>,
    ) -> io::Result<Self> {
        let (end, ended) = channel();
        let mut worker = Worker {
            seen: queue.discards(),
            queue: queue.clone(),
            deliver,
            split,
            report,
            backoff: Backoff::default(),
            trouble_since: None,
            is_full_reported: false,
            last_refusal: None,
            last_error: None,
        };
        thread::Builder::new().name("sender".to_owned()).spawn(move || {
            worker.run();
            // The other end may have ceased to wait.
            let _ = end.send(());
        })?;
        Ok(Self { queue, ended })
    }

    /// Lets the sender empty the spool, for at most this time. Returns the number of records that
    /// remain, which the next run sends.
    pub(crate) fn finish(self, grace: Duration) -> u64 {
        self.queue.end();
        if self.ended.recv_timeout(grace).is_err() {
            // A request that is under way ends with the process.
            self.queue.abandon();
        }
        self.queue.waiting()
    }
}

struct Worker {
    queue: Queue,
    deliver: Box<dyn Deliver>,
    split: Split,
    report: Box<dyn FnMut(&Notice) + Send>,
    backoff: Backoff,
    trouble_since: Option<Instant>,
    is_full_reported: bool,
    last_refusal: Option<String>,
    last_error: Option<String>,
    seen: Discards,
}

impl Worker {
    fn run(&mut self) {
        loop {
            let next = self.queue.next();
            self.report_discards();
            match next {
                Ok(Next::Send(handed)) => {
                    let Some(refused) = self.send(handed) else { return };
                    match self.queue.accepted(refused) {
                        Ok(()) => self.last_error = None,
                        Err(error) => self.report_error(error),
                    }
                }
                Ok(Next::End) => return,
                Err(error) => {
                    self.report_error(error);
                    if self.pause(None) {
                        return;
                    }
                }
            }
        }
    }

    /// Sends a batch until the receiver has answered. Returns the number of refused records, or nothing
    /// if the batch is left to the next run.
    fn send(&mut self, handed: Handed) -> Option<u64> {
        let Handed { body, events, lost } = handed;
        let mut parts = vec![Part { body, events, lost }];
        let (mut refused, mut failures) = (0_u64, 0);
        while let Some(part) = parts.pop() {
            let mut answer = self.deliver.deliver(&part.body);
            if let Answer::Failed { reason } = answer {
                failures += 1;
                answer = if failures < FAILURES {
                    Answer::Retry { after: None, reason }
                } else {
                    Answer::Refused { reason }
                };
            }
            let (records, reason) = match answer {
                Answer::Accepted { rejected, message } => (part.lost_by(rejected), message),
                Answer::Refused { reason } | Answer::Failed { reason } => (part.records(), reason),
                Answer::TooLarge => {
                    if let Some([first, second]) = (self.split)(&part.body) {
                        parts.extend([second, first]);
                        continue;
                    }
                    (part.records(), "a record is too large for the receiver".to_owned())
                }
                // An administrator may correct a setting while the service runs.
                Answer::Retry { after, reason } | Answer::Misconfigured { after, reason } => {
                    if self.trouble_since.is_none() {
                        self.trouble_since = Some(Instant::now());
                        (self.report)(&Notice::Trouble { reason });
                    }
                    parts.push(part);
                    if self.pause(after) {
                        return None;
                    }
                    continue;
                }
            };
            failures = 0;
            self.answered();
            if records > 0 && self.last_refusal.as_ref() != Some(&reason) {
                (self.report)(&Notice::Refused { records, reason: reason.clone() });
                self.last_refusal = Some(reason);
            }
            refused = refused.saturating_add(records);
        }
        Some(refused)
    }

    /// Waits before another attempt. Returns whether the rest is left to the next run.
    fn pause(&mut self, after: Option<Duration>) -> bool {
        let time = self.backoff.after_failure(after, random());
        let is_abandoned = self.queue.pause(time);
        self.report_discards();
        is_abandoned
    }

    /// The receiver has answered.
    fn answered(&mut self) {
        self.backoff.succeeded();
        self.is_full_reported = false;
        if let Some(since) = self.trouble_since.take() {
            let waiting = self.queue.waiting();
            (self.report)(&Notice::Recovered { after: since.elapsed(), waiting });
        }
    }

    fn report_discards(&mut self) {
        let now = self.queue.discards();
        if now.full > self.seen.full && !self.is_full_reported {
            self.is_full_reported = true;
            (self.report)(&Notice::Full);
        }
        if now.damaged > self.seen.damaged {
            (self.report)(&Notice::Damaged { records: now.damaged - self.seen.damaged });
        }
        self.seen = now;
    }

    fn report_error(&mut self, error: Error) {
        let text = error.to_string();
        if self.last_error.as_ref() != Some(&text) {
            (self.report)(&Notice::Spool(error));
            self.last_error = Some(text);
        }
    }
}

#[cfg(test)]
mod tests;
