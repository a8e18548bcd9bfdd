//! Becoming a listener, and knowing that it worked.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use proc_connector_core::{Notification, Notifications, Request};
use proc_connector_sys::sock_filter;

use crate::error::{Error, Namespace, Result};
use crate::live::host::kernel::goes_deaf;
use crate::live::host::namespace;
use crate::live::host::proc_mount;
use crate::sys::{Datagram, NetlinkSocket, RecvMode, Sender, retry_on_interrupt};

/// How often to ask again when the acknowledgement may have been among dropped events.
const ATTEMPTS: usize = 8;

/// A socket, not bound yet, that receives acknowledgements and, where the kernel has filters that
/// work, nothing else.
///
/// The kernel sends an acknowledgement to every listener. Read here, it leaves the queue of the
/// socket that asked as it is: an event in there stays where `poll` sees it.
pub(crate) fn witness() -> Result<NetlinkSocket> {
    let socket = NetlinkSocket::new()?;
    if !goes_deaf() {
        socket.attach_filter(&ACKS_ONLY).map_err(Error::FilterRefused)?;
    }
    Ok(socket)
}

/// Keeps what is no event: `proc_event.what` is 0.
const ACKS_ONLY: [sock_filter; 4] = [
    sock_filter { code: 0x20, jt: 0, jf: 0, k: 36 },
    sock_filter { code: 0x15, jt: 0, jf: 1, k: 0 },
    sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
    sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
];

/// Asks the kernel to send events to `socket`, until an acknowledgement of that is found in the
/// queue of `witness`. Returns the number of requests: before 6.6 the kernel counts each as a
/// listener of its own.
///
/// The kernel's callback runs inside `send`, so the acknowledgement is queued when that returns
/// (`drivers/connector/connector.c`): if it cannot be found then, it will not come.
pub(crate) fn listen(socket: &NetlinkSocket, witness: &NetlinkSocket) -> Result<u32> {
    let mut requests = 0;
    let result = ask(socket, witness, &mut requests);
    if result.is_err() {
        ignore(socket, requests);
    }
    result.map(|()| requests)
}

/// Takes acknowledgements off the front of the queue: a reader that finds something takes it for
/// the start of more. True if the queue has overrun already.
pub(crate) fn skip_acks(socket: &NetlinkSocket) -> Result<bool> {
    let mut buffer = [0; BUFFER];
    let mut overrun = false;
    loop {
        let first = socket.recv(&mut buffer, RecvMode::Peek);
        let skipped = first.and_then(|first| {
            let skips = is_ack(&first, &buffer);
            if skips {
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

/// Bytes that no acknowledgement exceeds.
const BUFFER: usize = 1024;

/// Takes LISTEN requests back. Nobody is told of a failure: this is the way out.
pub(crate) fn ignore(socket: &NetlinkSocket, requests: u32) {
    for _ in 0..requests {
        let _ = retry_on_interrupt(|| socket.send(&Request::ignore().encode()));
    }
}

fn ask(socket: &NetlinkSocket, witness: &NetlinkSocket, requests: &mut u32) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let request = Request::listen().with_ack(random());
        retry_on_interrupt(|| socket.send(&request.encode())).map_err(refused)?;
        *requests += 1;
        match find_ack(witness, &request)? {
            Answer::Found => return Ok(()),
            Answer::Missing => return Err(unanswered()),
            // It may be among what was dropped.
            Answer::Overrun => {}
        }
    }
    Err(Error::NotAcknowledged)
}

/// What became of a request.
enum Answer {
    Found,
    Missing,
    Overrun,
}

/// Reads the queue up to the acknowledgement.
fn find_ack(witness: &NetlinkSocket, request: &Request) -> Result<Answer> {
    let mut buffer = [0; BUFFER];
    let mut without = Answer::Missing;
    loop {
        let datagram = match witness.recv(&mut buffer, RecvMode::NonBlocking) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(without),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                without = Answer::Overrun;
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
            Some(ack) if ack.err == 0 => return Ok(Answer::Found),
            Some(ack) => {
                let errno = i32::try_from(ack.err).unwrap_or(i32::MAX);
                return Err(io::Error::from_raw_os_error(errno).into());
            }
            None => {}
        }
    }
}

/// Why the kernel refused the request outright.
fn refused(error: io::Error) -> Error {
    match error.raw_os_error() {
        // Only the initial network namespace has a kernel socket at the other end.
        Some(libc::ECONNREFUSED) => Error::NotInitialNamespace { kind: Namespace::Network },
        Some(libc::EPERM | libc::EACCES) => Error::PermissionDenied,
        _ => error.into(),
    }
}

/// Why the kernel does not let this process join the listeners: before Linux 6.6 it asks for
/// `CAP_NET_ADMIN` first, and that must not send anybody for a privilege that would not help.
pub(crate) fn forbidden() -> Error {
    if has_proc_events() == Some(false) {
        Error::ConnectorUnavailable
    } else if namespace::is_initial(Namespace::User) == Some(false) {
        // Whoever is root there has no privilege over the network namespace.
        Error::NotInitialNamespace { kind: Namespace::User }
    } else {
        Error::PermissionDenied
    }
}

/// Why the kernel took the request and did not answer.
fn unanswered() -> Error {
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

/// Whether the kernel lists the process events among its connectors.
pub(crate) fn has_proc_events() -> Option<bool> {
    let connectors = proc_mount::read_own_net(c"connector").ok()?;
    Some(connectors.lines().any(|line| line.split_whitespace().next() == Some("cn_proc")))
}

/// A number that no other listener uses, as far as chance allows.
pub(crate) fn random() -> u32 {
    // The standard library seeds each of these from the system's random numbers.
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}
