//! The byte order of messages, and the conversion of events to this machine's byte order.

use proc_connector_core::netlink::{HEADER_LEN, NLMSG_DONE, NLMSG_OVERRUN};
use proc_connector_core::{Event, EventRecord};

/// The byte order that this machine does not use.
#[cfg(target_endian = "little")]
pub(super) type Foreign = proc_connector_core::BigEndian;
/// The byte order that this machine does not use.
#[cfg(target_endian = "big")]
pub(super) type Foreign = proc_connector_core::LittleEndian;

/// A byte order, relative to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Native,
    Foreign,
}

impl Order {
    /// Reads 32 bits at an offset; zero beyond the end.
    #[inline]
    pub(super) fn u32_at(self, bytes: &[u8], offset: usize) -> u32 {
        let Some(&[a, b, c, d]) = bytes.get(offset..offset + 4) else { return 0 };
        let native = u32::from_ne_bytes([a, b, c, d]);
        if self == Self::Native { native } else { native.swap_bytes() }
    }

    /// Reads 16 bits at an offset; zero beyond the end.
    #[inline]
    pub(super) fn u16_at(self, bytes: &[u8], offset: usize) -> u16 {
        let Some(&[a, b]) = bytes.get(offset..offset + 2) else { return 0 };
        let native = u16::from_ne_bytes([a, b]);
        if self == Self::Native { native } else { native.swap_bytes() }
    }

    /// Reads 64 bits; `None` if `bytes` has another length.
    pub(super) fn u64_from(self, bytes: &[u8]) -> Option<u64> {
        let native = u64::from_ne_bytes(bytes.try_into().ok()?);
        Some(if self == Self::Native { native } else { native.swap_bytes() })
    }

    /// Whether a netlink header is plausible in this order: its type is one that the connector
    /// sends, and its length is at most `most` bytes.
    #[inline]
    fn is_plausible(self, header: &[u8], most: usize) -> bool {
        let len = usize::try_from(self.u32_at(header, 0)).unwrap_or(usize::MAX);
        let is_connector_type =
            (1..=NLMSG_DONE.max(NLMSG_OVERRUN)).contains(&self.u16_at(header, 4));
        is_connector_type && (HEADER_LEN..=most).contains(&len)
    }
}

/// The order of a packet's messages: native, unless only the other order is plausible.
#[inline]
pub(super) fn detect_packet_order(messages: &[u8]) -> Order {
    let native = Order::Native.is_plausible(messages, messages.len());
    if !native && Order::Foreign.is_plausible(messages, messages.len()) {
        Order::Foreign
    } else {
        Order::Native
    }
}

/// The order of a stream of messages that begins with `start`; `None` if neither order is
/// plausible.
pub(super) fn detect_stream_order(start: &[u8]) -> Option<Order> {
    // A payload of the connector has at most 64 KiB, and follows the header directly.
    let most = HEADER_LEN + usize::from(u16::MAX);
    let orders = [Order::Native, Order::Foreign];
    orders.into_iter().find(|order| start.len() >= 6 && order.is_plausible(start, most))
}

/// Encodes an event of the other byte order in this machine's order. Returns the length of the
/// datagram in `buffer`.
///
/// The payload of an unknown kind is copied unchanged, because its layout is unknown.
pub(super) fn to_native(event: Event<'_, Foreign>, buffer: &mut Vec<u8>) -> usize {
    let longest = EventRecord::MAX_KERNEL_LEN + event.data().len();
    if buffer.len() < longest {
        buffer.resize(longest, 0);
    }
    // Encoding fails only if the buffer is too small, or for a record that no event can produce.
    EventRecord::from(event).encode_native(buffer).unwrap_or_default()
}
