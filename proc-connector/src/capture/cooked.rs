//! The header that precedes a netlink datagram in a capture, by link type.
//!
//! `NETLINK` (<https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html>) has 16 bytes, with
//! integers in big-endian. A capture on all interfaces has `LINUX_SLL`, with the same layout, or
//! `LINUX_SLL2`; in these, the hardware type distinguishes netlink from other packets.

/// `LINKTYPE_NETLINK`.
const NETLINK: u32 = 253;
/// `LINKTYPE_LINUX_SLL`.
const LINUX_SLL: u32 = 113;
/// `LINKTYPE_LINUX_SLL2`.
const LINUX_SLL2: u32 = 276;

/// The length of the `NETLINK` header in bytes.
pub(super) const HEADER_LEN: usize = 16;

/// `ARPHRD_NETLINK` of `linux/if_arp.h`.
const ARPHRD_NETLINK: u16 = 824;

/// `NETLINK_CONNECTOR` of `linux/netlink.h`.
const NETLINK_CONNECTOR: u16 = 11;

/// The header of a datagram that the kernel sent to this socket.
pub(super) const HEADER: [u8; HEADER_LEN] = {
    let mut header = [0; HEADER_LEN];
    // The packet type at offset 0 is zero: sent to this host. The ten bytes at offset 4 are unused.
    [header[2], header[3]] = ARPHRD_NETLINK.to_be_bytes();
    [header[14], header[15]] = NETLINK_CONNECTOR.to_be_bytes();
    header
};

/// A link type whose packets can be netlink datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Netlink,
    Sll,
    Sll2,
}

impl Link {
    /// `None` for link types that never carry netlink datagrams.
    pub(super) fn from_link_type(link_type: u32) -> Option<Self> {
        match link_type {
            NETLINK => Some(Self::Netlink),
            LINUX_SLL => Some(Self::Sll),
            LINUX_SLL2 => Some(Self::Sll2),
            _ => None,
        }
    }

    /// The length of the header in bytes.
    #[inline]
    pub(super) fn header_len(self) -> usize {
        match self {
            Self::Netlink | Self::Sll => HEADER_LEN,
            Self::Sll2 => 20,
        }
    }

    /// Whether a packet belongs to the connector's netlink protocol. Its header must be complete.
    #[inline]
    pub(super) fn is_connector(self, packet: &[u8]) -> bool {
        let has =
            |at: usize, number: u16| packet.get(at..at + 2) == Some(&number.to_be_bytes()[..]);
        match self {
            Self::Netlink => has(14, NETLINK_CONNECTOR),
            Self::Sll => has(2, ARPHRD_NETLINK) && has(14, NETLINK_CONNECTOR),
            Self::Sll2 => has(8, ARPHRD_NETLINK) && has(0, NETLINK_CONNECTOR),
        }
    }
}
