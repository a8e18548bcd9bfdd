//! The events of a recording in order.

use std::io::Read;
use std::time::SystemTime;

use proc_connector::Received;
use proc_connector::capture::{Error, Note, Reader};

/// An event or a loss of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) received: Received<'a>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) notes: &'a [Note],
}

/// What was read without an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Unreadable packets that the capturing program truncated.
    pub(crate) cut: u64,
    /// Packets of other protocols.
    pub(crate) skipped: u64,
    pub(crate) unread_comments: u64,
}

/// The events and losses of a recording.
pub(crate) trait Records {
    /// The next event or loss; `None` at the end. Continues after an error as a [`Reader`] does.
    fn next(&mut self) -> Result<Option<Record<'_>>, Error>;

    /// The counts up to the last item.
    fn counts(&self) -> Counts;
}

impl<R: Read> Records for Reader<R> {
    #[inline]
    fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let recorded = Self::next(self)?;
        Ok(recorded.map(|it| Record { received: it.received, time: it.time, notes: it.notes }))
    }

    #[inline]
    fn counts(&self) -> Counts {
        Counts { cut: self.cut(), skipped: self.skipped(), unread_comments: self.unread_comments() }
    }
}
