//! A netlink socket of the connector family.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use proc_connector_sys as uapi;

use super::{check, check_len, socklen_of};

/// A `NETLINK_CONNECTOR` socket.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    fd: OwnedFd,
}

/// Who sent a datagram, by the address that the kernel noted and no sender can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Kernel,
    Process,
}

impl Sender {
    /// Port 0 is the kernel's; a process that multicasts or unicasts shows its own.
    pub(super) fn from_address(address: &libc::sockaddr_nl) -> Self {
        if address.nl_pid == 0 { Self::Kernel } else { Self::Process }
    }
}

/// How a receive takes a datagram off the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Waits for one, unless the socket is in non-blocking mode.
    Waiting,
    /// Fails where none is queued.
    Now,
    /// The same, and leaves it in the queue.
    Peek,
}

/// Bytes that no datagram of the kernel exceeds: an event has 76, and this leaves room for its union
/// to grow.
const ROOMY: usize = 1024;

/// What one receive brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Length of the whole datagram in bytes, even if the buffer was shorter.
    pub(crate) len: usize,
    pub(crate) source: Sender,
}

/// The part of `SO_MEMINFO` (`sock_diag.h`) in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemInfo {
    /// Bytes that queued datagrams take of the receive buffer.
    pub(crate) rmem_alloc: u32,
    /// Datagrams dropped since the socket was made, modulo 2^32.
    pub(crate) drops: u32,
}

impl NetlinkSocket {
    /// A new, unbound socket.
    pub(crate) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) };
        let fd = check(fd)?;
        // SAFETY: the call above made this descriptor and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Binds to a multicast group, with a port number of the kernel's choice: the process id, which
    /// is the common choice, is taken from the second socket on.
    pub(crate) fn bind(&self, groups: u32) -> io::Result<()> {
        let address = address(groups);
        // SAFETY: the pointer and the length are those of a live sockaddr_nl.
        check(unsafe {
            libc::bind(self.raw(), (&raw const address).cast(), socklen_of::<libc::sockaddr_nl>())
        })?;
        Ok(())
    }

    /// Sends a datagram to the kernel.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let kernel = address(0);
        // SAFETY: both pointers come with the lengths of what they point to.
        check_len(unsafe {
            libc::sendto(
                self.raw(),
                datagram.as_ptr().cast(),
                datagram.len(),
                0,
                (&raw const kernel).cast(),
                socklen_of::<libc::sockaddr_nl>(),
            )
        })?;
        Ok(())
    }

    /// Receives a datagram into `buffer`. What does not fit there is discarded.
    ///
    pub(crate) fn recv(&self, buffer: &mut [u8], take: Take) -> io::Result<Datagram> {
        let mut sender = address(0);
        let mut sender_len = socklen_of::<libc::sockaddr_nl>();
        let flags = libc::MSG_TRUNC
            | match take {
                Take::Waiting => 0,
                Take::Now => libc::MSG_DONTWAIT,
                Take::Peek => libc::MSG_DONTWAIT | libc::MSG_PEEK,
            };
        // SAFETY: both pointers come with the lengths of what they point to.
        let len = check_len(unsafe {
            libc::recvfrom(
                self.raw(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
                (&raw mut sender).cast(),
                &raw mut sender_len,
            )
        })?;
        Ok(Datagram { len, source: Sender::from_address(&sender) })
    }

    /// The same for a buffer that may be too short: what does not fit is in the second value, up
    /// to a length that no event has.
    pub(crate) fn recv_whole(
        &self,
        buffer: &mut [u8],
        take: Take,
    ) -> io::Result<(Datagram, Vec<u8>)> {
        if buffer.len() >= ROOMY {
            return self.recv(buffer, take).map(|datagram| (datagram, Vec::new()));
        }
        let mut whole = [0; ROOMY];
        let datagram = self.recv(&mut whole, take)?;
        let (fits, rest) = whole[..datagram.len.min(ROOMY)]
            .split_at_checked(buffer.len())
            .unwrap_or((&whole[..datagram.len.min(ROOMY)], &[]));
        buffer[..fits.len()].copy_from_slice(fits);
        Ok((datagram, rest.to_vec()))
    }

    /// Lets the kernel queue only what `program` keeps, in place of any filter before.
    pub(crate) fn attach_filter(&self, program: &[uapi::sock_filter]) -> io::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let filter = uapi::sock_fprog { len, filter: program.as_ptr().cast_mut() };
        // SAFETY: the pointer and the length are those of a live sock_fprog, which in turn has the
        // pointer and the length of the program. The kernel copies it and writes nothing.
        check(unsafe {
            libc::setsockopt(
                self.raw(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                socklen_of::<uapi::sock_fprog>(),
            )
        })?;
        Ok(())
    }

    /// Has the kernel tell senders when this socket overran.
    pub(crate) fn report_overruns_to_senders(&self) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, 1)
    }

    /// Asks for a receive buffer that accounts up to `bytes`, over the system's limit where
    /// privilege allows it.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        // The kernel doubles what it is asked for (net/core/sock.c), to account for its overhead.
        let half = libc::c_int::try_from(bytes / 2).unwrap_or(libc::c_int::MAX);
        self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, half)
            .or_else(|_| self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, half))
    }

    /// The bytes that the receive buffer may account.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        let [bytes] = self.option::<libc::c_int, 1>(libc::SO_RCVBUF)?;
        Ok(usize::try_from(bytes).unwrap_or_default())
    }

    /// The socket's memory counters; an error before Linux 4.12.
    pub(crate) fn mem_info(&self) -> io::Result<MemInfo> {
        const COUNTERS: usize = uapi::SK_MEMINFO_DROPS as usize + 1;
        let counters = self.option::<u32, COUNTERS>(libc::SO_MEMINFO)?;
        Ok(MemInfo {
            rmem_alloc: counters[uapi::SK_MEMINFO_RMEM_ALLOC as usize],
            drops: counters[uapi::SK_MEMINFO_DROPS as usize],
        })
    }

    /// Sets `O_NONBLOCK`.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        let value: libc::c_int = 1;
        // SAFETY: FIONBIO reads one int, which lives through the call.
        check(unsafe { libc::ioctl(self.raw(), libc::FIONBIO, &raw const value) })?;
        Ok(())
    }

    fn raw(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }

    fn set_option(
        &self,
        level: libc::c_int,
        option: libc::c_int,
        value: libc::c_int,
    ) -> io::Result<()> {
        let len = socklen_of::<libc::c_int>();
        // SAFETY: the pointer and the length are those of a live integer, which is only read.
        check(unsafe {
            libc::setsockopt(self.raw(), level, option, (&raw const value).cast(), len)
        })?;
        Ok(())
    }

    fn option<T: Integer, const N: usize>(&self, option: libc::c_int) -> io::Result<[T; N]> {
        let mut values = [T::ZERO; N];
        let mut len = socklen_of::<[T; N]>();
        // SAFETY: the kernel writes at most `len` bytes to the array, whose integers may have any
        // value, and the new length to `len`.
        check(unsafe {
            libc::getsockopt(
                self.raw(),
                libc::SOL_SOCKET,
                option,
                values.as_mut_ptr().cast(),
                &raw mut len,
            )
        })?;
        Ok(values)
    }
}

/// Integers that a socket option may fill with any bytes.
trait Integer: Copy {
    const ZERO: Self;
}

impl Integer for u32 {
    const ZERO: Self = 0;
}

impl Integer for libc::c_int {
    const ZERO: Self = 0;
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The kernel's address, with multicast groups.
pub(super) fn address(groups: u32) -> libc::sockaddr_nl {
    // SAFETY: a sockaddr_nl consists of integers, and all of them may be zero.
    let mut address: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
    address.nl_family = FAMILY;
    address.nl_groups = groups;
    address
}

#[expect(clippy::cast_possible_truncation, reason = "16")]
const FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;

/// A header for one datagram into one part, its sender into `sender`.
pub(super) fn message_header(
    sender: *mut libc::sockaddr_nl,
    part: *mut libc::iovec,
) -> libc::msghdr {
    // SAFETY: a msghdr consists of integers and pointers, and all of them may be zero.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_name = sender.cast();
    header.msg_namelen = socklen_of::<libc::sockaddr_nl>();
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header
}
