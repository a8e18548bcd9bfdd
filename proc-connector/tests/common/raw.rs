//! A listener that shares no code with the crate: an independent witness of what the kernel sends,
//! acknowledgements included. It can also send forged messages.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recvfrom,
    sendto, socket_with,
};

use super::wire::{NLMSG_DONE, cn_msg, message};

/// The position of an event in the stream, and its kind: 0 for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) cpu: u32,
    pub(crate) seq: u32,
    pub(crate) what: u32,
    pub(crate) timestamp_ns: u64,
}

impl Stamp {
    /// Whether the same CPU sent this event after `other`. Sequence numbers wrap around.
    pub(crate) fn is_after(self, other: Self) -> bool {
        (1..1 << 31).contains(&self.seq.wrapping_sub(other.seq))
    }
}

/// A socket bound to the multicast group of process events.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: OwnedFd,
    listening: bool,
}

impl RawSocket {
    /// A socket without a request to listen: it receives events while another listener exists.
    pub(crate) fn bound() -> Self {
        Self::try_bound().expect("a bound netlink socket")
    }

    /// The same; `None` if the kernel does not allow it.
    pub(crate) fn try_bound() -> Option<Self> {
        let (family, kind, flags) =
            (AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC);
        let socket = socket_with(family, kind, flags, Some(CONNECTOR)).ok()?;
        let size = 128 << 20;
        set_socket_recv_buffer_size_force(&socket, size)
            .or_else(|_| set_socket_recv_buffer_size(&socket, size))
            .expect("a buffer");
        bind(&socket, &SocketAddrNetlink::new(0, GROUP)).ok()?;
        Some(Self { socket, listening: false })
    }

    /// The number of sockets on the machine that are bound to the group.
    pub(crate) fn count_bound() -> usize {
        let sockets = std::fs::read_to_string("/proc/net/netlink").expect("/proc is mounted");
        let is_bound = |line: &&str| {
            let mut columns = line.split_whitespace().skip(1);
            let (protocol, groups) = (columns.next(), columns.nth(1));
            let groups = groups.and_then(|groups| u32::from_str_radix(groups, 16).ok());
            protocol == Some("11") && groups.is_some_and(|groups| groups & GROUP != 0)
        };
        sockets.lines().filter(is_bound).count()
    }

    /// A socket with a request to listen.
    pub(crate) fn listening() -> Self {
        let mut raw = Self::bound();
        raw.request(LISTEN);
        raw.listening = true;
        raw
    }

    /// Receives everything queued.
    pub(crate) fn drain(&self) -> Vec<Stamp> {
        let mut stamps = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match recvfrom(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((len, _, from)) => {
                    if port_of(from) == 0 {
                        stamps.push(stamp(&buffer[..len]));
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return stamps,
                Err(error) => panic!("the witness fails: {error}"),
            }
        }
    }

    /// Sends to all members of a group, to a port, or to both.
    pub(crate) fn send(&self, datagram: &[u8], port: u32, group: u32) {
        let to = SocketAddrNetlink::new(port, group);
        sendto(&self.socket, datagram, SendFlags::empty(), &to).expect("a datagram sent");
    }

    fn request(&self, op: u32) {
        let request = cn_msg(1, 1, &op.to_ne_bytes());
        self.send(&message(NLMSG_DONE, &request), 0, 0);
    }
}

impl Drop for RawSocket {
    fn drop(&mut self) {
        if self.listening {
            self.request(IGNORE);
        }
    }
}

/// The multicast group of process events, as a bit.
pub(crate) const GROUP: u32 = 1;
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;

/// The port id of a socket.
pub(crate) fn port(socket: impl AsFd) -> u32 {
    port_of(Some(getsockname(socket).expect("a bound socket")))
}

fn port_of(address: Option<rustix::net::SocketAddrAny>) -> u32 {
    let address = address.expect("a sender address");
    SocketAddrNetlink::try_from(address).expect("a netlink address").pid()
}

fn stamp(datagram: &[u8]) -> Stamp {
    let word = |offset: usize| {
        u32::from_ne_bytes(datagram[offset..offset + 4].try_into().expect("four bytes"))
    };
    let time = datagram[44..52].try_into().expect("eight bytes");
    Stamp { cpu: word(40), seq: word(24), what: word(36), timestamp_ns: u64::from_ne_bytes(time) }
}

/// The events seen by a witness, by CPU.
#[derive(Debug, Default)]
pub(crate) struct Witnessed {
    cpus: BTreeMap<u32, Vec<Stamp>>,
}

impl Witnessed {
    /// Appends events, and asserts that none is missing.
    pub(crate) fn add(&mut self, stamps: &[Stamp]) {
        for &stamp in stamps {
            let cpu = self.cpus.entry(stamp.cpu).or_default();
            if let Some(last) = cpu.last() {
                assert_eq!(last.seq.wrapping_add(1), stamp.seq, "the witness missed an event");
            }
            cpu.push(stamp);
        }
    }

    /// The events on a CPU from `first` to `last`, inclusive.
    pub(crate) fn between(&self, first: Stamp, last: Stamp) -> &[Stamp] {
        let cpu = &self.cpus[&first.cpu];
        let place = |stamp| cpu.iter().position(|&seen| seen == stamp);
        let (Some(first), Some(last)) = (place(first), place(last)) else {
            panic!("the witness did not see all of {first:?} to {last:?}")
        };
        &cpu[first..=last]
    }

    pub(crate) fn has(&self, stamp: Stamp) -> bool {
        self.cpus.get(&stamp.cpu).is_some_and(|cpu| cpu.contains(&stamp))
    }
}
