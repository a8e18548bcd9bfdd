//! Masks for serde: text in human-readable formats, the kernel's bits in others.

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::mask::EventMask;

impl Serialize for EventMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u32(self.bits())
        }
    }
}

impl<'de> Deserialize<'de> for EventMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Names)
        } else {
            u32::deserialize(deserializer).map(Self::from_bits_retain)
        }
    }
}

/// Reads a list of kinds without a copy, which would need an allocator.
struct Names;

impl Visitor<'_> for Names {
    type Value = EventMask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a comma-separated list of event kinds")
    }

    fn visit_str<E: Error>(self, names: &str) -> Result<EventMask, E> {
        names.parse().map_err(|_| E::invalid_value(Unexpected::Str(names), &self))
    }
}
