//! A packet, independent of the file format.

use std::ops::Range;
use std::time::SystemTime;

use super::cooked::Link;
use super::error::{Error, Part};
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
}
