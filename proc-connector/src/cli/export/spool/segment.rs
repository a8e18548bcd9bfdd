//! Reading segments, including damaged ones.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::batch::Content;
use super::format::{BatchHeader, content};

/// A segment that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The length of the file, without an incomplete batch at its end.
    pub(super) bytes: u64,
    /// The records that were appended to the spool before this segment.
    pub(super) total: u64,
}

/// Fills the buffer from a place of the file. Returns fewer bytes at the end of the file.
pub(super) fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The header of the batch at this offset, unless it is damaged or incomplete.
pub(super) fn header_at(file: &File, number: u64, offset: u64) -> io::Result<Option<BatchHeader>> {
    let mut bytes = [0; BatchHeader::LEN];
    let len = read_at_most(file, &mut bytes, offset)?;
    Ok(BatchHeader::read(&bytes[..len], number, offset))
}

/// The offset of the first header at or after `from`, and the header.
pub(super) fn find_header(
    file: &File,
    number: u64,
    mut from: u64,
) -> io::Result<Option<(u64, BatchHeader)>> {
    const CHUNK: usize = 64 << 10;
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = read_at_most(file, &mut chunk, from)?;
        let Some(last) = len.checked_sub(BatchHeader::LEN) else { return Ok(None) };
        for start in 0..=last {
            let bytes = &chunk[start..len];
            if bytes.starts_with(&BatchHeader::MAGIC) {
                let offset = from + start as u64;
                if let Some(header) = BatchHeader::read(bytes, number, offset) {
                    return Ok(Some((offset, header)));
                }
            }
        }
        from += last as u64 + 1;
    }
}

/// The body of a batch, unless it is damaged or incomplete.
pub(super) fn body(file: &File, header: &BatchHeader, end: u64) -> io::Result<Option<Vec<u8>>> {
    if header.offset.saturating_add(header.len()) > end {
        return Ok(None);
    }
    let Ok(len) = usize::try_from(header.body) else { return Ok(None) };
    let mut body = vec![0; len];
    let read = read_at_most(file, &mut body, header.offset + header.body_start())?;
    Ok((read == len && crc32fast::hash(&body) == header.body_crc).then_some(body))
}

/// The content of a batch, unless its positions are damaged or incomplete.
fn content_at(file: &File, header: &BatchHeader) -> io::Result<Option<Content>> {
    let bytes = header.body_start() - BatchHeader::LEN as u64;
    if header.offset.saturating_add(header.body_start()) > file.metadata()?.len() {
        return Ok(None);
    }
    let Ok(len) = usize::try_from(bytes) else { return Ok(None) };
    let mut positions = vec![0; len];
    let read = read_at_most(file, &mut positions, header.offset + BatchHeader::LEN as u64)?;
    Ok(content(header, &positions[..read]))
}

/// The end of a segment.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last complete batch.
    pub(super) last: Option<BatchHeader>,
    /// Its content, unless that is damaged.
    pub(super) content: Option<Content>,
    /// The end of the last complete batch.
    pub(super) end: u64,
    /// The records that were appended to the spool before this end.
    pub(super) total: Option<u64>,
    /// Whether something else than a part of a batch follows.
    pub(super) is_damaged: bool,
}

impl Tail {
    /// Walks through the headers of a segment of `bytes` bytes, from `start` on.
    pub(super) fn find(file: &File, number: u64, start: u64, bytes: u64) -> io::Result<Self> {
        let mut tail = Self { end: start.min(bytes), ..Self::default() };
        let mut offset = start;
        while offset < bytes {
            let header = match header_at(file, number, offset)? {
                Some(header) => header,
                // Too short for a header: the program ended while it wrote this batch.
                None if bytes - offset < BatchHeader::LEN as u64 => break,
                None => {
                    let Some((_, header)) = find_header(file, number, offset + 1)? else {
                        tail.is_damaged = true;
                        break;
                    };
                    header
                }
            };
            let end = header.offset.saturating_add(header.len());
            if end > bytes {
                // Incomplete, as above.
                tail.total = Some(header.total);
                break;
            }
            tail.total = Some(header.total.saturating_add(header.records()));
            tail.last = Some(header);
            tail.end = end;
            offset = end;
        }
        if let Some(header) = &tail.last {
            tail.content = content_at(file, header)?;
        }
        Ok(tail)
    }
}
