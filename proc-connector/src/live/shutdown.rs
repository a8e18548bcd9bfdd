//! Ending a blocked receive from elsewhere.

use std::io;
use std::sync::Arc;

use crate::sys::EventFd;

/// A handle that ends the receives of a [`ProcConnector`](crate::ProcConnector), blocked or to
/// come, from any thread.
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
    /// Ends the receives. From now on [`recv_batch`](crate::ProcConnector::recv_batch) fails with
    /// [`Error::Shutdown`](crate::Error::Shutdown); what is queued can still be drained with
    /// `recv_batch_timeout(Duration::ZERO)`.
    ///
    /// One `write`, so a signal handler may do it too.
    ///
    /// # Errors
    ///
    /// What the system says to that `write`.
    pub fn shutdown(&self) -> io::Result<()> {
        self.event.raise()
    }
}
