//! Recognises common files that are not captures, so that the error can name them.

use super::error::Error;

/// The number of bytes used for recognition. A shorter file is not recognised.
const START_LEN: usize = 24;

/// Compression formats: name, magic number, and the command that decompresses a file.
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

/// Files that may be mistaken for captures, with their magic numbers.
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

/// The error for a file that is not a capture and begins with `start`. Only the first [`START_LEN`]
/// bytes are examined, so that the result does not depend on the number of bytes in the window.
pub(super) fn recognize(start: &[u8]) -> Error {
    let Some(start) = start.get(..START_LEN) else { return Error::UnknownFormat };
    if let Some((name, _, unpack)) =
        COMPRESSED.iter().find(|(_, magic, _)| start.starts_with(magic))
    {
        return Error::Compressed { format: name, unpack };
    }
    if let Some((name, _)) = OTHERS.iter().find(|(_, magic)| start.starts_with(magic)) {
        return Error::OtherFile { kind: name };
    }
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    // In every common encoding, most characters of a text are ASCII.
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
    fn no_magic_number_is_a_prefix_of_another() {
        let compressed = COMPRESSED.iter().map(|(_, magic, _)| *magic);
        let magics: Vec<&[u8]> = compressed.chain(OTHERS.iter().map(|(_, magic)| *magic)).collect();
        for (index, magic) in magics.iter().enumerate() {
            assert!(!magics[index + 1..].iter().any(|other| other.starts_with(magic)), "{magic:?}");
        }
    }
}
