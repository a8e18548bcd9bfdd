//! Response files: `@FILE` stands for the arguments in the file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The most bytes of a response file, and the most files that lead to each other.
const MAX_LEN: u64 = 4 << 20;
const MAX_DEPTH: usize = 8;

/// The arguments, with the contents of response files, and whether some could not be read. Such a file is
/// kept as `@FILE`: a build may have removed it.
pub(super) fn expanded(words: &[&[u8]], directory: &Path) -> (Vec<Vec<u8>>, bool) {
    let (mut all, mut is_partial) = (Vec::new(), false);
    for word in words {
        is_partial |= !add(word, directory, MAX_DEPTH, &mut all);
    }
    (all, is_partial)
}

/// Returns whether all response files could be read.
fn add(word: &[u8], directory: &Path, depth: usize, all: &mut Vec<Vec<u8>>) -> bool {
    let contents = word.strip_prefix(b"@").filter(|_| depth > 0).and_then(|name| {
        // An absolute name replaces the directory.
        read(&directory.join(OsStr::from_bytes(name)))
    });
    match contents {
        None => {
            all.push(word.to_vec());
            !word.starts_with(b"@")
        }
        Some(contents) => {
            let mut is_whole = true;
            for word in split(&contents) {
                is_whole &= add(&word, directory, depth - 1, all);
            }
            is_whole
        }
    }
}

/// Reads a regular file. Opening a pipe would wait for its writer.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return None;
    }
    let mut contents = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut contents).ok()?;
    Some(contents)
}

/// Splits text into arguments as GNU programs do (`buildargv` in libiberty): white space separates them,
/// quotes of both kinds group, and a backslash quotes the next byte, in quotes as well.
pub(super) fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (byte, Some(open)) if byte == open => quote = None,
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, None) if byte.is_ascii_whitespace() || byte == b'\x0b' => {
                words.extend(word.take());
            }
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}
