//! A naive ring and its reader: a vector of bytes, positions that never wrap, and copies of all
//! data.

/// Length of the longest batch, in bytes.
const BATCH: u64 = 128 << 10;

/// Bytes of a connector message. The count of losses and the context follow it.
const MESSAGE: usize = 60;
const CONTEXT: usize = MESSAGE + 4;

/// The datagram of a message: the kernel's netlink header has its length, the type 3 and its sequence
/// number, which is the message's third word.
pub fn datagram(message: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 16];
    datagram[..4].copy_from_slice(&(16 + message.len() as u32).to_ne_bytes());
    datagram[4..6].copy_from_slice(&3_u16.to_ne_bytes());
    if let Some(seq) = message.get(8..12) {
        datagram[8..12].copy_from_slice(seq);
    }
    datagram.extend(message);
    datagram
}

/// No kernel writes the next bytes.
#[derive(Debug)]
pub struct Corrupt;

/// An item of the reader.
#[derive(Debug)]
pub enum Read {
    /// A connector message, and the context of its event.
    Message(Vec<u8>, Vec<u8>),
    Lost(u32),
}

/// The next record, and its length with its header, in bytes.
#[derive(Debug)]
enum Next {
    Record(Vec<u8>, u64),
    Discarded(u64),
    Busy,
    Nothing,
    Corrupt,
}

#[derive(Debug)]
pub struct Ring {
    data: Vec<u8>,
    /// The first position of the kernel.
    start: usize,
    /// The position up to which the kernel has written.
    written: usize,
    /// The kernel's count of losses.
    lost: u32,
    /// The value of `written` at the last check of the reader.
    seen: usize,
    /// The number of bytes read.
    read: u64,
    /// The number of bytes released to the kernel.
    released: u64,
    /// The value of `read` at which the batch ends.
    limit: u64,
    /// The count of losses that were reported.
    reported: u32,
}

impl Ring {
    pub fn new(size: usize, start: usize) -> Self {
        Self {
            data: vec![0; size],
            start,
            written: start,
            lost: 0,
            seen: start,
            read: 0,
            released: 0,
            limit: 0,
            reported: 0,
        }
    }

    pub fn size(&self) -> usize {
        self.data.len()
    }

    pub fn write(&mut self, position: usize, bytes: &[u8]) {
        for (offset, &byte) in bytes.iter().enumerate() {
            let at = position.wrapping_add(offset) % self.data.len();
            self.data[at] = byte;
        }
    }

    pub fn set_written(&mut self, position: usize) {
        self.written = position;
    }

    pub fn set_lost(&mut self, count: u32) {
        self.lost = count;
    }

    pub fn published(&self) -> usize {
        self.word(self.released)
    }

    /// The position of the reader.
    pub fn position(&self) -> usize {
        self.word(self.read)
    }

    pub fn take(&mut self) -> Result<bool, Corrupt> {
        let found = self.look()?;
        self.limit = self.read + BATCH.min(self.data.len() as u64 / 4);
        Ok(found || self.reported != self.lost)
    }

    pub fn read(&mut self) -> Option<Read> {
        while self.read < self.limit {
            match self.next(self.seen) {
                Next::Record(bytes, len) => {
                    if let Some(lost) = self.lost_before(&bytes) {
                        return Some(Read::Lost(lost));
                    }
                    self.read += len;
                    if !bytes.is_empty() {
                        let message = bytes[..bytes.len().min(MESSAGE)].to_vec();
                        let context = bytes.get(CONTEXT..).unwrap_or_default().to_vec();
                        return Some(Read::Message(message, context));
                    }
                }
                Next::Discarded(len) => self.read += len,
                Next::Nothing => return self.lost_behind().map(Read::Lost),
                Next::Busy | Next::Corrupt => return None,
            }
        }
        None
    }

    pub fn pop(&mut self) -> Result<Option<Result<Vec<u8>, u32>>, Corrupt> {
        if !self.look()? {
            return Ok(self.lost_behind().map(Err));
        }
        let Next::Record(mut bytes, len) = self.next(self.seen) else {
            panic!("a record was found")
        };
        if let Some(lost) = self.lost_before(&bytes) {
            return Ok(Some(Err(lost)));
        }
        self.read += len;
        self.released = self.read;
        bytes.truncate(MESSAGE);
        Ok(Some(Ok(datagram(&bytes))))
    }

    /// Whether the reader waits: it has no record to read and no loss to report.
    pub fn waits(&self) -> bool {
        match self.next(self.written) {
            Next::Nothing => self.reported == self.lost,
            Next::Busy => true,
            _ => false,
        }
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.next(self.written), Next::Busy)
    }

    pub fn has_more(&self) -> bool {
        self.position() != self.seen
    }

    pub fn is_filling(&self) -> bool {
        self.written.wrapping_sub(self.published()) > self.data.len() / 4
    }

    fn look(&mut self) -> Result<bool, Corrupt> {
        self.seen = self.written;
        loop {
            let next = self.next(self.seen);
            if let Next::Discarded(len) = next {
                self.read += len;
                continue;
            }
            self.released = self.read;
            return match next {
                Next::Corrupt => Err(Corrupt),
                next => Ok(matches!(next, Next::Record(..))),
            };
        }
    }

    fn next(&self, written: usize) -> Next {
        // If one position has overtaken the other, the wrapped difference is large.
        let filled = written.wrapping_sub(self.published());
        if filled > self.data.len() {
            return Next::Corrupt;
        }
        let Some(left) = (self.released + filled as u64).checked_sub(self.read) else {
            return Next::Corrupt;
        };
        if left == 0 {
            return Next::Nothing;
        }
        let header = u32::from_ne_bytes(self.bytes(0, 4).try_into().expect("4 bytes"));
        let (is_busy, is_discarded) = (header >> 31 == 1, header >> 30 & 1 == 1);
        if is_busy {
            return Next::Busy;
        }
        let data_len = header % (1 << 30);
        let len = 8 + u64::from(data_len.div_ceil(8)) * 8;
        if len > left {
            Next::Corrupt
        } else if is_discarded {
            Next::Discarded(len)
        } else {
            Next::Record(self.bytes(8, data_len as usize), len)
        }
    }

    /// `len` bytes at `offset` from the position of the reader.
    fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        let at = |n: usize| self.position().wrapping_add(offset + n) % self.data.len();
        (0..len).map(|n| self.data[at(n)]).collect()
    }

    fn word(&self, position: u64) -> usize {
        self.start.wrapping_add(position as usize)
    }

    /// The loss that a record reports. Its count may be older than that of an earlier record.
    fn lost_before(&mut self, record: &[u8]) -> Option<u32> {
        let lost = record.get(MESSAGE..CONTEXT)?.try_into().map(u32::from_ne_bytes).ok()?;
        let is_new = lost.wrapping_sub(self.reported).cast_signed() > 0;
        is_new.then(|| self.report(lost))
    }

    /// The loss after the last record, by the kernel's count, which is never older than a record's.
    fn lost_behind(&mut self) -> Option<u32> {
        let is_last = self.written == self.position();
        (is_last && self.reported != self.lost).then(|| self.report(self.lost))
    }

    fn report(&mut self, lost: u32) -> u32 {
        let new = lost.wrapping_sub(self.reported);
        self.reported = lost;
        new
    }
}
