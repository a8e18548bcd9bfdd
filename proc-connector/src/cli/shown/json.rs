//! JSON with `\u` escapes for every invisible character in strings, so that a terminal shows it safely.
//! Parsers read the same text.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::{is_plain, is_seen};

/// Writes a value as JSON on one line, without a line feed.
pub(crate) fn write(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(output, Seen)).map_err(io::Error::from)
}

/// Writes a value as JSON, and a line feed.
pub(crate) fn line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    write(output, value)?;
    output.write_all(b"\n")
}

/// Compact JSON with more escapes than JSON requires.
struct Seen;

impl Formatter for Seen {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        if is_plain(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(|letter| !is_seen(letter)) {
            let (seen, behind) = rest.split_at(at);
            writer.write_all(seen.as_bytes())?;
            let mut letters = behind.chars();
            if let Some(letter) = letters.next() {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = letters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}
