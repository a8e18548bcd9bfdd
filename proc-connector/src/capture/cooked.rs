//! The header that the link type `NETLINK` puts before a netlink datagram.
//!
//! <https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html>: 16 bytes, numbers in big-endian.

/// `LINKTYPE_NETLINK`.
pub(super) const LINK_TYPE: u32 = 253;

/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 16;

/// `ARPHRD_NETLINK` of `if_arp.h`.
const ARPHRD_NETLINK: u16 = 824;

/// `NETLINK_CONNECTOR` of `netlink.h`.
const NETLINK_CONNECTOR: u16 = 11;

/// The header of a datagram that the kernel sent to this socket.
pub(super) const HEADER: [u8; HEADER_LEN] = {
    let mut header = [0; HEADER_LEN];
    // The packet's type at 0: that it was sent to us. Ten bytes at 4 are not used.
    [header[2], header[3]] = ARPHRD_NETLINK.to_be_bytes();
    [header[14], header[15]] = NETLINK_CONNECTOR.to_be_bytes();
    header
};

/// Whether a packet, whose header is complete, is of the connector's protocol.
#[inline]
pub(super) fn is_connector(packet: &[u8]) -> bool {
    packet.get(14..HEADER_LEN) == Some(&NETLINK_CONNECTOR.to_be_bytes()[..])
}
