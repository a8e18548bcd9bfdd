//! Processes instead of ids: names, arguments, users, containers and parents.
//!
//! A [`ProcessTable`] contains the processes of the machine and follows the stream of events. Each
//! [`Change`] refers to the [`Process`] that changed:
//!
//! ```no_run
//! use proc_connector::ProcConnector;
//! use proc_connector::process::{ChangeKind, ProcessTable};
//!
//! // Open the connector first: then the stream reports every later start and end.
//! let mut events = ProcConnector::builder().context(true).open()?;
//! let mut table = ProcessTable::new()?;
//! loop {
//!     for received in events.recv_batch()? {
//!         for change in table.apply(&received) {
//!             let process = change.process;
//!             match change.kind {
//!                 ChangeKind::Executed => println!("{} runs {:?}", process.tgid(), process.exe()),
//!                 ChangeKind::Ended => println!("{} ended: {:?}", process.tgid(), process.exit_status()),
//!                 _ => {}
//!             }
//!         }
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Origin of the values
//!
//! Events report which process forked, executed a program or exited. Further values have two
//! origins:
//!
//! - the kernel records them at the event, if the connector uses the ring transport with
//!   [`context`](crate::Builder::context);
//! - the table reads them from `/proc` when it receives the event, which is too late for a process that
//!   lives for less than a millisecond.
//!
//! A child inherits its parent's values until it executes a program.
//!
//! The files of a process in `/proc` are read relative to one open directory, and its start time is
//! compared with the event's time stamp. A value therefore never belongs to another process that
//! reused the id.
//!
//! # Required events
//!
//! The table needs all forks, execs and exits. A filter that excludes some of them makes it wrong.
//! Without [`processes_only`](crate::Filter::processes_only), it also tracks threads, and
//! recognises that a process continues after its first thread exited.
//!
//! # Losses
//!
//! After [`Received::Lost`](crate::Received::Lost), the table scans `/proc` as soon as no more
//! losses arrive, and reports which processes [appeared](ChangeKind::Appeared) and
//! [vanished](ChangeKind::Vanished). A receive loop should wait no longer than
//! [`rescan_in`](ProcessTable::rescan_in):
//!
//! ```no_run
//! # use proc_connector::{ProcConnector, process::ProcessTable};
//! # let mut events = ProcConnector::new()?;
//! # let mut table = ProcessTable::new()?;
//! let batch = match table.rescan_in() {
//!     None => events.recv_batch()?,
//!     Some(time) => events.recv_batch_timeout(time)?,
//! };
//! for received in batch {
//!     table.apply(&received);
//! }
//! table.rescan_if_due()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Restricted `/proc`
//!
//! A scan removes a process only if it has certainly ended. A process that cannot be read stays in
//! the table, because it may be hidden (`hidepid`). If this process has too many open files, the
//! scan fails and leaves the table unchanged.
//!
//! [`ProcessTable::new`] rejects the `/proc` of another pid namespace, where the same ids denote
//! other processes, and a `/proc` of another file system type. A table made [without
//! `/proc`](ProcessTable::without_proc) uses events only. The table reads only the directories of
//! processes, so `subset=pid` (systemd: `ProcSubset=pid`) is sufficient.
//!
//! In a time namespace, all times are those of the initial time namespace, as in events: see
//! [`WallClock`](crate::WallClock).

mod cgroups;
mod change;
mod children;
mod construct;
mod container;
mod hasher;
mod identity;
mod inference;
mod population;
#[cfg_attr(not(target_os = "linux"), path = "no_proc_fs.rs")]
mod proc_fs;
#[allow(clippy::module_inception)]
mod process;
mod proof;
mod reading;
mod rescan;
mod scan;
mod snapshot;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod threads;
mod time;
mod wait;

pub use self::change::{Change, ChangeKind, Changes};
pub use self::identity::{BootId, ParseIdError, ProcessId};
pub use self::process::Process;
pub use self::snapshot::Ids;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
pub use self::stream::AsyncProcessStream;
pub use self::stream::{ChangeKinds, ProcessChange, ProcessItem, ProcessStream};
pub use self::table::ProcessTable;
pub use self::wait::{ExitWaiter, ProcessExit, WaitError, wait_for_exit};
