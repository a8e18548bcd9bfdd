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
//! # Losses
//!
//! The kernel drops events while the receive buffer is full. [`Received::Lost`] stands where that
//! happened, with the kernel's count, and [`ProcConnector::stats`] has the totals. A program that
//! keeps a picture of the machine's processes has to look at `/proc` again after one. Larger
//! buffers ([`Builder::receive_buffer_events`]) and filters ([`Builder::filter`]) make losses rarer.
//!
//! # Waking up
//!
//! A reader that is woken for each event costs the processes that make them as much as itself. So
//! while events keep coming, `recv_batch` sleeps for [`Builder::coalesce`] between batches, and
//! only after a sleep in which nothing came does it ask the kernel to be woken, which then happens
//! at the first event.
//!
//! # When nothing comes
//!
//! [`Builder::open`] fails with the cause: no permission, a namespace that gets no events, a kernel
//! without the connector. [`diagnose`] gathers all there is to know.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `tokio` | `ProcConnector::into_tokio` |
//! | `async-io` | `ProcConnector::into_async_io` |
//! | `serde` | [`Diagnosis`] can be serialised |
//! | `capture` | `capture`: files of events, to be written and read |
//! | `cli` | the program `proc-connector` |

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
#[cfg(feature = "capture")]
pub mod capture;
mod clock;
mod compat;
mod connector;
mod diagnose;
mod error;
mod handshake;
mod kernel;
mod namespace;
mod proc_event;
mod received;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod runtime;
mod shutdown;
mod stash;
mod stats;
#[allow(unsafe_code)]
mod sys;
mod transport;

pub use builder::Builder;
pub use clock::WallClock;
pub use compat::{NetlinkMessageIter, parse_cn_msg, parse_netlink_message};
pub use connector::ProcConnector;
pub use diagnose::{Diagnosis, Finding, Verdict, diagnose};
pub use error::{Error, Namespace, Result};
pub use proc_connector_core::{
    Event, EventMask, ExitStatus, Filter, ParseError, Payload, TooManyTgids, UnknownEventName,
    signal_name,
};
pub use proc_event::ProcEvent;
pub use received::{Batch, LossCause, Lost, Received};
#[cfg(feature = "async-io")]
pub use runtime::AsyncIo;
#[cfg(feature = "tokio")]
pub use runtime::Tokio;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub use runtime::{AsyncConnector, Readiness};
pub use shutdown::Shutdown;
pub use stats::Stats;

/// The parser underneath, for offline use.
pub use proc_connector_core as core;
