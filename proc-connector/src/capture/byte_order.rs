//! The byte order of the machine that messages come from, and events of the other one.

use proc_connector_core::netlink::{HEADER_LEN, NLMSG_DONE, NLMSG_OVERRUN};
use proc_connector_core::{Event, EventRecord};

/// The order that this machine does not have.
#[cfg(target_endian = "little")]
pub(super) type Foreign = proc_connector_core::BigEndian;
/// The order that this machine does not have.
#[cfg(target_endian = "big")]
pub(super) type Foreign = proc_connector_core::LittleEndian;

/// A byte order, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Native,
    Foreign,
}

impl Order {
    /// The number at an offset; zero beyond the end.
    #[inline]
    pub(super) fn u32_at(self, bytes: &[u8], offset: usize) -> u32 {
        let Some(&[a, b, c, d]) = bytes.get(offset..offset + 4) else { return 0 };
        let native = u32::from_ne_bytes([a, b, c, d]);
        if self == Self::Native { native } else { native.swap_bytes() }
    }

    /// The number of 16 bits at an offset; zero beyond the end.
    #[inline]
    pub(super) fn u16_at(self, bytes: &[u8], offset: usize) -> u16 {
        let Some(&[a, b]) = bytes.get(offset..offset + 2) else { return 0 };
        let native = u16::from_ne_bytes([a, b]);
        if self == Self::Native { native } else { native.swap_bytes() }
    }

    /// A number of 64 bits; `None` for another count of bytes.
    pub(super) fn u64(self, bytes: &[u8]) -> Option<u64> {
        let native = u64::from_ne_bytes(bytes.try_into().ok()?);
        Some(if self == Self::Native { native } else { native.swap_bytes() })
    }

    /// Whether a netlink header makes sense in this order: of a type that the connector sends, and
    /// of a length that `most` bytes hold.
    #[inline]
    fn is_plausible(self, header: &[u8], most: usize) -> bool {
        let len = usize::try_from(self.u32_at(header, 0)).unwrap_or(usize::MAX);
        let of_connector = (1..=NLMSG_DONE.max(NLMSG_OVERRUN)).contains(&self.u16_at(header, 4));
        of_connector && (HEADER_LEN..=most).contains(&len)
    }
}

/// The order of a packet's messages: this machine's, unless only the other one makes sense.
#[inline]
pub(super) fn of_packet(messages: &[u8]) -> Order {
    let native = Order::Native.is_plausible(messages, messages.len());
    if !native && Order::Foreign.is_plausible(messages, messages.len()) {
        Order::Foreign
    } else {
        Order::Native
    }
}

/// The order of messages that start so, if that is what they are.
pub(super) fn detect_stream_order(start: &[u8]) -> Option<Order> {
    // The connector's payloads have at most 64 KiB, and it sends nothing but the header alone.
    let most = HEADER_LEN + usize::from(u16::MAX);
    let orders = [Order::Native, Order::Foreign];
    orders.into_iter().find(|order| start.len() >= 6 && order.is_plausible(start, most))
}

/// Writes the datagram that this machine would have sent for an event of the other byte order.
///
/// The bytes of kinds without a name stay as they are: nobody knows what numbers are in them.
pub(super) fn to_native(event: Event<'_, Foreign>, buffer: &mut Vec<u8>) -> usize {
    let longest = EventRecord::MAX_KERNEL_LEN + event.data().len();
    if buffer.len() < longest {
        buffer.resize(longest, 0);
    }
    // It can only fail for want of room, or for what no event can be.
    EventRecord::from(event).encode_native(buffer).unwrap_or_default()
}
