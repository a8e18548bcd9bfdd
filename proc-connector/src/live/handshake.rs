//! Subscribing to process events, and verifying the kernel's acknowledgement.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use proc_connector_core::{Notification, Notifications, Request};
use proc_connector_sys::sock_filter;

use crate::error::{Error, Namespace, Result};
use crate::live::host::kernel::{forgets_listeners, has_proc_events};
use crate::live::host::namespace;
use crate::sys::{Datagram, NetlinkSocket, RecvMode, Sender, retry_on_interrupt};

/// The most requests to send. More than one is necessary if an overrun drops the acknowledgement.
const ATTEMPTS: usize = 8;

/// Creates an unbound socket for acknowledgements. Its filter drops events, except on kernels where
/// a bug makes filters unusable.
///
/// The kernel sends an acknowledgement to every listener. Reading it from a separate socket leaves
/// the queue of the subscribed socket untouched, so that its events stay where `poll` reports them.
pub(crate) fn ack_socket() -> Result<NetlinkSocket> {
    let socket = NetlinkSocket::new()?;
    if !forgets_listeners() {
        socket.attach_filter(&ACKS_ONLY).map_err(Error::FilterRefused)?;
    }
    Ok(socket)
}

/// Keeps acknowledgements, in which `proc_event.what`, at offset 36, is 0.
const ACKS_ONLY: [sock_filter; 4] = [
    sock_filter { code: 0x20, jt: 0, jf: 0, k: 36 },
    sock_filter { code: 0x15, jt: 0, jf: 1, k: 0 },
    sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
    sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
];

/// Sends LISTEN requests from `socket` until `ack_socket` has received an acknowledgement. Returns
/// the number of requests: before Linux 6.6 the kernel counts each as a listener.
///
/// The kernel handles a request inside `send` (`drivers/connector/connector.c`), so its
/// acknowledgement is queued when `send` returns, or never.
pub(crate) fn listen(socket: &NetlinkSocket, ack_socket: &NetlinkSocket) -> Result<u32> {
    let mut requests = 0;
    let result = request_until_acknowledged(socket, ack_socket, &mut requests);
    if result.is_err() {
        ignore(socket, requests);
    }
    result.map(|()| requests)
}

/// Takes acknowledgements off the front of the queue, so that the first receive does not wake for a
/// batch without events. Returns whether the queue has overrun.
pub(crate) fn skip_acks(socket: &NetlinkSocket) -> Result<bool> {
    let mut buffer = [0; BUFFER_LEN];
    let mut overrun = false;
    loop {
        let first = socket.recv(&mut buffer, RecvMode::Peek);
        let skipped = first.and_then(|first| {
            if is_ack(&first, &buffer) {
                socket.recv(&mut buffer, RecvMode::NonBlocking).map(|_| true)
            } else {
                Ok(false)
            }
        });
        match skipped {
            Ok(true) => {}
            Ok(false) => return Ok(overrun),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(overrun),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => overrun = true,
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_ack(datagram: &Datagram, buffer: &[u8]) -> bool {
    let bytes = &buffer[..datagram.len.min(buffer.len())];
    let is_ack = |message| matches!(message, Ok(Notification::Ack(_)));
    datagram.sender == Sender::Kernel && Notifications::new(bytes).all(is_ack)
}

/// A length in bytes that no acknowledgement exceeds.
const BUFFER_LEN: usize = 1024;

/// Sends an IGNORE request for each LISTEN request. Errors are not reported: the caller is cleaning
/// up.
pub(crate) fn ignore(socket: &NetlinkSocket, requests: u32) {
    for _ in 0..requests {
        let _ = send(socket, &Request::ignore());
    }
}

/// Sends a request. A signal does not interrupt it.
pub(crate) fn send(socket: &NetlinkSocket, request: &Request) -> io::Result<()> {
    retry_on_interrupt(|| socket.send(&request.encode()))
}

fn request_until_acknowledged(
    socket: &NetlinkSocket,
    ack_socket: &NetlinkSocket,
    requests: &mut u32,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let request = Request::listen().with_ack(random());
        send(socket, &request).map_err(send_error)?;
        *requests += 1;
        match find_ack(ack_socket, &request)? {
            AckSearch::Found => return Ok(()),
            AckSearch::Missing => return Err(missing_ack_error()),
            AckSearch::Overrun => {}
        }
    }
    Err(Error::NotAcknowledged)
}

/// The result of looking for the acknowledgement of a request.
enum AckSearch {
    Found,
    Missing,
    /// Missing, but the queue has overrun and may have dropped it.
    Overrun,
}

/// Reads the queue up to the acknowledgement of `request`.
fn find_ack(ack_socket: &NetlinkSocket, request: &Request) -> Result<AckSearch> {
    let mut buffer = [0; BUFFER_LEN];
    let mut at_end = AckSearch::Missing;
    loop {
        let datagram = match ack_socket.recv(&mut buffer, RecvMode::NonBlocking) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(at_end),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                at_end = AckSearch::Overrun;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if datagram.sender != Sender::Kernel {
            continue;
        }
        let bytes = &buffer[..datagram.len.min(buffer.len())];
        let ack = Notifications::new(bytes).find_map(|notification| match notification {
            Ok(Notification::Ack(ack)) if ack.answers(request) => Some(ack),
            _ => None,
        });
        match ack {
            Some(ack) if ack.err == 0 => return Ok(AckSearch::Found),
            Some(ack) => {
                let errno = i32::try_from(ack.err).unwrap_or(i32::MAX);
                return Err(io::Error::from_raw_os_error(errno).into());
            }
            None => {}
        }
    }
}

/// Why the request could not be sent.
fn send_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        // Only the initial network namespace has a kernel socket that receives requests.
        Some(libc::ECONNREFUSED) => Error::NotInitialNamespace { kind: Namespace::Network },
        Some(libc::EPERM | libc::EACCES) => Error::PermissionDenied,
        _ => error.into(),
    }
}

/// Why `bind` failed with `EPERM`. Before Linux 6.6 the kernel checks `CAP_NET_ADMIN` first, so
/// this reports another cause if that capability would not help.
pub(crate) fn bind_permission_error() -> Error {
    if has_proc_events() == Some(false) {
        Error::ConnectorUnavailable
    } else if namespace::is_initial(Namespace::User) == Some(false) {
        // A root user there has no privilege over the network namespace.
        Error::NotInitialNamespace { kind: Namespace::User }
    } else {
        Error::PermissionDenied
    }
}

/// Why the kernel accepted the request but sent no acknowledgement.
fn missing_ack_error() -> Error {
    for kind in [Namespace::Pid, Namespace::User] {
        if namespace::is_initial(kind) == Some(false) {
            return Error::NotInitialNamespace { kind };
        }
    }
    if has_proc_events() == Some(false) {
        Error::ConnectorUnavailable
    } else {
        Error::NotAcknowledged
    }
}

/// A random number that distinguishes acknowledgements to this listener from those to others.
pub(crate) fn random() -> u32 {
    // The standard library seeds the hasher with random numbers of the system.
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}
