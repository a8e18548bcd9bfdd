//! Parser and encoder for the process events of the Linux netlink connector.
//!
//! The kernel reports forks, execs, exits and other changes of processes as datagrams on
//! `NETLINK_CONNECTOR` sockets. This crate reads these datagrams from any source: a live socket, a
//! capture file, a machine with another byte order, a fuzzer. It does no I/O, allocates nothing,
//! needs no `std` and contains no unsafe code.
//!
//! The modules follow the layers of the wire format, and each layer can be used alone:
//!
//! | layer | module | input | output |
//! |---|---|---|---|
//! | netlink messages | [`netlink`] | a buffer | [`netlink::Messages`] |
//! | connector messages | [`cn_msg`] | a netlink payload | [`CnMsg`] |
//! | process events | [`proc_event`] | a connector payload | [`Event`], [`Ack`] |
//! | all layers | [`Notifications`] | a buffer | [`Notification`] |
//!
//! [`Event::encode`] writes an event as it was received; [`EventRecord`] writes one from plain values,
//! in either byte order.
//!
//! # Example
//!
//! ```
//! use proc_connector_core::{EventData, EventRecord, Notification, Notifications, Payload};
//!
//! // The kernel sends this event when process 7 exits with code 3.
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
//! # Recordings
//!
//! `proc-connector record --raw FILE` writes the kernel's datagrams one after another. The whole file is a
//! valid buffer:
//!
//! ```
//! use proc_connector_core::{Control, Notification, Notifications};
//!
//! # use proc_connector_core::{EventData, EventRecord};
//! # let data = EventData::Exec { process_pid: 7, process_tgid: 7 };
//! # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
//! # let len = EventRecord { seq: 41, cpu: 1, timestamp_ns: 5, data }.encode_native(&mut datagram)?;
//! # let overrun = [16, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
//! # let overrun = if cfg!(target_endian = "little") { &overrun[..] } else { &[] };
//! # let file = [&datagram[..len], overrun, &datagram[..len]].concat();
//! // let file = std::fs::read("events.raw")?;
//! let mut events = 0;
//! for notification in Notifications::new(&file) {
//!     match notification? {
//!         Notification::Event(event) => {
//!             println!("{} {:?}", event.timestamp_ns(), event.payload());
//!             events += 1;
//!         }
//!         Notification::Control(Control::Overrun) => println!("events were lost"),
//!         _ => {}
//!     }
//! }
//! assert_eq!(events, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A pcapng file of `record` has the names, arguments and users, too. The module `capture` of the crate
//! `proc-connector` reads it, and yields the same [`Event`] with its [context](Event::context).
//!
//! # Byte order
//!
//! Parsers and encoders are generic over a [`ByteOrder`], by default that of the host
//! ([`NativeEndian`]). `Notifications::<BigEndian>::with_order(bytes)` reads a capture of a big-endian
//! machine.
//!
//! # Errors
//!
//! No input causes a panic or an endless loop. A [`ParseError`] contains the layer that could not be
//! read, its offset, and the bytes needed and available. An iterator continues after an error inside
//! a message, and ends after an error that hides the start of the next message.
//!
//! # Features
//!
//! `serde`, off by default, implements serialization of [`Event`], and serialization and
//! deserialization of [`EventMask`], [`ExitStatus`] and [`ParseError`], without `std`.

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
pub use context::{Args, Context, KernelPath, ProgramFile, Usage};
pub use encode::{EventData, EventRecord};
pub use error::{EncodeError, Layer, ParseError};
pub use filter::{Filter, TooManyTgids};
pub use loss::CpuSequence;
pub use mask::{EventMask, UnknownEventName};
pub use notification::{Control, Notification, Notifications};
pub use proc_event::{
    Ack, Comm, Coredump, Event, Exec, Exit, Fork, Gid, Payload, ProcessIds, Ptrace, Sid, Uid,
};
pub use request::{McastOp, Request, RequestBytes};
#[cfg(feature = "serde")]
#[doc(hidden)]
pub use serde_event::Text;
pub use status::{ExitStatus, signal_name};
pub use zerocopy::byteorder::{BigEndian, ByteOrder, LittleEndian, NativeEndian};
