//! JSON with `\u` escapes for every invisible character in strings, so that a terminal shows it safely.
//! Parsers read the same text.

mod serializer;
mod string;

use std::io::{self, Write};

use serde::Serialize;

use self::serializer::Serializer;

/// Writes a value as JSON on one line, without a line feed.
pub(crate) fn write(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = Vec::new();
    append(&mut text, value)?;
    output.write_all(&text)
}

/// Writes a value as JSON, and a line feed.
pub(crate) fn line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = Vec::new();
    append(&mut text, value)?;
    text.push(b'\n');
    output.write_all(&text)
}

/// Appends a value as JSON to a buffer.
pub(crate) fn append(buffer: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(Serializer::new(buffer))?)
}

#[cfg(test)]
mod tests;
