//! Files that are no captures, recognized so that the error can name them.

use super::error::Error;

/// Bytes that a file is recognized by. A shorter one is too short for anything.
const START: usize = 24;

/// Compressed files: the name, how they start, and the command that unpacks them.
const COMPRESSED: [(&str, &[u8], &str); 9] = [
    ("gzip", b"\x1f\x8b", "gzip -dc"),
    ("zstd", b"\x28\xb5\x2f\xfd", "zstd -dc"),
    ("xz", b"\xfd7zXZ\0", "xz -dc"),
    ("bzip2", b"BZh", "bzip2 -dc"),
    ("lz4", b"\x04\x22\x4d\x18", "lz4 -dc"),
    ("lzip", b"LZIP", "lzip -dc"),
    ("lzop", b"\x89LZO\0", "lzop -dc"),
    ("zip", b"PK\x03\x04", "unzip -p"),
    ("compress", b"\x1f\x9d", "gzip -dc"),
];

/// Others that are easily mistaken for captures, and how they start.
const OTHERS: [(&str, &[u8]); 8] = [
    ("an ELF program or library", b"\x7fELF"),
    ("a systemd journal", b"LPKSHHRH"),
    ("a perf recording", b"PERFILE2"),
    ("a snoop capture", b"snoop\0\0\0"),
    ("an SQLite database", b"SQLite format 3\0"),
    ("a PDF document", b"%PDF-"),
    ("a PNG image", b"\x89PNG\r\n\x1a\n"),
    ("a 7z archive", b"7z\xbc\xaf\x27\x1c"),
];

/// The error for a file that starts so and is no capture. More than [`START`] bytes make no
/// difference: how many are read at once depends on where they come from.
pub(super) fn recognize(start: &[u8]) -> Error {
    let Some(start) = start.get(..START) else { return Error::UnknownFormat };
    if let Some((name, _, unpack)) =
        COMPRESSED.iter().find(|(_, magic, _)| start.starts_with(magic))
    {
        return Error::Compressed { format: name, unpack };
    }
    if let Some((name, _)) = OTHERS.iter().find(|(_, magic)| start.starts_with(magic)) {
        return Error::OtherFile { kind: name };
    }
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    // In whatever encoding, most letters of a text are ASCII's.
    let ascii = start.iter().filter(|byte| byte.is_ascii()).count();
    if start.iter().any(is_control) || ascii < start.len() * 3 / 4 {
        return Error::UnknownFormat;
    }
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => {
            Error::OtherFile { kind: "JSON, which this program writes but does not read" }
        }
        Some(b'<') => Error::OtherFile { kind: "XML, HTML or SVG" },
        _ => Error::OtherFile { kind: "a text file" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_start_is_anothers() {
        let compressed = COMPRESSED.iter().map(|(_, magic, _)| *magic);
        let starts: Vec<&[u8]> = compressed.chain(OTHERS.iter().map(|(_, magic)| *magic)).collect();
        for (place, start) in starts.iter().enumerate() {
            assert!(!starts[place + 1..].iter().any(|other| other.starts_with(start)), "{start:?}");
        }
    }
}
