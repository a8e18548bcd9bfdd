//! A packet, independent of the file format.

use std::ops::Range;
use std::time::SystemTime;

use super::comment::{self, Origin};
use super::cooked::Link;
use super::error::{Error, Part};
use super::note::Note;
use crate::stream::Lost;

/// A packet at the start of the input's window.
#[derive(Debug, Default)]
pub(super) struct Packet {
    /// The number of bytes to consume after the packet.
    pub(super) len: usize,
    /// The range of its netlink messages in the window; empty for a packet of another protocol.
    pub(super) messages: Range<usize>,
    pub(super) time: Option<SystemTime>,
    /// A loss before the packet.
    pub(super) lost: Option<Lost>,
    /// The range in the window of the comment with the context of the event; empty if there is none.
    pub(super) context: Range<usize>,
    /// The notes in the packet's comments.
    pub(super) notes: Vec<Note>,
    /// The number of comments of this format that could not be read.
    pub(super) unread_comments: u32,
    /// Whether the packet does not belong to the connector.
    pub(super) is_unrelated: bool,
    /// Whether the packet was captured only in part.
    pub(super) is_cut: bool,
    /// Why the packet cannot be read. Reading can continue with the next one.
    pub(super) fault: Option<Box<Error>>,
}

impl Packet {
    /// Finds the messages in `data`: the bytes of a packet with its link header, at `start` in the
    /// window. `offset` is the position of the window in the capture.
    #[inline]
    pub(super) fn find_messages(&mut self, link: Link, data: &[u8], start: usize, offset: u64) {
        let needed = link.header_len();
        if data.len() < needed {
            // Not damaged: packets of other protocols on a link type that netlink shares, and empty
            // packets, which fill a file padded with zeros.
            let is_empty = data.is_empty() && !self.is_cut;
            self.is_unrelated = link != Link::Netlink || is_empty;
            self.fault = (!self.is_unrelated).then(|| {
                let (part, offset) = (Part::LinkHeader, offset + start as u64);
                Box::new(Error::Truncated { part, offset, needed, actual: data.len() })
            });
            return;
        }
        self.is_unrelated = !link.is_connector(data);
        if !self.is_unrelated {
            self.messages = start + needed..start + data.len();
        }
    }

    /// Reads a comment, which starts at `at` in the window. Returns false for a comment that is not in the
    /// format of contexts and notes.
    #[inline]
    pub(super) fn read_comment(&mut self, comment: &[u8], at: usize) -> bool {
        match comment::origin(comment) {
            // The context is read with its event, unless a filter excludes the event.
            Origin::Known if comment::is_context(comment) && self.context.is_empty() => {
                self.context = at..at + comment.len();
            }
            Origin::Known => match Note::read(comment) {
                Some(note) => self.notes.push(note),
                None => self.unread_comments += 1,
            },
            Origin::OtherVersion => self.unread_comments += 1,
            Origin::Other => return false,
        }
        true
    }
}
