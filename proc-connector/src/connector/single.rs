//! One event at a time, into a buffer of the caller: the methods of 0.1.5.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proc_connector_core::{EventRecord, Notification, Notifications, Request};

use super::ProcConnector;
use crate::compat::to_event;
use crate::error::{Error, Result};
use crate::handshake;
use crate::proc_event::ProcEvent;
use crate::sys::{Source, retry_on_interrupt};
use crate::transport::{Popped, Wait};
use crate::transport_kind::Transport;

/// Subscribing, and receiving one event at a time into a buffer of the caller, as in 0.1.5.
impl ProcConnector {
    /// Asks the kernel for events again, after [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the request could not be sent.
    pub fn subscribe(&self) -> Result<()> {
        let request = Request::listen().with_ack(handshake::random());
        retry_on_interrupt(|| self.intake.socket.send(&request.encode()))?;
        self.listens.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the kernel that this connector wants no more events. What is queued stays.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the request could not be sent.
    pub fn unsubscribe(&self) -> Result<()> {
        // Kernels before 6.6 only count: one IGNORE more than LISTENs would take another's away.
        for _ in 0..self.listens.swap(0, Ordering::Relaxed) {
            retry_on_interrupt(|| self.intake.socket.send(&Request::ignore().encode()))?;
        }
        Ok(())
    }

    /// Receives the next event.
    ///
    /// A datagram of several messages gives its other events to the next calls. `buf` must hold at
    /// least an event's 76 bytes.
    ///
    /// # Errors
    ///
    /// Those of [`recv_raw`](Self::recv_raw), and those of
    /// [`parse_netlink_message`](crate::parse_netlink_message).
    pub fn recv(&self, buf: &mut [u8]) -> Result<ProcEvent> {
        loop {
            let len = self.recv_raw(buf)?;
            if let Some(event) = self.first_event(&buf[..len])? {
                return Ok(event);
            }
        }
    }

    /// Receives the next event, or `None` if none comes within `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, buf: &mut [u8], timeout: Duration) -> Result<Option<ProcEvent>> {
        let wait = Wait::for_at_most(timeout);
        loop {
            let Some(len) = self.recv_raw_until(buf, wait)? else { return Ok(None) };
            if let Some(event) = self.first_event(&buf[..len])? {
                return Ok(Some(event));
            }
        }
    }

    /// Receives the next datagram that the kernel sent, and says how many bytes it has.
    ///
    /// # Errors
    ///
    /// - [`Error::BufferTooSmall`] if `buf` cannot hold an event, or not the datagram that came;
    ///   that one is kept for a call with a larger buffer.
    /// - [`Error::Interrupted`] if a signal arrived first.
    /// - [`Error::Overrun`] once after events were dropped.
    /// - [`Error::WouldBlock`] if the connector is non-blocking and nothing is there.
    /// - [`Error::Os`] for what else the system says.
    pub fn recv_raw(&self, buf: &mut [u8]) -> Result<usize> {
        if self.intake.transport() == Transport::Ring {
            let nonblocking = self.nonblocking.load(Ordering::Relaxed);
            let wait = if nonblocking { Wait::No } else { Wait::Forever };
            return self.recv_raw_until(buf, wait)?.ok_or(Error::WouldBlock);
        }
        check_room(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(len);
            }
            if let Some(len) = self.receive(buf, true)? {
                return Ok(len);
            }
        }
    }

    /// Receives the next datagram that the kernel sent, or `None` if none comes within `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_raw`](Self::recv_raw), except that it is never [`Error::WouldBlock`].
    pub fn recv_raw_timeout(&self, buf: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        self.recv_raw_until(buf, Wait::for_at_most(timeout))
    }

    /// Makes all receives fail with [`Error::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the system refuses.
    pub fn set_nonblocking(&self) -> Result<()> {
        self.intake.socket.set_nonblocking()?;
        self.nonblocking.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The descriptor to wait for: the socket's, over which the ring wakes its reader too.
    ///
    /// Receive until there is nothing more before the first wait: events that arrived while the
    /// connector was being opened do not make it readable.
    pub fn as_raw_fd(&self) -> RawFd {
        self.intake.wakes().as_raw_fd()
    }

    fn recv_raw_until(&self, buf: &mut [u8], wait: Wait) -> Result<Option<usize>> {
        check_room(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(Some(len));
            }
            match self.receive(buf, false) {
                Ok(Some(len)) => return Ok(Some(len)),
                // Refused, with more behind it perhaps.
                Ok(None) => continue,
                Err(Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            let remaining = wait.remaining();
            if remaining.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.intake.wait_shared(remaining, &self.counters).map_err(receive_error)?;
        }
    }

    /// One datagram off the queue; `None` if it was not the kernel's.
    fn receive(&self, buf: &mut [u8], wait: bool) -> Result<Option<usize>> {
        match self.intake.pop_shared(buf)? {
            None => self.receive_from_socket(buf, wait),
            Some(Popped::Datagram(len)) => Ok(Some(len)),
            Some(Popped::Lost(lost)) => {
                self.counters.lost.fetch_add(lost.into(), Ordering::Relaxed);
                Err(Error::Overrun)
            }
            Some(Popped::Nothing) => Err(Error::WouldBlock),
        }
    }

    fn receive_from_socket(&self, buf: &mut [u8], wait: bool) -> Result<Option<usize>> {
        let mut overflow = [0; 4096];
        let received = self.intake.socket.recv(buf, &mut overflow, wait);
        let datagram = received.map_err(|error| {
            let error = receive_error(error);
            if matches!(error, Error::Overrun) {
                let lost = self.intake.take_lost().unwrap_or_default();
                self.counters.lost.fetch_add(lost, Ordering::Relaxed);
            }
            error
        })?;
        if datagram.source != Source::Kernel {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let Some(beyond) = datagram.len.checked_sub(buf.len()).filter(|&beyond| beyond > 0) else {
            return Ok(Some(datagram.len));
        };
        let rest = &overflow[..beyond.min(overflow.len())];
        self.stash.push_front(&[buf, rest].concat());
        Err(Error::BufferTooSmall { needed: datagram.len })
    }

    fn take_stashed(&self, buf: &mut [u8]) -> Result<Option<usize>> {
        match self.stash.pop(|len| len <= buf.len()) {
            None => Ok(None),
            Some(Err(needed)) => Err(Error::BufferTooSmall { needed }),
            Some(Ok(datagram)) => {
                buf[..datagram.len()].copy_from_slice(&datagram);
                Ok(Some(datagram.len()))
            }
        }
    }

    /// The first event of a datagram; what follows it waits in the stash.
    fn first_event(&self, datagram: &[u8]) -> Result<Option<ProcEvent>> {
        let mut notifications = Notifications::new(datagram);
        while let Some(notification) = notifications.next() {
            if let Ok(Notification::Event(event)) = notification {
                if !self.intake.selection.wants(&event) {
                    continue;
                }
                self.counters.received_shared(event.what());
            }
            let event = to_event(notification);
            if matches!(event, Ok(None)) {
                continue;
            }
            let rest = datagram.get(notifications.offset()..).unwrap_or_default();
            if !rest.is_empty() {
                self.stash.push_front(rest);
            }
            return event;
        }
        Ok(None)
    }
}

/// No event is shorter than this, so a shorter buffer is refused before anything is received.
fn check_room(buf: &[u8]) -> Result<()> {
    let needed = EventRecord::MAX_KERNEL_LEN;
    if buf.len() < needed { Err(Error::BufferTooSmall { needed }) } else { Ok(()) }
}

/// A failed receive in the words of 0.1.5.
fn receive_error(error: io::Error) -> Error {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::Interrupted, _) => Error::Interrupted,
        (io::ErrorKind::WouldBlock, _) => Error::WouldBlock,
        (_, Some(libc::ENOBUFS)) => Error::Overrun,
        _ => error.into(),
    }
}
