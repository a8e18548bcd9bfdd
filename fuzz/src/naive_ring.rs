//! A ring and its reader once more: a vector of bytes, positions that count from the start and never
//! wrap, and copies of everything.

/// The longest batch.
const BATCH: u64 = 128 << 10;

/// Bytes of a datagram. The count of losses follows it, and what was noted follows that.
const DATAGRAM: usize = 76;
const NOTED: usize = DATAGRAM + 4;

/// What no kernel writes is next.
#[derive(Debug)]
pub struct Corrupt;

/// What a reader gives.
#[derive(Debug)]
pub enum Read {
    /// A datagram, and what was noted of its event.
    Message(Vec<u8>, Option<Vec<u8>>),
    Lost(u32),
}

/// What is next, and for how many bytes.
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
    /// Where the kernel starts to count.
    start: usize,
    /// The kernel's words, as they are.
    written: usize,
    lost: u32,
    /// What the reader saw of the first when it last looked.
    seen: usize,
    /// Bytes that were read and given back, from the start on.
    read: u64,
    released: u64,
    /// Where the batch ends.
    limit: u64,
    told: u32,
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
            told: 0,
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

    /// Where the reader is.
    pub fn position(&self) -> usize {
        self.word(self.read)
    }

    pub fn take(&mut self) -> Result<bool, Corrupt> {
        let found = self.look()?;
        self.limit = self.read + BATCH.min(self.data.len() as u64 / 4);
        Ok(found || self.told != self.lost)
    }

    pub fn read(&mut self) -> Option<Read> {
        while self.read < self.limit {
            match self.next(self.seen) {
                Next::Record(bytes, room) => {
                    if let Some(lost) = self.lost_before(&bytes) {
                        return Some(Read::Lost(lost));
                    }
                    self.read += room;
                    if !bytes.is_empty() {
                        let datagram = bytes[..bytes.len().min(DATAGRAM)].to_vec();
                        let noted = bytes.get(NOTED..).map(<[u8]>::to_vec);
                        return Some(Read::Message(datagram, noted));
                    }
                }
                Next::Discarded(room) => self.read += room,
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
        let Next::Record(mut bytes, room) = self.next(self.seen) else { panic!("it is there") };
        if let Some(lost) = self.lost_before(&bytes) {
            return Ok(Some(Err(lost)));
        }
        self.read += room;
        self.released = self.read;
        bytes.truncate(DATAGRAM);
        Ok(Some(Ok(bytes)))
    }

    /// Whether the reader waits: it has neither a record to read nor a loss to report.
    pub fn waits(&self) -> bool {
        match self.next(self.written) {
            Next::Nothing => self.told == self.lost,
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
            if let Next::Discarded(room) = next {
                self.read += room;
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
        // Two words of which one was passed by the other are far apart.
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
        let len = header % (1 << 30);
        let room = 8 + u64::from(len.div_ceil(8)) * 8;
        if room > left {
            Next::Corrupt
        } else if is_discarded {
            Next::Discarded(room)
        } else {
            Next::Record(self.bytes(8, len as usize), room)
        }
    }

    /// Bytes from so far behind the reader's position.
    fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        let at = |n: usize| self.position().wrapping_add(offset + n) % self.data.len();
        (0..len).map(|n| self.data[at(n)]).collect()
    }

    fn word(&self, position: u64) -> usize {
        self.start.wrapping_add(position as usize)
    }

    /// A record's count of losses may be one from before that of the record in front of it.
    fn lost_before(&mut self, record: &[u8]) -> Option<u32> {
        let lost = record.get(DATAGRAM..NOTED)?.try_into().map(u32::from_ne_bytes).ok()?;
        let is_new = lost.wrapping_sub(self.told).cast_signed() > 0;
        is_new.then(|| self.tell(lost))
    }

    /// The count of the program itself is always the newest.
    fn lost_behind(&mut self) -> Option<u32> {
        let is_last = self.written == self.position();
        (is_last && self.told != self.lost).then(|| self.tell(self.lost))
    }

    fn tell(&mut self, lost: u32) -> u32 {
        let new = lost.wrapping_sub(self.told);
        self.told = lost;
        new
    }
}
