//! Processes instead of ids: names, arguments, users, containers, parents and ends.
//!
//! A [`ProcessStream`] yields the changes of all processes, with every loss. Each change carries its
//! [`Process`]. [`ProcessStream::wait_for_exit`] waits for a process to end.
//!
//! ```no_run
//! use proc_connector::process::{ChangeKind, ProcessItem, ProcessStream};
//!
//! for item in ProcessStream::open()? {
//!     let ProcessItem::Change(change) = item? else { continue };
//!     let process = change.process;
//!     match change.kind {
//!         ChangeKind::Executed => println!("{} runs {:?}", process.tgid(), process.exe()),
//!         ChangeKind::Ended => println!("{} ended: {:?}", process.tgid(), process.exit_status()),
//!         _ => {}
//!     }
//! }
//! # Ok::<(), proc_connector::Error>(())
//! ```
//!
//! [`wait_for_exit`] and [`ExitWaiter`] wait without a connector.
//!
//! # A table without a stream
//!
//! A stream joins a connector and a [`ProcessTable`], which follows the events. A program with a
//! receive loop of its own, or with recorded events, applies them to a table:
//!
//! ```no_run
//! use proc_connector::ProcConnector;
//! use proc_connector::process::{ChangeKind, ProcessTable};
//!
//! // Open the connector first: then its events report every later start and end.
//! let mut events = ProcConnector::builder().context(true).open()?;
//! let mut table = ProcessTable::new()?;
//! loop {
//!     // After a loss, the table must scan `/proc` although no event arrives.
//!     let batch = match table.rescan_in() {
//!         None => events.recv_batch()?,
//!         Some(time) => events.recv_batch_timeout(time)?,
//!     };
//!     for received in batch {
//!         for change in table.apply(&received) {
//!             if change.kind == ChangeKind::Ended {
//!                 println!("{} ended", change.process.tgid());
//!             }
//!         }
//!     }
//!     table.rescan_if_due()?;
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Identity
//!
//! The ring transport records at each event which process acted, and when that process was created.
//! The process id and the creation time identify a process while the machine runs; with the boot id,
//! they are its [`ProcessId`], which is unique for ever. From identities, the table knows
//!
//! - which process created another, also with `CLONE_PARENT`;
//! - that a process ended with its last thread, and its status and [usage](Process::usage);
//! - to which process an exit belongs that is received after its id was assigned again.
//!
//! When a parent ends, the kernel gives its children a new parent, without an event. The new parent
//! is unknown until the next event of each child.
//!
//! The socket transport, and recordings of it, have no identities. The table then infers them from
//! the order and the time stamps of events, and from `/proc`. What does not follow from these is
//! `None`, for example the status of a process whose threads exited with different statuses, and the
//! usage of every process. In particular:
//!
//! - An event has only the parent of a new process, which is not its creator if that used
//!   `CLONE_PARENT`. The [creator](Process::creator) is known if the parent has no other child. The
//!   child is given the values of its parent until it executes a program.
//! - `/proc` is read after an exec, and shows a later program as soon as the process executes one. Name,
//!   arguments and path are used only when it is certain that they are those of the exec: the process was
//!   idle, used CPU time or exited after the reading, and the table has all events until then. For a busy
//!   process this takes up to a quarter of a second. [`Executed`](ChangeKind::Executed) is reported then.
//!   Programs that executed another one at once are unknown.
//! - A process can overwrite the arguments that `/proc` shows. They are unknown if their length or place
//!   changed. Arguments that were overwritten in place, by as many bytes, cannot be told from those of
//!   the exec.
//!
//! # Origin of the values
//!
//! With [`context`](crate::Builder::context), the ring transport also records the user, the session,
//! the terminal, the program with its arguments, and the usage at the end. The table then reads
//! `/proc` only at the start, after a loss, and once for each cgroup.
//!
//! Without a context, the table reads `/proc` when it receives an exec. This is too late for a
//! process that lives for less than a millisecond. The files of a process in `/proc` are read
//! relative to one open directory, and its start time is compared with the recorded creation time, or
//! else with the event's time stamp. A value therefore belongs to no other process with the same id,
//! unless the id was reused within 10 ms, the resolution of `/proc`.
//!
//! A child inherits its creator's values until it executes a program.
//!
//! # Required events
//!
//! The table needs all forks, execs and exits. A filter that excludes some of them makes it wrong.
//! With [`processes_only`](crate::Filter::processes_only), it misses the end of a process whose first
//! thread exits before the others. Over the ring, the process then stays in the table until the next
//! scan of `/proc`. Over the socket, it ends at the exit of the first thread.
//!
//! # Losses
//!
//! After [`Received::Lost`](crate::Received::Lost), the table scans `/proc` as soon as no more
//! losses arrive, and reports which processes [appeared](ChangeKind::Appeared) and
//! [vanished](ChangeKind::Vanished). Until an event or the scan has them, the values that lost events may
//! have changed are `None`: name, program, ids, session, terminal and login. The parent, the cgroup and
//! the number of threads may be outdated until the scan. The terminal and the login stay unknown until the
//! next exec, and the number of execs forever. A stream wakes up for the scan. A receive loop with a table must wait no longer than
//! [`rescan_in`](ProcessTable::rescan_in).
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
//! processes, so `subset=pid` (systemd: `ProcSubset=pid`) is sufficient. The boot id is then unknown
//! and can be [given](ProcessTable::with_boot_id).
//!
//! In a time namespace, all times are those of the initial time namespace, as in events: see
//! [`WallClock`](crate::WallClock).

mod certainty;
mod cgroups;
mod change;
mod children;
mod construct;
mod container;
mod evidence;
mod hasher;
mod identity;
mod inference;
mod population;
#[cfg_attr(not(target_os = "linux"), path = "no_proc_fs.rs")]
mod proc_fs;
#[allow(clippy::module_inception)]
mod process;
mod programs;
mod proof;
mod reading;
mod readings;
#[cfg(feature = "capture")]
mod recorded;
mod redact;
mod rescan;
mod scan;
mod snapshot;
mod stale;
mod stream;
#[cfg(feature = "capture")]
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod thread_ids;
mod threads;
mod time;
mod unreported;
mod wait;

pub use self::change::{Change, ChangeKind, Changes};
pub use self::identity::{BootId, ParseIdError, ProcessId};
pub use self::process::Process;
pub use self::redact::Redact;
pub use self::snapshot::Ids;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
pub use self::stream::AsyncProcessStream;
pub use self::stream::{ChangeKinds, ProcessChange, ProcessItem, ProcessStream};
#[cfg(feature = "capture")]
pub use self::survey::Survey;
pub use self::table::ProcessTable;
pub use self::wait::{ExitWaiter, ProcessExit, WaitError, wait_for_exit};
