//! Identities of processes that are unique for ever.

use std::fmt;
use std::str::FromStr;

/// The random number that the kernel chooses when it starts, as in
/// `/proc/sys/kernel/random/boot_id`.
///
/// ```
/// use proc_connector::process::BootId;
///
/// let boot: BootId = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9".parse()?;
/// assert_eq!(boot.to_string(), "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9");
/// # Ok::<(), proc_connector::process::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId([u8; 16]);

impl BootId {
    /// The boot id with these bytes, in the order of the text.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes in the order of the text.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// The identity of a process: unique among all processes of all machines.
///
/// It does not change when the process executes a program.
///
/// ```
/// use proc_connector::process::ProcessId;
///
/// let text = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9.4711.35000120003";
/// let id: ProcessId = text.parse()?;
/// assert_eq!((id.tgid, id.start_boottime_ns), (4711, 35_000_120_003));
/// assert_eq!(id.to_string(), text);
/// # Ok::<(), proc_connector::process::ParseIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "these three values identify a process")]
pub struct ProcessId {
    /// The run of the kernel.
    pub boot_id: BootId,
    /// The process id.
    pub tgid: u32,
    /// The creation time, in nanoseconds of `CLOCK_BOOTTIME`.
    pub start_boottime_ns: u64,
}

/// A text that is not a [`ProcessId`] or a [`BootId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseIdError {
    expected: &'static str,
}

const BOOT_ID: ParseIdError = ParseIdError { expected: "a boot id of 32 hexadecimal digits" };
const PROCESS_ID: ParseIdError =
    ParseIdError { expected: "BOOT_ID.TGID.START, the id of a process" };

/// Writes 32 hexadecimal digits in the groups of a UUID.
impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        for (place, byte) in self.0.iter().enumerate() {
            // A hyphen precedes the places 4, 6, 8 and 10.
            let at = 2 * place + (place.saturating_sub(2) / 2).min(4);
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 0xf)];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads 32 hexadecimal digits, with or without the groups of a UUID.
impl FromStr for BootId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let is_grouped = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(place, byte)| (byte == b'-') == matches!(place, 8 | 13 | 18 | 23));
        let is_plain = text.len() == 32 && !text.contains('-');
        if !is_grouped && !is_plain {
            return Err(BOOT_ID);
        }
        let mut digits = text.chars().filter(|&digit| digit != '-');
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            for _ in 0..2 {
                let digit = digits.next().and_then(|digit| digit.to_digit(16)).ok_or(BOOT_ID)?;
                #[expect(clippy::cast_possible_truncation, reason = "a digit is less than 16")]
                let digit = digit as u8;
                *byte = *byte << 4 | digit;
            }
        }
        Ok(Self(bytes))
    }
}

/// Writes `BOOT_ID.TGID.START`.
impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.boot_id, self.tgid, self.start_boottime_ns)
    }
}

impl FromStr for ProcessId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut parts = text.split('.');
        let boot_id = parts.next().ok_or(PROCESS_ID)?.parse().map_err(|_| PROCESS_ID)?;
        let tgid = number(parts.next())?;
        let start_boottime_ns = number(parts.next())?;
        if parts.next().is_some() {
            return Err(PROCESS_ID);
        }
        Ok(Self { boot_id, tgid, start_boottime_ns })
    }
}

/// A decimal number without a sign.
fn number<T: FromStr>(text: Option<&str>) -> Result<T, ParseIdError> {
    let digits = text.filter(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(PROCESS_ID)
}

#[cfg(feature = "serde")]
mod serialized {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    use super::{BootId, ProcessId};

    macro_rules! as_text {
        ($type:ty) => {
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                }
            }
        };
    }

    as_text!(BootId);
    as_text!(ProcessId);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9";

    #[test]
    fn a_boot_id_is_read_with_and_without_groups() {
        let boot: BootId = BOOT.parse().expect("a boot id");
        assert_eq!(boot.to_bytes()[..5], [0x0a, 0x1b, 0x2c, 0x3d, 0x4e]);
        assert_eq!(BOOT.replace('-', "").parse(), Ok(boot));
        assert_eq!(boot.to_string(), BOOT);
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in ["", "-", &BOOT[1..], &BOOT.replace('-', "+"), &BOOT.replace('0', "é")] {
            assert_eq!(text.parse::<BootId>(), Err(BOOT_ID), "{text}");
        }
        for rest in ["", ".1", ".1.", ".1.2.", ".1.2.3", ".+1.2", ".1.-2", ".4294967296.1", ". 1.2"]
        {
            let text = format!("{BOOT}{rest}");
            assert_eq!(text.parse::<ProcessId>(), Err(PROCESS_ID), "{text}");
        }
    }
}
