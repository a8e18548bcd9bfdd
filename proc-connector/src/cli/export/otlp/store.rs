//! The spool as the destination of complete batches.

use super::sink::Store;
use crate::cli::export::spool::{Batch, Queue, Unreported};
use crate::cli::shown::complain;

/// Appends batches to the spool. Reports the first of several failures.
#[derive(Debug)]
pub(crate) struct SpoolStore {
    queue: Queue,
    has_failed: bool,
}

impl SpoolStore {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue, has_failed: false }
    }
}

impl Store for SpoolStore {
    fn unreported(&self) -> Unreported {
        self.queue.unreported()
    }

    fn append(&mut self, batch: &Batch, report: Unreported) -> bool {
        match self.queue.append(batch, report) {
            Ok(()) => {
                if std::mem::take(&mut self.has_failed) {
                    complain("the spool can be written again");
                }
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    complain(format_args!(
                        "{error}; until then records are lost, which is reported when it works again"
                    ));
                }
                false
            }
        }
    }
}
