//! Capture files: record events and losses, and read them on any machine.
//!
//! [`Writer`] creates pcapng files that Wireshark and its tools can read. [`Reader`] reads these
//! files, even if such a tool has edited them. It also reads other pcapng and pcap files of netlink
//! packets, and plain netlink messages. It works on any operating system, for captures of either
//! byte order.
//!
//! ```
//! use proc_connector::Received;
//! use proc_connector::capture::{Reader, Writer};
//! # use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
//! # use std::time::{Duration, SystemTime};
//! # let record = EventRecord {
//! #     seq: 0,
//! #     cpu: 0,
//! #     timestamp_ns: 5,
//! #     data: EventData::Exec { process_pid: 7, process_tgid: 7 },
//! # };
//! # let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
//! # record.encode_native(&mut datagram)?;
//! # let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
//! #     panic!("an event")
//! # };
//! # let received = Received::Event(event);
//! # let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
//!
//! let mut file = Vec::new();
//! let mut writer = Writer::new(&mut file)?;
//! writer.write(&received, time)?; // from a batch of the connector, with its `WallClock`
//! writer.finish()?;
//!
//! let mut reader = Reader::new(&file[..])?;
//! while let Some(recorded) = reader.next()? {
//!     assert_eq!(recorded.time, Some(time));
//!     match recorded.received {
//!         Received::Event(event) => println!("{:?}", event.payload()),
//!         Received::Lost(lost) => println!("lost {lost}"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//!
//! A pcapng file with one interface of the link type `NETLINK` (253). A packet consists of the
//! 16-byte header of that link type, which contains the netlink protocol, and a datagram as the
//! kernel sends it, in the byte order of the recording machine. Packet time stamps are the time of
//! day of the event in nanoseconds; the event's own time stamp, which counts from the machine's
//! start, is in the datagram. The next packet after a loss contains the number of lost events in
//! its option `epb_dropcount`. If no packet follows, the number is the increase of `isb_ifdrop` in
//! the next interface statistics block. A comment contains the cause.
//!
//! A comment of a packet has the [context](proc_connector_core::Context) of its event as text. Packets with an
//! empty netlink message have comments with the processes that existed at a moment: [`Recorded::notes`]. The
//! guide describes both.
//!
//! # Other programs' files
//!
//! [`Reader`] follows the rules of the pcapng draft for readers. It skips blocks and options that
//! events do not depend on, whatever their contents: names in any encoding, name resolution,
//! decryption secrets, custom and unknown blocks. Losses are the counts in enhanced and obsolete
//! packet blocks, and any excess in interface statistics. A packet that cannot be read, because it
//! is damaged or was captured only in part, causes an error [of one
//! packet](Error::is_of_one_packet), after which reading can continue.
//!
//! Supported link types are `NETLINK`, and `LINUX_SLL` and `LINUX_SLL2` of captures on all
//! interfaces. Supported variants of pcap are microseconds, nanoseconds, the modified format of a
//! patched `tcpdump`, and versions before 2.4. Compressed files are recognised, but not
//! decompressed.
//!
//! # `nlmon` interfaces
//!
//! `tcpdump` and `dumpcap` capture netlink packets on these interfaces, but no process events: the
//! kernel passes only a fixed list of protocols to them, without the connector
//! (`netlink_filter_tap` in `net/netlink/af_netlink.c`; observed on 6.1 and 6.12).
//! [`Reader::skipped`] counts the packets of other protocols.
//!
//! # Authenticity
//!
//! A live connector rejects messages that a process sends in the kernel's name. A capture does not
//! contain the sender, so a forged message cannot be recognised.

mod bare;
mod byte_order;
mod comment;
mod cooked;
mod css_sets;
mod error;
mod format;
mod input;
mod loss;
mod note;
mod origin;
mod other_file;
mod packet;
mod packet_block;
mod pcap;
mod pcapng;
mod reader;
mod writer;

pub use error::{Error, Part, Reason};
pub use format::Format;
pub use note::Note;
#[cfg(feature = "process")]
pub(crate) use note::{Kind, Listed, Scan};
pub use origin::Origin;
pub use reader::{Reader, Recorded};
pub use writer::Writer;
