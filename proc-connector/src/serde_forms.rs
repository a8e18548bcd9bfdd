//! How names of any bytes are represented as data.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// `ProcEvent::Comm::comm`: a text that is always there, and all bytes where it does not say them.
pub(crate) mod comm {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;

    use super::{Comm, Deserialize, Serialize};

    pub(crate) fn serialize<S: Serializer>(
        comm: &[u8; 16],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        let says_all = padded(name.as_bytes()) == Some(*comm);
        Comm { comm: name, raw_comm: (!says_all).then_some(*comm) }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 16], D::Error> {
        let Comm { comm, raw_comm } = Comm::deserialize(deserializer)?;
        if let Some(bytes) = raw_comm {
            return Ok(bytes);
        }
        padded(readable(&comm).as_bytes())
            .ok_or_else(|| D::Error::custom(format_args!("comm {comm:?} has more than 16 bytes")))
    }

    /// What to read of a text. One in which bytes were replaced, by who wrote no `raw_comm`, may have
    /// become longer than the bytes were, and is not exact anyway.
    fn readable(text: &str) -> &str {
        if !text.contains(char::REPLACEMENT_CHARACTER) {
            return text;
        }
        let most = (0..=16).rev().find(|&len| text.is_char_boundary(len));
        text.get(..most.unwrap_or_default()).unwrap_or(text)
    }

    fn padded(name: &[u8]) -> Option<[u8; 16]> {
        let mut comm = [0; 16];
        comm.get_mut(..name.len())?.copy_from_slice(name);
        Some(comm)
    }
}

#[derive(Serialize, Deserialize)]
struct Comm<'a> {
    comm: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_comm: Option<[u8; 16]>,
}
