//! Who was that: processes, not numbers.
//!
//! A [`ProcessTable`] has the processes of the machine, with their names, arguments, users,
//! containers and parents, and keeps up with the stream of events. Each [`Change`] it makes comes
//! with the [`Process`] it is about:
//!
//! ```no_run
//! use proc_connector::ProcConnector;
//! use proc_connector::process::{ChangeKind, ProcessTable};
//!
//! let mut events = ProcConnector::builder().context(true).open()?;
//! // After that: what starts or ends from here on is in the stream.
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
//! # Where it is from
//!
//! The kernel's events tell who forked whom, who executed something and who ended. What they do not
//! tell is noted in the kernel at the event, where the connector was opened with
//! [`context`](crate::Builder::context) and has a ring; and read from `/proc` when the event comes,
//! which is too late for a process that lives for less than a millisecond. A fork is a copy, so a
//! child has its parent's until it executes a program.
//!
//! Whatever is read from `/proc` is read through one open folder and held against the time at which
//! the process was made, so that it is not another process's that got the same id.
//!
//! # Which events it wants
//!
//! All of them: a filter that leaves out forks, execs or exits leaves the table wrong. Without
//! [`processes_only`](crate::Filter::processes_only) it also knows of threads, and so that a
//! process goes on when its first thread has ended.
//!
//! # Losses
//!
//! After [`Received::Lost`](crate::Received::Lost) the table looks at `/proc` again as soon as no
//! more losses come, and tells what [appeared](ChangeKind::Appeared) and
//! [vanished](ChangeKind::Vanished). A loop that waits for events should not wait for longer than
//! [`rescan_in`](ProcessTable::rescan_in) says:
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
//! # Where `/proc` shows less
//!
//! A process is gone when the system says that none has its id. One that cannot be read stays: it may be
//! hidden (`hidepid`), or this process may have too many files open. With the latter a look fails, and
//! changes nothing.
//!
//! The `/proc` of another pid namespace has other processes under the same ids, so
//! [`ProcessTable::new`] refuses it, as it does what is no `/proc` at all. A table made
//! [without it](ProcessTable::without_proc) goes by the events alone. Nothing but the directories of
//! processes is needed (`subset=pid`, `ProcSubset=pid`).
//!
//! In a time namespace all times are still those of the initial one, as in the events: see
//! [`WallClock`](crate::WallClock).

mod cgroups;
mod change;
mod container;
mod events;
mod facts;
mod look;
mod population;
#[cfg_attr(not(target_os = "linux"), path = "no_proc_fs.rs")]
mod proc_fs;
#[allow(clippy::module_inception)]
mod process;
mod rescan;
mod table;
#[cfg(test)]
mod tests;
mod time;

pub use self::change::{Change, ChangeKind, Changes};
pub use self::facts::Ids;
pub use self::process::Process;
pub use self::table::ProcessTable;
