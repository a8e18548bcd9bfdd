//! The serialized form of process names, which may contain any bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// `ProcEvent::Comm::comm`: always as text, and also as bytes if the text does not represent them.
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
        let is_exact = padded(name.as_bytes()) == Some(*comm);
        Comm { comm: name, raw_comm: (!is_exact).then_some(*comm) }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 16], D::Error> {
        let Comm { comm, raw_comm } = Comm::deserialize(deserializer)?;
        if let Some(bytes) = raw_comm {
            return Ok(bytes);
        }
        padded(cut_if_inexact(&comm).as_bytes())
            .ok_or_else(|| D::Error::custom(format_args!("comm {comm:?} has more than 16 bytes")))
    }

    /// Cuts a text with replacement characters, which have 3 bytes each, to 16 bytes. Without
    /// `raw_comm` the exact name is lost anyway.
    fn cut_if_inexact(text: &str) -> &str {
        if !text.contains(char::REPLACEMENT_CHARACTER) {
            return text;
        }
        let most = (0..=16).rev().find(|&len| text.is_char_boundary(len));
        text.get(..most.unwrap_or_default()).unwrap_or(text)
    }

    /// The name with NULs up to 16 bytes. `None` if it is longer.
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
