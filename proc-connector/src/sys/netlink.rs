//! A netlink socket of the connector family (`NETLINK_CONNECTOR`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use proc_connector_sys as uapi;

use super::call::{check, check_len, socklen_of};

/// A `NETLINK_CONNECTOR` socket.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    fd: OwnedFd,
}

/// The sender of a datagram, from the address that the kernel fills in. A process cannot forge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Kernel,
    Process,
}

impl Sender {
    /// Port 0 is the kernel's. A process sends from its own port, by multicast or unicast.
    pub(super) fn from_address(address: &libc::sockaddr_nl) -> Self {
        if address.nl_pid == 0 { Self::Kernel } else { Self::Process }
    }
}

/// How a receive takes a datagram off the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecvMode {
    /// Waits for a datagram, unless the socket is in non-blocking mode.
    Blocking,
    /// Fails with `EWOULDBLOCK` if the queue is empty.
    NonBlocking,
    /// Like `NonBlocking`, but leaves the datagram in the queue.
    Peek,
}

/// A length in bytes that no datagram of the kernel exceeds. Today's events have 76; the rest is
/// for a larger `event_data` union in later kernels.
const AMPLE_LEN: usize = 1024;

/// A received datagram, without its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Length of the whole datagram in bytes, even if the buffer was shorter.
    pub(crate) len: usize,
    pub(crate) sender: Sender,
}

/// The counters of `SO_MEMINFO` (`sock_diag.h`) in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemInfo {
    /// Bytes of the receive buffer charged to queued datagrams.
    pub(crate) rmem_alloc: u32,
    /// Datagrams dropped since the socket was created, modulo 2^32.
    pub(crate) drops: u32,
}

impl NetlinkSocket {
    /// Creates an unbound socket.
    pub(crate) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) };
        let fd = check(fd)?;
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Joins multicast groups. The kernel chooses the port, because only one socket of a process
    /// can have the customary port, the process id.
    pub(crate) fn bind(&self, groups: u32) -> io::Result<()> {
        let address = address(groups);
        // SAFETY: the pointer and the length describe a live sockaddr_nl.
        check(unsafe {
            libc::bind(self.raw(), (&raw const address).cast(), socklen_of::<libc::sockaddr_nl>())
        })?;
        Ok(())
    }

    /// Sends a datagram to the kernel.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let kernel = address(0);
        // SAFETY: both pointers come with the lengths of the memory they point to.
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

    /// Receives a datagram into `buffer`. Bytes that do not fit are discarded.
    pub(crate) fn recv(&self, buffer: &mut [u8], mode: RecvMode) -> io::Result<Datagram> {
        let mut sender = address(0);
        let mut sender_len = socklen_of::<libc::sockaddr_nl>();
        let flags = libc::MSG_TRUNC
            | match mode {
                RecvMode::Blocking => 0,
                RecvMode::NonBlocking => libc::MSG_DONTWAIT,
                RecvMode::Peek => libc::MSG_DONTWAIT | libc::MSG_PEEK,
            };
        // SAFETY: both pointers come with the lengths of the memory they point to.
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
        Ok(Datagram { len, sender: Sender::from_address(&sender) })
    }

    /// Like [`recv`](Self::recv), but returns bytes that do not fit `buffer` instead of discarding
    /// them. A datagram longer than any event is still cut.
    pub(crate) fn recv_whole(
        &self,
        buffer: &mut [u8],
        mode: RecvMode,
    ) -> io::Result<(Datagram, Vec<u8>)> {
        if buffer.len() >= AMPLE_LEN {
            return self.recv(buffer, mode).map(|datagram| (datagram, Vec::new()));
        }
        let mut whole = [0; AMPLE_LEN];
        let datagram = self.recv(&mut whole, mode)?;
        let received = &whole[..datagram.len.min(AMPLE_LEN)];
        let (fits, rest) = received.split_at_checked(buffer.len()).unwrap_or((received, &[]));
        buffer[..fits.len()].copy_from_slice(fits);
        Ok((datagram, rest.to_vec()))
    }

    /// Attaches a classic BPF filter, which replaces the present one. The kernel queues only
    /// datagrams that the filter keeps.
    pub(crate) fn attach_filter(&self, program: &[uapi::sock_filter]) -> io::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let filter = uapi::sock_fprog { len, filter: program.as_ptr().cast_mut() };
        // SAFETY: the pointer and the length describe a live sock_fprog, which in turn describes
        // the live program. The kernel copies both and writes nothing.
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

    /// Makes the kernel report this socket's overruns to senders (`NETLINK_BROADCAST_ERROR`).
    pub(crate) fn report_overruns_to_senders(&self) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, 1)
    }

    /// Sets the receive buffer to `bytes` of accounted memory. A process without `CAP_NET_ADMIN`
    /// gets at most twice `net.core.rmem_max`.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        // The kernel doubles the value, to account for its overhead (`net/core/sock.c`).
        let half = libc::c_int::try_from(bytes / 2).unwrap_or(libc::c_int::MAX);
        self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, half)
            .or_else(|_| self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, half))
    }

    /// The size of the receive buffer in bytes of accounted memory.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        let [bytes] = self.option(libc::SO_RCVBUF)?;
        Ok(bytes as usize)
    }

    /// The socket's memory counters. An error before Linux 4.12.
    pub(crate) fn mem_info(&self) -> io::Result<MemInfo> {
        const COUNTERS: usize = uapi::SK_MEMINFO_DROPS as usize + 1;
        let counters = self.option::<COUNTERS>(libc::SO_MEMINFO)?;
        Ok(MemInfo {
            rmem_alloc: counters[uapi::SK_MEMINFO_RMEM_ALLOC as usize],
            drops: counters[uapi::SK_MEMINFO_DROPS as usize],
        })
    }

    /// Sets `O_NONBLOCK`.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        let value: libc::c_int = 1;
        // SAFETY: FIONBIO reads one int, which outlives the call.
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
        // SAFETY: the pointer and the length describe a live integer, which is only read.
        check(unsafe {
            libc::setsockopt(self.raw(), level, option, (&raw const value).cast(), len)
        })?;
        Ok(())
    }

    /// An option of the socket that consists of `N` 32-bit numbers, none of them negative.
    fn option<const N: usize>(&self, option: libc::c_int) -> io::Result<[u32; N]> {
        let mut values = [0; N];
        let mut len = socklen_of::<[u32; N]>();
        // SAFETY: the kernel writes at most `len` bytes to the array, for whose integers any bytes
        // are valid, and the new length to `len`.
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

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An address with port 0, which is the kernel's, and `groups`.
pub(super) fn address(groups: u32) -> libc::sockaddr_nl {
    // SAFETY: a sockaddr_nl consists of integers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
    address.nl_family = FAMILY;
    address.nl_groups = groups;
    address
}

#[expect(clippy::cast_possible_truncation, reason = "AF_NETLINK is 16")]
const FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;

/// A header that receives one datagram into `iov` and the sender's address into `sender`.
pub(super) fn message_header(
    sender: *mut libc::sockaddr_nl,
    iov: *mut libc::iovec,
) -> libc::msghdr {
    // SAFETY: a msghdr consists of integers and pointers, for which zero is valid.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_name = sender.cast();
    header.msg_namelen = socklen_of::<libc::sockaddr_nl>();
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    header
}
