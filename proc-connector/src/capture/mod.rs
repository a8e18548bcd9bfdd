//! Capture files: events and losses recorded now, here or elsewhere, and read again anywhere.
//!
//! [`Writer`] makes pcapng files that Wireshark and its tools read. [`Reader`] reads those, what such
//! tools make of them, any other pcapng or pcap file of netlink packets, and bare netlink messages;
//! on any operating system, from machines of either byte order.
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
//! pcapng with one interface of the link type `NETLINK` (253). A packet is the 16 bytes of that
//! link type's header, which names the netlink protocol, and a datagram as the kernel sends it, in
//! the byte order of the machine that it came from. Time stamps are nanoseconds: the time of day of
//! the event, beside the event's own time stamp, which counts from the machine's start. A loss is
//! the `epb_dropcount` of the packet after it; one after which nothing came is the difference that
//! the next interface statistics block makes to `isb_ifdrop`. A comment says why.
//!
//! # Other programs' files
//!
//! [`Reader`] follows the rules that the pcapng draft has for readers. Blocks and options that events
//! do not depend on are skipped by their length, whatever they contain: names in any encoding, name
//! resolution, decryption secrets, custom and unknown ones. Losses are the counts of enhanced and
//! obsolete packets, and what statistics report beyond those. A packet that cannot be read, because a
//! part of it only was captured or because it is damaged, is an error [of one
//! packet](Error::is_of_one_packet), after which reading goes on.
//!
//! Link types are `NETLINK`, and `LINUX_SLL` and `LINUX_SLL2` of captures on all interfaces. pcap is
//! read in microseconds, in nanoseconds, in the variant of a patched `tcpdump`, and in the versions
//! before 2.4. Compressed files are recognized, but not unpacked.
//!
//! # Interfaces of the kind `nlmon`
//!
//! `tcpdump` and `dumpcap` capture netlink packets there, but no process events: the kernel shows
//! these interfaces a list of protocols on which the connector is not (`netlink_filter_tap` in
//! `af_netlink.c`; seen on 6.1 and 6.12). [`Reader::skipped`] counts what they captured instead.
//!
//! # What a capture cannot prove
//!
//! A live connector refuses what a process sends in the kernel's name. In a file nothing tells such
//! a datagram from the kernel's.

mod bare;
mod byte_order;
mod cooked;
mod error;
mod format;
mod input;
mod loss;
mod origin;
mod other_file;
mod packet;
mod pcap;
mod pcapng;
mod reader;
mod writer;

pub use error::{Error, Part, Reason};
pub use format::Format;
pub use origin::Origin;
pub use reader::{Reader, Recorded};
pub use writer::Writer;
