//! The machine of an event, and the event's own identity.

use std::fmt;

use proc_connector::Event;
use proc_connector::process::BootId;
use serde::{Serialize, Serializer};

use super::moment::Moment;

/// The version of the schema. It is the first in which launches are divided into forks and execs.
const VERSION: &str = "1.7.0";

#[derive(Serialize)]
pub(super) struct Metadata {
    version: &'static str,
    product: Product,
    profiles: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<EventUid>,
    /// The number of the event among those of its CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<u32>,
}

/// The product that reports the events.
#[derive(Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

impl Metadata {
    pub(super) fn new(profiles: &'static [&'static str]) -> Self {
        let name = env!("CARGO_PKG_NAME");
        let product = Product { name, vendor_name: name, version: env!("CARGO_PKG_VERSION") };
        Self { version: VERSION, product, profiles, uid: None, sequence: None }
    }
}

/// The identity of an event, unique for ever. The time is necessary because the sequence numbers of a
/// CPU wrap at 2^32.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventUid {
    Event {
        boot_id: BootId,
        cpu: u32,
        seq: u32,
        timestamp_ns: u64,
        /// Whether it is the end of another process, which the event implies.
        is_other_end: bool,
    },
    Loss {
        boot_id: BootId,
        /// The number of the loss in this run of the program.
        number: u64,
        unix_ns: i128,
    },
}

impl EventUid {
    pub(super) fn of_event(
        event: &Event<'_>,
        boot_id: Option<BootId>,
        is_other_end: bool,
    ) -> Option<Self> {
        let (cpu, seq, timestamp_ns) = (event.cpu(), event.seq(), event.timestamp_ns());
        boot_id.map(|boot_id| Self::Event { boot_id, cpu, seq, timestamp_ns, is_other_end })
    }

    pub(super) fn of_loss(number: u64, moment: Moment, boot_id: Option<BootId>) -> Option<Self> {
        boot_id.map(|boot_id| Self::Loss { boot_id, number, unix_ns: moment.unix_ns() })
    }
}

impl fmt::Display for EventUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { boot_id, cpu, seq, timestamp_ns, is_other_end } => {
                write!(f, "{boot_id}.{cpu}.{seq}.{timestamp_ns}")?;
                f.write_str(if *is_other_end { ".end" } else { "" })
            }
            Self::Loss { boot_id, number, unix_ns } => {
                write!(f, "{boot_id}.lost.{number}.{unix_ns}")
            }
        }
    }
}

impl Serialize for EventUid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The machine. The schema requires a type, and one of several identifiers.
#[derive(Serialize)]
pub(super) struct Device<'a> {
    /// "Unknown".
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    /// "Unknown", if the host name is.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_uid: Option<BootId>,
    os: Os,
}

#[derive(Serialize)]
struct Os {
    name: &'static str,
    type_id: u8,
}

impl<'a> Device<'a> {
    pub(super) fn new(hostname: Option<&'a str>, boot_uid: Option<BootId>) -> Self {
        let name = hostname.is_none().then_some("Unknown");
        Self { type_id: 0, hostname, name, boot_uid, os: Os { name: "Linux", type_id: 200 } }
    }
}
