//! Process events of this machine, from the kernel, as they happen.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
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
