//! The format without a file header: netlink messages only.

use std::io::Read;

use proc_connector_core::netlink;

use super::byte_order::Order;
use super::error::{Error, Part};
use super::input::{Input, MAX_LEN};
use super::packet::Packet;

/// Consecutive netlink messages, each aligned to four bytes.
#[derive(Debug)]
pub(super) struct Bare {
    order: Order,
}

impl Bare {
    pub(super) fn new(order: Order) -> Self {
        Self { order }
    }

    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Packet>, Error> {
        if input.fill(netlink::HEADER_LEN)? == 0 {
            return Ok(None);
        }
        let part = Part::Message;
        input.require(part, netlink::HEADER_LEN)?;
        let length = self.order.u32_at(input.bytes(), 0);
        let len = usize::try_from(length).unwrap_or(usize::MAX);
        if !(netlink::HEADER_LEN..=MAX_LEN).contains(&len) {
            let expected = "a message has 16 bytes to 16 MiB";
            return Err(Error::Length { part, offset: input.offset(), length, expected });
        }
        input.require(part, len)?;
        // The last message may lack its padding.
        let padded = input.fill(len.next_multiple_of(4))?.min(len.next_multiple_of(4));
        Ok(Some(Packet { len: padded, messages: 0..len, ..Packet::default() }))
    }
}
