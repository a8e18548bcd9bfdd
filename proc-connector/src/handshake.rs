//! Becoming a listener, and knowing that it worked.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use proc_connector_core::{Notification, Notifications, Request};

use crate::error::{Error, Namespace, Result};
use crate::namespace;
use crate::proc_mount;
use crate::sys::{NetlinkSocket, Source, retry_on_interrupt};

/// What came with the acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// Datagrams with events that arrived before the acknowledgement.
    pub(crate) early: VecDeque<Box<[u8]>>,
    /// Events were dropped meanwhile.
    pub(crate) overrun: bool,
    /// How often the kernel was asked. Before 6.6 it counts each as a listener of its own.
    pub(crate) requests: u32,
}

/// How often to ask again when the acknowledgement may have been among dropped events.
const ATTEMPTS: usize = 8;

/// Asks the kernel to send events, until it has acknowledged that.
///
/// The kernel's callback runs inside `send`, so the acknowledgement is queued when that returns
/// (`drivers/connector/connector.c`): if it cannot be found then, it will not come.
pub(crate) fn listen(socket: &NetlinkSocket) -> Result<Listening> {
    let mut listening = Listening::default();
    let result = ask(socket, &mut listening);
    if result.is_err() {
        ignore(socket, listening.requests);
    }
    result.map(|()| listening)
}

/// Takes LISTEN requests back. Nobody is told of a failure: this is the way out.
pub(crate) fn ignore(socket: &NetlinkSocket, requests: u32) {
    for _ in 0..requests {
        let _ = retry_on_interrupt(|| socket.send(&Request::ignore().encode()));
    }
}

fn ask(socket: &NetlinkSocket, listening: &mut Listening) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let request = Request::listen().with_ack(random());
        retry_on_interrupt(|| socket.send(&request.encode())).map_err(refused)?;
        listening.requests += 1;
        let overran_before = std::mem::take(&mut listening.overrun);
        let acknowledged = find_ack(socket, &request, listening)?;
        if !acknowledged && !listening.overrun {
            return Err(unanswered());
        }
        // Once and for all attempts: the first batch tells what was lost.
        listening.overrun |= overran_before;
        if acknowledged {
            return Ok(());
        }
    }
    Err(Error::NotAcknowledged)
}

/// Reads the queue up to the acknowledgement, keeping what else is there.
fn find_ack(socket: &NetlinkSocket, request: &Request, listening: &mut Listening) -> Result<bool> {
    let mut buffer = [0; 1024];
    loop {
        let datagram = match socket.recv(&mut buffer, &mut [], false) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                listening.overrun = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if datagram.source != Source::Kernel {
            continue;
        }
        let bytes = &buffer[..datagram.len.min(buffer.len())];
        let (mut acknowledged, mut other) = (None, false);
        for notification in Notifications::new(bytes) {
            match notification {
                Ok(Notification::Ack(ack)) if ack.answers(request) => acknowledged = Some(ack),
                Ok(Notification::Ack(_) | Notification::Control(_)) => {}
                _ => other = true,
            }
        }
        if other {
            listening.early.push_back(bytes.into());
        }
        match acknowledged {
            Some(ack) if ack.err == 0 => return Ok(true),
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
