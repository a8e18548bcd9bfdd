//! Process events of this machine, from the kernel, as they happen.
//!
//! Linux reports forks, execs, exits, changes of ids and names, tracers and core dumps on its
//! netlink connector (`cn_proc.h`). This crate listens there: [`ProcConnector::builder`] opens a
//! listener that the kernel has acknowledged, and [`ProcConnector::recv_batch`] delivers events and
//! losses in the order of the stream.
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
//!                 Payload::Exit(e) => println!("{} ended: {}", e.process_tgid(), e.status()),
//!                 Payload::Exec(e) => println!("{} runs a new program", e.process_tgid()),
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
//! # Events
//!
//! [`Event`] borrows what the kernel sent and has all of it; [`ProcEvent`] is its owned form. The
//! kernel calls a thread's id `pid` and a process's id `tgid`, and so does this crate: where the two
//! are equal, the event is about a process's first thread. Three things surprise most:
//!
//! - A new thread is a fork whose parent is the *parent of its process*.
//! - `exit_signal` is what the parent is told, not what the process died of; [`ExitStatus`] knows
//!   that.
//! - When a thread other than the first executes a program, the first one's exit is reported under
//!   the id that goes on living.
//!
//! # Transports
//!
//! | | [`Transport::Ring`] | [`Transport::Socket`] |
//! |---|---|---|
//! | takes | Linux 5.8, `CAP_BPF` | `CAP_NET_ADMIN` before Linux 6.6, then nothing |
//! | reading an event costs | some 15 ns | close to a microsecond |
//! | 8 MiB hold | 95,000 events | 10,000 events |
//! | can say who acted | yes, with [`Builder::context`] | no |
//! | forged events | recognised in part | recognised |
//!
//! [`Transport::Auto`], the default, takes the ring where it works; [`ProcConnector::stats`] says
//! which it is, and why not the ring. Everything else is the same over both.
//!
//! The ring is filled by a small program that this crate assembles and loads into the kernel, which
//! runs it in the task that makes an event. It refuses what is not exactly an event in shape, and
//! execs, exits, changes of ids and names and core dumps that name another process than the one that
//! runs it. It cannot see who sent a datagram, so a process with `CAP_NET_ADMIN` can still forge
//! forks and ptrace events, and such about itself: whoever has to exclude that takes the socket.
//!
//! # Processes
//!
//! An event has ids, and by the time one looks they may be another process's. The feature `process`
//! brings a table of all processes that keeps up with the stream: who each is, what it runs, whose it
//! is, what container it is in, who made it, how long it lived. Its module, `process`, says how.
//!
//! # Containers and namespaces
//!
//! The kernel tells events of all processes, in whatever namespaces they are, and only to listeners
//! in the initial ones: ids are those of the initial pid namespace, users those of the initial user
//! namespace. An agent that runs in a container has to share the host's pid and network namespaces
//! (for Docker: `--pid=host --network=host`) and, for the ring, have `CAP_BPF` and `CAP_NET_ADMIN`;
//! [`Builder::open`] says which is missing. What is in a container is told by its cgroup: the
//! [`cgroup_id`](Context::cgroup_id) of a context, and the path and the container's id of a process
//! in the table.
//!
//! # Losses
//!
//! What finds no room in the buffer is lost. [`Received::Lost`] stands where that happened, with the
//! kernel's count, and [`ProcConnector::stats`] has the totals. A program that keeps a picture of
//! the machine's processes has to look at `/proc` again after one. Larger buffers
//! ([`Builder::receive_buffer_events`]) and filters ([`Builder::filter`]) make losses rarer.
//!
//! # Waking up
//!
//! A reader that is woken for each event costs the processes that make them as much as itself. So
//! while events keep coming, `recv_batch` sleeps for [`Builder::coalesce`] between batches, and
//! only after a sleep in which nothing came does it ask to be woken, which then happens at the first
//! event. The adapters for runtimes do the same.
//!
//! # Descriptors
//!
//! [`ProcConnector`] implements `AsFd` and `AsRawFd` for event loops: **while anything is unread, the
//! descriptor is readable.** That holds over both transports, for code that receives until nothing is
//! left, for code that receives one event each time the descriptor is readable, and for
//! edge-triggered loops such as tokio's `AsyncFd`, which see a change with each event that arrives
//! after a receive. A connector from [`ProcConnector::new`] behaves as one of 0.1.5: its descriptor is
//! the socket.
//!
//! A child of `fork(2)` inherits the descriptors and shares the queue with its parent: an event that
//! one receives, the other does not. Dropping the connector in the child does not end the parent's
//! events. A child that needs events of its own opens a connector of its own.
//!
//! # When nothing comes
//!
//! [`Builder::open`] fails with the cause: no permission, a namespace that gets no events, a kernel
//! without the connector. [`diagnose`] gathers all there is to know.
//!
//! # Other systems
//!
//! All of this compiles elsewhere too, but for the adapters to runtimes and what waits for a
//! descriptor. Parsing works; [`Builder::open`] fails with [`Error::NotLinux`].
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `tokio` | `ProcConnector::into_tokio` |
//! | `async-io` | `ProcConnector::into_async_io` |
//! | `serde` | [`ProcEvent`], [`Lost`], [`EventMask`], [`ExitStatus`] as data, [`Event`] and [`Diagnosis`] to write |
//! | `capture` | `capture`: files of events, to be written and read |
//! | `process` | `process`: the processes of the machine, by name |
//! | `cli` | the program `proc-connector` |

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(target_os = "linux")]
mod builder;
#[cfg(feature = "capture")]
pub mod capture;
mod clock;
mod compat;
#[cfg(target_os = "linux")]
mod connector;
#[cfg(target_os = "linux")]
mod diagnose;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(
    target_os = "linux",
    allow(dead_code, unreachable_pub, reason = "its tests run anywhere")
)]
mod elsewhere;
mod error;
mod finding;
// cargo-fuzz sets the cfg: no build that is used has this.
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
#[doc(hidden)]
pub mod fuzzing {
    //! What fuzz targets need of the inside.
    pub use crate::transport::{FakeRing, Seen};
}
#[cfg(target_os = "linux")]
mod handshake;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod namespace;
mod proc_event;
#[cfg(target_os = "linux")]
mod proc_mount;
#[cfg(feature = "process")]
pub mod process;
#[cfg(all(feature = "cli", target_os = "linux"))]
#[doc(hidden)]
pub mod program;
#[cfg(target_os = "linux")]
mod received;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
mod runtime;
#[cfg(feature = "serde")]
mod serde_forms;
#[cfg(target_os = "linux")]
mod shutdown;
#[cfg(target_os = "linux")]
mod stash;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is received"))]
mod stats;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is received"))]
mod stream;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod sys;
#[cfg(target_os = "linux")]
mod time_namespace;
#[cfg(target_os = "linux")]
mod transport;
mod transport_kind;

#[cfg(target_os = "linux")]
pub use builder::Builder;
pub use clock::WallClock;
pub use compat::{NetlinkMessageIter, parse_cn_msg, parse_netlink_message};
#[cfg(target_os = "linux")]
pub use connector::ProcConnector;
#[cfg(target_os = "linux")]
pub use diagnose::diagnose;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Batch, Builder, ProcConnector, Shutdown, diagnose};
pub use error::{Error, Namespace, Result};
pub use finding::{Diagnosis, Finding, Verdict};
pub use proc_connector_core::{
    Args, Context, Event, EventMask, ExitStatus, Filter, ParseError, Payload, TooManyTgids,
    UnknownEventName, signal_name,
};
pub use proc_event::ProcEvent;
#[cfg(target_os = "linux")]
pub use received::Batch;
#[cfg(all(target_os = "linux", feature = "async-io"))]
pub use runtime::AsyncIo;
#[cfg(all(target_os = "linux", feature = "tokio"))]
pub use runtime::Tokio;
#[cfg(all(target_os = "linux", any(feature = "tokio", feature = "async-io")))]
pub use runtime::{AsyncConnector, Readiness};
#[cfg(target_os = "linux")]
pub use shutdown::Shutdown;
pub use stats::Stats;
pub use stream::{LossCause, Lost, Received};
pub use transport_kind::{NoRing, Transport};

/// The parser underneath, for offline use.
pub use proc_connector_core as core;
