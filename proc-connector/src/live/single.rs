//! One event at a time, into a buffer of the caller: the methods of 0.1.5.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proc_connector_core::{EventRecord, Notification, Notifications, Request};

use super::connector::ProcConnector;
use crate::compat::to_event;
use crate::error::{Error, Result};
use crate::event::ProcEvent;
use crate::live::handshake;
use crate::live::transport::{Popped, Wait};
use crate::sys::{RecvMode, Sender, retry_on_interrupt};
use crate::transport_kind::NoRing;

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
        // A caller that has the socket may have given it a timeout (`SO_RCVTIMEO`), as with 0.1.5.
        if self.no_ring != Some(NoRing::Compatibility) {
            let nonblocking = self.nonblocking.load(Ordering::Relaxed);
            let wait = if nonblocking { Wait::No } else { Wait::Forever };
            return self.recv_raw_until(buf, wait)?.ok_or(Error::WouldBlock);
        }
        check_room(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(len);
            }
            if let Some(len) = self.receive(buf, RecvMode::Blocking)? {
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

    /// The descriptor to poll, as [`AsFd`](#impl-AsFd-for-ProcConnector) has it: readable while
    /// anything is unread.
    ///
    /// ```no_run
    /// use proc_connector::{Error, ProcConnector};
    /// use tokio::io::unix::AsyncFd;
    ///
    /// # async fn receive() -> Result<(), Error> {
    /// let connector = ProcConnector::new()?;
    /// connector.set_nonblocking()?;
    /// let connector = AsyncFd::new(connector)?;
    /// let mut buffer = [0; 4096];
    /// loop {
    ///     let mut readable = connector.readable().await?;
    ///     match readable.get_inner().recv(&mut buffer) {
    ///         Ok(event) => println!("{event}"),
    ///         Err(Error::WouldBlock) => readable.clear_ready(),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    fn recv_raw_until(&self, buf: &mut [u8], wait: Wait) -> Result<Option<usize>> {
        check_room(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(Some(len));
            }
            match self.receive(buf, RecvMode::NonBlocking) {
                Ok(Some(len)) => return Ok(Some(len)),
                // Refused, with more behind it perhaps.
                Ok(None) => continue,
                Err(Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            if !self.intake.wait_shared(wait, &self.counters).map_err(receive_error)? {
                return Ok(None);
            }
        }
    }

    /// One datagram off the queue; `None` if it was not the kernel's.
    fn receive(&self, buf: &mut [u8], mode: RecvMode) -> Result<Option<usize>> {
        match self.intake.pop_shared(buf)? {
            None => self.receive_from_socket(buf, mode),
            Some(Popped::Datagram(len)) => Ok(Some(len)),
            Some(Popped::Lost(lost)) => {
                self.counters.lost.fetch_add(lost.into(), Ordering::Relaxed);
                Err(Error::Overrun)
            }
            Some(Popped::Nothing) => Err(Error::WouldBlock),
        }
    }

    fn receive_from_socket(&self, buf: &mut [u8], mode: RecvMode) -> Result<Option<usize>> {
        let received = self.intake.socket.recv_whole(buf, mode);
        let (datagram, rest) = received.map_err(|error| {
            let error = receive_error(error);
            if matches!(error, Error::Overrun) {
                let lost = self.intake.take_lost().unwrap_or_default();
                self.counters.lost.fetch_add(lost, Ordering::Relaxed);
            }
            error
        })?;
        if datagram.sender != Sender::Kernel {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        if datagram.len <= buf.len() {
            return Ok(Some(datagram.len));
        }
        self.stash.push_front(&[&*buf, &rest].concat());
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
