//! Ending a blocked receive from another thread.

use std::io;
use std::sync::Arc;

use crate::sys::EventFd;

/// A handle that ends present and future receives of a [`ProcConnector`](crate::ProcConnector).
///
/// [`ProcConnector::shutdown_handle`](crate::ProcConnector::shutdown_handle) creates it. It can be
/// cloned, and used on any thread and in a signal handler.
///
/// ```no_run
/// use proc_connector::{Error, ProcConnector};
///
/// let mut events = ProcConnector::builder().open()?;
/// let shutdown = events.shutdown_handle();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(10));
///     shutdown.shutdown()
/// });
/// loop {
///     match events.recv_batch() {
///         Ok(batch) => println!("{} things happened", batch.count()),
///         Err(Error::Shutdown) => break,
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown {
    pub(crate) event: Arc<EventFd>,
}

impl Shutdown {
    /// Ends all receives. From now on [`recv_batch`](crate::ProcConnector::recv_batch) fails with
    /// [`Error::Shutdown`](crate::Error::Shutdown). Queued events can still be received with
    /// `recv_batch_timeout(Duration::ZERO)`.
    ///
    /// The call is async-signal-safe: an atomic store and one `write`.
    ///
    /// # Errors
    ///
    /// An error of that `write`.
    pub fn shutdown(&self) -> io::Result<()> {
        self.event.raise()
    }
}
