//! The methods of 0.1.5: receiving one event at a time into a caller's buffer.

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
use crate::live::transport::{Deadline, Popped};
use crate::sys::{RecvMode, Sender};
use crate::transport_kind::NoRing;

/// Subscribing, and receiving one event at a time into a caller's buffer, as in 0.1.5.
impl ProcConnector {
    /// Subscribes again after [`unsubscribe`](Self::unsubscribe).
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the request could not be sent.
    pub fn subscribe(&self) -> Result<()> {
        let request = Request::listen().with_ack(handshake::random());
        handshake::send(&self.intake.socket, &request)?;
        self.listens.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the subscription. Events that are already queued can still be received.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the request could not be sent.
    pub fn unsubscribe(&self) -> Result<()> {
        // Kernels before 6.6 keep one count for all listeners: an IGNORE without a LISTEN would end
        // another listener's subscription.
        for _ in 0..self.listens.swap(0, Ordering::Relaxed) {
            handshake::send(&self.intake.socket, &Request::ignore())?;
        }
        Ok(())
    }

    /// Waits for the next event and returns it. `buf` must have at least 76 bytes, the size of an
    /// event's datagram.
    ///
    /// If a datagram holds several events, the next calls return the others.
    ///
    /// # Errors
    ///
    /// As [`recv_raw`](Self::recv_raw) and [`parse_netlink_message`](crate::parse_netlink_message).
    pub fn recv(&self, buf: &mut [u8]) -> Result<ProcEvent> {
        loop {
            let len = self.recv_raw(buf)?;
            if let Some(event) = self.first_event(&buf[..len])? {
                return Ok(event);
            }
        }
    }

    /// Like [`recv`](Self::recv), but returns `None` if no event arrives within `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&self, buf: &mut [u8], timeout: Duration) -> Result<Option<ProcEvent>> {
        let deadline = Deadline::after(timeout);
        loop {
            let Some(len) = self.recv_raw_until(buf, deadline)? else { return Ok(None) };
            if let Some(event) = self.first_event(&buf[..len])? {
                return Ok(Some(event));
            }
        }
    }

    /// Waits for the next datagram from the kernel, copies it to `buf` and returns its length in
    /// bytes.
    ///
    /// # Errors
    ///
    /// - [`Error::BufferTooSmall`] if `buf` has less than 76 bytes, or the datagram does not fit.
    ///   The datagram is kept for a call with a larger buffer.
    /// - [`Error::Interrupted`] if a signal arrived first.
    /// - [`Error::Overrun`], once, after events were dropped.
    /// - [`Error::WouldBlock`] if the connector is non-blocking and nothing has arrived.
    /// - [`Error::Os`] for any other error of the system.
    pub fn recv_raw(&self, buf: &mut [u8]) -> Result<usize> {
        // A connector of `new` waits in the receive itself: as with 0.1.5, a caller may have set
        // the socket's timeout (`SO_RCVTIMEO`).
        if self.no_ring != Some(NoRing::Compatibility) {
            let nonblocking = self.nonblocking.load(Ordering::Relaxed);
            let deadline = if nonblocking { Deadline::Now } else { Deadline::Never };
            return self.recv_raw_until(buf, deadline)?.ok_or(Error::WouldBlock);
        }
        check_buffer_len(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(len);
            }
            if let Some(len) = self.receive(buf, RecvMode::Blocking)? {
                return Ok(len);
            }
        }
    }

    /// Like [`recv_raw`](Self::recv_raw), but returns `None` if no datagram arrives within
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_raw`](Self::recv_raw), but never [`Error::WouldBlock`].
    pub fn recv_raw_timeout(&self, buf: &mut [u8], timeout: Duration) -> Result<Option<usize>> {
        self.recv_raw_until(buf, Deadline::after(timeout))
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

    /// Returns the descriptor to poll, which is readable while anything is unread.
    /// [`AsFd`](#impl-AsFd-for-ProcConnector) describes it.
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

    fn recv_raw_until(&self, buf: &mut [u8], deadline: Deadline) -> Result<Option<usize>> {
        check_buffer_len(buf)?;
        loop {
            if let Some(len) = self.take_stashed(buf)? {
                return Ok(Some(len));
            }
            match self.receive(buf, RecvMode::NonBlocking) {
                Ok(Some(len)) => return Ok(Some(len)),
                // A forged datagram was refused; the queue may hold more.
                Ok(None) => continue,
                Err(Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            if !self.intake.wait_shared(deadline, &self.counters).map_err(receive_error)? {
                return Ok(None);
            }
        }
    }

    /// Takes one datagram off the queue. `None` if it was refused because the kernel did not send
    /// it.
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
                self.intake.selection.note_loss();
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

    /// The first event of a datagram. Messages after it are stashed for the next receive.
    fn first_event(&self, datagram: &[u8]) -> Result<Option<ProcEvent>> {
        let mut notifications = Notifications::new(datagram);
        while let Some(notification) = notifications.next() {
            if let Ok(Notification::Event(event)) = notification {
                if !self.intake.selection.wants_shared(&event) {
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

/// Refuses a buffer that cannot hold an event, before anything is received.
fn check_buffer_len(buf: &[u8]) -> Result<()> {
    let needed = EventRecord::MAX_KERNEL_LEN;
    if buf.len() < needed { Err(Error::BufferTooSmall { needed }) } else { Ok(()) }
}

/// Maps a failed receive to the errors of 0.1.5.
fn receive_error(error: io::Error) -> Error {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::Interrupted, _) => Error::Interrupted,
        (io::ErrorKind::WouldBlock, _) => Error::WouldBlock,
        (_, Some(libc::ENOBUFS)) => Error::Overrun,
        _ => error.into(),
    }
}
