//! The thread that sends the batches of the spool.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, random};
use super::http::{Answer, Deliver};
use crate::cli::export::spool::{Error, Handed, Next, Queue};

/// A part of a batch that is too large for the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) body: Vec<u8>,
    /// The records of the part, as `events + lost` of a batch.
    pub(crate) records: u64,
}

/// Splits a body in two. Returns nothing if it cannot be split.
pub(crate) type Split = fn(&[u8]) -> Option<[Part; 2]>;

/// What the sender reports.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The receiver does not accept batches. They are kept and sent again.
    Trouble { reason: String },
    /// The receiver accepts batches again.
    Recovered { after: Duration, waiting: u64 },
    /// The receiver has refused records.
    Refused { records: u64, reason: String },
    /// The spool cannot be read, or its state not be written.
    Spool(Error),
}

/// A running sender.
#[derive(Debug)]
pub(crate) struct Sender {
    queue: Queue,
    ended: Receiver<()>,
}

impl Sender {
    /// Starts the thread. `report` is called once when trouble begins and once when it ends, and at
    /// the first of several equal refusals.
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
            queue: queue.clone(),
            deliver,
            split,
            report,
            backoff: Backoff::default(),
            trouble_since: None,
            last_refusal: None,
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
        match self.ended.recv_timeout(grace) {
            // A request that is under way ends with the process.
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
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
    last_refusal: Option<String>,
}

impl Worker {
    fn run(&mut self) {
        loop {
            match self.queue.next() {
                Ok(Next::Send(handed)) => {
                    let Some(refused) = self.send(handed) else { return };
                    if let Err(error) = self.queue.accepted(refused) {
                        (self.report)(&Notice::Spool(error));
                    }
                }
                Ok(Next::End) => return,
                Err(error) => {
                    (self.report)(&Notice::Spool(error));
                    if self.pause(None) {
                        return;
                    }
                }
            }
        }
    }

    /// Sends a batch until the receiver has answered. Returns the refused records.
    fn send(&mut self, handed: Handed) -> Option<u64> {
        let records = handed.events.saturating_add(handed.lost);
        let mut parts = vec![Part { body: handed.body, records }];
        let mut refused = 0_u64;
        while let Some(part) = parts.last() {
            match self.deliver.deliver(&part.body) {
                Answer::Accepted { rejected, message } => {
                    self.recovered();
                    let rejected = rejected.min(part.records);
                    if rejected > 0 {
                        self.refused(rejected, message);
                    }
                    refused = refused.saturating_add(rejected);
                    parts.pop();
                }
                Answer::Retry { after, reason } => {
                    if self.trouble_since.is_none() {
                        self.trouble_since = Some(Instant::now());
                        (self.report)(&Notice::Trouble { reason });
                    }
                    if self.pause(after) {
                        return None;
                    }
                }
                Answer::Refused { reason } => {
                    self.recovered();
                    let records = part.records;
                    self.refused(records, reason);
                    refused = refused.saturating_add(records);
                    parts.pop();
                }
                Answer::TooLarge => {
                    self.recovered();
                    if let Some([first, second]) = (self.split)(&part.body) {
                        parts.pop();
                        parts.extend([second, first]);
                    } else {
                        let records = part.records;
                        self.refused(records, "a record is too large".to_owned());
                        refused = refused.saturating_add(records);
                        parts.pop();
                    }
                }
            }
        }
        Some(refused)
    }

    /// Waits before another attempt. Returns whether the sender is to end.
    fn pause(&mut self, after: Option<Duration>) -> bool {
        let time = self.backoff.after_failure(after, random());
        self.queue.pause(time)
    }

    fn recovered(&mut self) {
        self.backoff.succeeded();
        if let Some(since) = self.trouble_since.take() {
            let waiting = self.queue.waiting();
            (self.report)(&Notice::Recovered { after: since.elapsed(), waiting });
        }
    }

    fn refused(&mut self, records: u64, reason: String) {
        if self.last_refusal.as_ref() != Some(&reason) {
            (self.report)(&Notice::Refused { records, reason: reason.clone() });
            self.last_refusal = Some(reason);
        }
    }
}
