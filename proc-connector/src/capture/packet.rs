//! A packet, whatever the format of its file.

use std::ops::Range;
use std::time::SystemTime;

use super::cooked::Link;
use super::error::{Error, Part};
use crate::stream::Lost;

/// One packet, at the start of the input's window.
#[derive(Debug, Default)]
pub(super) struct Packet {
    /// Bytes to consume when it is done.
    pub(super) len: usize,
    /// Where in the window its netlink messages are: nowhere, for one of another protocol.
    pub(super) messages: Range<usize>,
    pub(super) time: Option<SystemTime>,
    /// A loss before it.
    pub(super) lost: Option<Lost>,
    /// Not a packet of the connector.
    pub(super) is_other: bool,
    /// Whether the capture has a part of it only.
    pub(super) is_cut: bool,
    /// Why it cannot be read. The next one can.
    pub(super) fault: Option<Box<Error>>,
}

impl Packet {
    /// Takes the netlink messages out of `data`, a packet of the link type `link` that is at `start`
    /// in the window, if they are the connector's.
    #[inline]
    pub(super) fn take_netlink(&mut self, link: Link, data: &[u8], start: usize, offset: u64) {
        let needed = link.header_len();
        if data.len() < needed {
            // Of other link types than netlink's own, most packets are other protocols'. A packet that
            // was empty is of no protocol: a file with zeros behind the last one has many.
            let is_empty = data.is_empty() && !self.is_cut;
            self.is_other = link != Link::Netlink || is_empty;
            self.fault = (!self.is_other).then(|| {
                let (part, offset) = (Part::LinkHeader, offset + start as u64);
                Box::new(Error::Truncated { part, offset, needed, actual: data.len() })
            });
            return;
        }
        self.is_other = !link.is_connector(data);
        if !self.is_other {
            self.messages = start + needed..start + data.len();
        }
    }
}
