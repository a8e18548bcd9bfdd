//! Writes enhanced packet blocks, in the byte order of this machine.

use std::time::Duration;

use zerocopy::IntoBytes;

use super::cooked;

/// The type of the block, of an option with a comment, and of the number of lost packets.
const ENHANCED_PACKET: u32 = 6;
const COMMENT: u16 = 1;
const DROP_COUNT: u16 = 4;

/// A netlink message without contents (`NLMSG_NOOP`), which carries notes.
const NOOP: u16 = 1;
const NETLINK_HEADER_LEN: u32 = 16;

/// A block that is being written. [`finish`](Self::finish) completes it.
pub(super) struct PacketBlock<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    has_options: bool,
}

impl<'a> PacketBlock<'a> {
    /// Starts the block of a packet of the connector. `write_message` appends the netlink message, whose
    /// length is a multiple of 4.
    #[inline]
    pub(super) fn new<E>(
        out: &'a mut Vec<u8>,
        time: Duration,
        write_message: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let start = out.len();
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "these are the halves")]
        let [high, low] = [(nanos >> 32) as u32, nanos as u32];
        // The lengths are set later. The interface is the first.
        let fields = [ENHANCED_PACKET, 0, 0, high, low, 0, 0];
        out.extend_from_slice(fields.as_bytes());
        let data = out.len();
        out.extend_from_slice(&cooked::HEADER);
        if let Err(error) = write_message(out) {
            out.truncate(start);
            return Err(error);
        }
        let len = u32::try_from(out.len() - data).unwrap_or(u32::MAX).to_ne_bytes();
        out[start + 20..start + 24].copy_from_slice(&len);
        out[start + 24..start + 28].copy_from_slice(&len);
        pad(start, out);
        Ok(Self { out, start, has_options: false })
    }

    /// Starts the block of a packet without an event. Its number is the sequence number of the netlink
    /// message: programs that remove duplicates would remove all but one of several equal packets.
    pub(super) fn empty(out: &'a mut Vec<u8>, time: Duration, number: u32) -> Self {
        let written = Self::new(out, time, |out| -> Result<(), std::convert::Infallible> {
            out.extend_from_slice(&NETLINK_HEADER_LEN.to_ne_bytes());
            out.extend_from_slice(&NOOP.to_ne_bytes());
            // The flags.
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&number.to_ne_bytes());
            // The port.
            out.extend_from_slice(&[0; 4]);
            Ok(())
        });
        match written {
            Ok(block) => block,
            Err(never) => match never {},
        }
    }

    /// Adds the number of packets that were lost before this one.
    pub(super) fn drop_count(&mut self, count: u64) {
        self.has_options = true;
        option(DROP_COUNT, self.out, |out| {
            out.extend_from_slice(&count.to_ne_bytes());
            true
        });
    }

    /// Adds a comment, unless `write` returns false.
    #[inline]
    pub(super) fn comment(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.has_options |= option(COMMENT, self.out, write);
    }

    /// Adds options that were written by [`comment_option`].
    pub(super) fn options(&mut self, options: &[u8]) {
        self.has_options |= !options.is_empty();
        self.out.extend_from_slice(options);
    }

    /// Completes the block.
    #[inline]
    pub(super) fn finish(self) {
        let Self { out, start, has_options } = self;
        if has_options {
            // `opt_endofopt`.
            out.extend_from_slice(&[0; 4]);
        }
        let len = u32::try_from(out.len() + 4 - start).unwrap_or(u32::MAX).to_ne_bytes();
        out[start + 4..start + 8].copy_from_slice(&len);
        out.extend_from_slice(&len);
    }
}

/// Appends an option with a comment.
pub(super) fn comment_option(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    option(COMMENT, out, |out| {
        write(out);
        true
    });
}

/// Appends an option, unless `write` returns false or its value is too long. Returns whether it did.
#[inline]
fn option(code: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let start = out.len();
    out.extend_from_slice(&code.to_ne_bytes());
    out.extend_from_slice(&[0; 2]);
    let is_written = write(out);
    match u16::try_from(out.len() - start - 4) {
        Ok(len) if is_written => {
            out[start + 2..start + 4].copy_from_slice(&len.to_ne_bytes());
            pad(start, out);
            true
        }
        _ => {
            out.truncate(start);
            false
        }
    }
}

/// Pads what starts at `start` to a multiple of 4 bytes.
#[inline]
fn pad(start: usize, out: &mut Vec<u8>) {
    let len = (out.len() - start).next_multiple_of(4);
    // Appending a fixed length is cheaper.
    out.extend_from_slice(&[0; 3]);
    out.truncate(start + len);
}
