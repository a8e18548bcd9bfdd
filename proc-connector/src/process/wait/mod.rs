//! Waiting for processes to end.

mod error;
mod exit;
mod identity;
mod target;
mod waiter;

use std::time::Duration;

pub use self::error::WaitError;
pub use self::exit::ProcessExit;
pub use self::waiter::ExitWaiter;

/// Waits until a process has ended, without a connector. `None` if it is still running after
/// `timeout`; without a `timeout` the wait is unlimited.
///
/// The process need not be a child, and stays unreaped. The call requires no privileges, but the
/// status can be `None`: see [`ProcessExit::status`].
/// [`ProcessStream::wait_for_exit`](super::ProcessStream::wait_for_exit) also returns the usage and
/// the lifetime. [`ExitWaiter`] waits for several processes.
///
/// ```no_run
/// use proc_connector::process::wait_for_exit;
/// use std::time::Duration;
///
/// match wait_for_exit(4711, Some(Duration::from_secs(10)))? {
///     Some(exit) => println!("it ended: {:?}", exit.status()),
///     None => println!("it is still running"),
/// }
/// # Ok::<(), proc_connector::process::WaitError>(())
/// ```
///
/// # Errors
///
/// As [`ExitWaiter::add`] and [`ExitWaiter::wait`].
pub fn wait_for_exit(
    pid: u32,
    timeout: Option<Duration>,
) -> Result<Option<ProcessExit>, WaitError> {
    let mut waiter = ExitWaiter::new();
    waiter.add(pid)?;
    waiter.wait(timeout)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
