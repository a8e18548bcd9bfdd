//! Process events from the Linux kernel, as they happen: forks, execs, exits, core dumps, ptrace,
//! and changes of user, group, session and name.
//!
//! Most programs need processes rather than ids. With the feature `process`,
//! `process::ProcessStream` yields what happens to each process, with its program, arguments, user
//! and exit status, and waits for exits. The chapter on [processes](guide::processes) introduces it.
//!
//! Without that feature, this crate delivers the kernel's events. [`ProcConnector::builder`] opens a
//! subscription to the kernel's netlink connector, and [`ProcConnector::recv_batch`] returns events
//! and losses in the order of the stream.
//!
//! ```no_run
//! use proc_connector::{EventMask, Filter, Payload, ProcConnector, Received};
//!
//! let wanted = Filter::new(EventMask::EXEC | EventMask::EXIT).processes_only();
//! let mut events = ProcConnector::builder().filter(wanted).open()?;
//! loop {
//!     for received in events.recv_batch()? {
//!         match received {
//!             Received::Event(event) => match event.payload() {
//!                 Payload::Exec(e) => println!("{} executed a program", e.process_tgid()),
//!                 Payload::Exit(e) => println!("first thread of {}: {}", e.process_tgid(), e.status()),
//!                 _ => {}
//!             },
//!             Received::Lost(lost) => eprintln!("lost {lost}"),
//!         }
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), proc_connector::Error>(())
//! ```
//!
//! # Main types
//!
//! | type | purpose |
//! |---|---|
//! | `process::ProcessStream` | the changes of all processes |
//! | `process::ExitWaiter` | waits for processes to end |
//! | [`ProcConnector`], [`Builder`] | open a subscription and receive from it |
//! | [`Filter`], [`EventMask`] | select events inside the kernel |
//! | [`Selector`] | evaluates a filter in user space, with its conditions on tasks |
//! | [`Received`], [`Lost`] | an item of the stream: an event or a loss |
//! | [`Event`], [`Payload`], [`Context`] | a borrowed event, its fields by kind, and the task that caused it |
//! | [`OwnedEvent`] | the same event, owned: for channels, and from asynchronous streams |
//! | [`ProcEvent`] | an owned event in the form of version 0.1.5, without CPU, sequence number and context |
//! | [`ExitStatus`] | how a process ended |
//! | [`Transport`] | how events reach the reader: through shared memory or a socket |
//! | [`Stats`] | totals, buffer size, the transport in use |
//! | [`Shutdown`] | ends a blocked receive from another thread |
//! | [`WallClock`] | converts time stamps to the time of day |
//! | [`diagnose`], [`Error`] | why listening fails, and the remedy |
//!
//! # Features
//!
//! All are off by default.
//!
//! | feature | adds |
//! |---|---|
//! | `tokio` | `ProcConnector::into_tokio` |
//! | `async-io` | `ProcConnector::into_async_io` |
//! | `process` | the module `process`: a stream and a table of all processes, and waiting for exits |
//! | `capture` | the module `capture`: writes and reads files of events |
//! | `serde` | serialization of events, [`Lost`], [`EventMask`], [`ExitStatus`] and [`Diagnosis`] |
//! | `cli` | the program `proc-connector` |
//!
//! # Guide
//!
//! The [guide] has chapters on [events](guide::events), [receiving](guide::receiving),
//! [transports](guide::transports), [losses](guide::losses), [containers and
//! permissions](guide::containers), [processes](guide::processes), [captures](guide::captures),
//! [the program](guide::commands), [its JSON](guide::json), [performance](guide::performance),
//! [limits](guide::limits) and the [migration](guide::migration) from versions 0.1 and 0.3.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "capture")]
pub mod capture;
mod clock;
mod compat;
mod diagnosis;
mod error;
mod event;
#[cfg(doc)]
pub mod guide;
#[cfg(target_os = "linux")]
mod live;
mod owned;
#[cfg(feature = "process")]
pub mod process;
mod selector;
#[cfg(feature = "serde")]
mod serde_forms;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is received"))]
mod stats;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is received"))]
mod stream;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod sys;
mod transport_kind;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(
    target_os = "linux",
    allow(dead_code, unreachable_pub, reason = "its tests run anywhere")
)]
mod unsupported;

// The only choice between Linux and other systems: modules outside `live` that need the system,
// such as `clock` and `capture::origin`, reach it through `crate::platform`.
#[cfg(target_os = "linux")]
use live as platform;
#[cfg(not(target_os = "linux"))]
use unsupported as platform;

pub use clock::WallClock;
pub use compat::{NetlinkMessageIter, parse_cn_msg, parse_netlink_message};
pub use diagnosis::{Diagnosis, Finding, Verdict};
pub use error::{Error, Namespace, Result};
pub use event::ProcEvent;
#[cfg(all(target_os = "linux", feature = "async-io"))]
pub use live::AsyncIo;
#[cfg(all(target_os = "linux", feature = "tokio"))]
pub use live::Tokio;
#[cfg(all(target_os = "linux", feature = "cli"))]
#[doc(hidden)]
pub use live::program;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
pub use live::{AsyncConnector, Readiness};
pub use owned::{OwnedEvent, OwnedReceived};
pub use platform::{Batch, Builder, ProcConnector, Shutdown, diagnose};
pub use proc_connector_core::{
    Args, Comm, Context, Coredump, Event, EventMask, Exec, Exit, ExitStatus, Filter, Fork, Gid,
    KernelPath, ParseError, Payload, ProcessIds, ProgramFile, Ptrace, Sid, TooManyTgids, Uid,
    UnknownEventName, Usage, signal_name,
};
pub use selector::{Selector, TaskProperties, UnknownTasks};
pub use stats::{ShareLoss, Stats};
pub use stream::{LossCause, Lost, Received};
pub use transport_kind::{NoRing, Transport};

/// The crate `proc-connector-core`, which parses events on any system.
pub use proc_connector_core as parser;

// The tests of this repository enable this feature.
#[cfg(all(feature = "testing", target_os = "linux"))]
#[doc(hidden)]
pub mod testing {
    pub use crate::sys::behaviour;
}

// Only cargo-fuzz sets the cfg `fuzzing`.
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
#[doc(hidden)]
pub mod fuzzing {
    //! Internals for the fuzz targets.
    pub use crate::live::{FakeRing, Seen};
}
