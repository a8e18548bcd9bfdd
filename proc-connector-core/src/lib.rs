//! A parser for the process events of Linux's netlink connector: bytes in, events out.
//!
//! The kernel reports forks, execs, exits and a few more changes of a process as datagrams of
//! `NETLINK_CONNECTOR` sockets. This crate reads such datagrams wherever they come from: a live
//! socket, a capture file, another machine with another byte order, a fuzzer. It does no I/O,
//! allocates nothing, needs no `std` and contains no unsafe code.
//!
//! The layers mirror the wire, and each can be used alone:
//!
//! | layer | module | from | gives |
//! |---|---|---|---|
//! | netlink messages | [`netlink`] | a buffer | [`netlink::Messages`] |
//! | connector messages | [`cn_msg`] | a netlink payload | [`CnMsg`] |
//! | process events | [`proc_event`] | a connector payload | [`Event`], [`Ack`] |
//! | all of them | [`Notifications`] | a buffer | [`Notification`] |
//!
//! # Example
//!
//! ```
//! use proc_connector_core::{EventData, EventRecord, Notification, Notifications, Payload};
//!
//! // What the kernel would send when process 7 exits with status 3.
//! let record = EventRecord {
//!     seq: 41,
//!     cpu: 1,
//!     timestamp_ns: 1_000,
//!     data: EventData::Exit {
//!         process_pid: 7,
//!         process_tgid: 7,
//!         exit_code: 3 << 8,
//!         exit_signal: 17,
//!         parent_pid: 1,
//!         parent_tgid: 1,
//!     },
//! };
//! let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
//! let len = record.encode_native(&mut datagram)?;
//!
//! for notification in Notifications::new(&datagram[..len]) {
//!     let Notification::Event(event) = notification? else { continue };
//!     let Payload::Exit(exit) = event.payload() else { continue };
//!     assert_eq!((event.cpu(), exit.process_tgid()), (1, 7));
//!     assert_eq!(exit.status().to_string(), "exit 3");
//!     assert_eq!(exit.parent_tgid(), Some(1));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Byte order
//!
//! Everything that reads or writes is generic over a [`ByteOrder`] and defaults to the host's
//! ([`NativeEndian`]). A capture from a big-endian machine is read with
//! `Notifications::<BigEndian>::with_order(bytes)`.
//!
//! # Errors
//!
//! No input panics and no input loops for ever. A [`ParseError`] says which layer could not be
//! read, at which offset, how many bytes it needed and how many there were. Iterators go on after
//! an error inside a message whose end is known, and stop after one that hides where the next
//! message starts.
//!
//! # Features
//!
//! `serde`, off by default, writes [`Event`]s, and writes and reads [`EventMask`], [`ExitStatus`] and
//! [`ParseError`]. It needs neither `std` nor an allocator.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "testing")]
extern crate alloc;

pub mod cn_msg;
pub mod context;
pub mod filter;
pub mod netlink;
pub mod proc_event;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

mod encode;
mod error;
mod loss;
mod mask;
mod notification;
mod request;
#[cfg(feature = "serde")]
mod serde_event;
#[cfg(feature = "serde")]
mod serde_mask;
mod status;

pub use cn_msg::CnMsg;
pub use context::{Args, Context};
pub use encode::{EventData, EventRecord};
pub use error::{EncodeError, Layer, ParseError};
pub use filter::{Filter, TooManyTgids};
pub use loss::CpuSequence;
pub use mask::{EventMask, UnknownEventName};
pub use notification::{Control, Notification, Notifications};
pub use proc_event::{Ack, Event, Payload, ProcessIds};
pub use request::{McastOp, Request, RequestBytes};
pub use status::{ExitStatus, signal_name};
pub use zerocopy::byteorder::{BigEndian, ByteOrder, LittleEndian, NativeEndian};
