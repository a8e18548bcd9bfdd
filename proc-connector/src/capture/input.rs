//! The bytes of a capture, seen through a window that moves forward.

use std::io::{self, Read};

use super::error::{Error, Part};

/// The size of the window in bytes. A larger packet enlarges it.
const WINDOW: usize = 64 << 10;

/// The largest supported block or record, in bytes: Wireshark's limit, far above any netlink
/// message.
pub(super) const MAX_LEN: usize = 16 << 20;

/// A window over an input of any length.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    /// The range of the buffer that was read and not yet consumed.
    start: usize,
    end: usize,
    /// The position of `start` in the input.
    offset: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; WINDOW], start: 0, end: 0, offset: 0 }
    }

    /// Reads until `needed` bytes are available or the input ends. Returns the number available.
    #[inline]
    pub(super) fn fill(&mut self, needed: usize) -> Result<usize, Error> {
        let available = self.end - self.start;
        if available >= needed { Ok(available) } else { self.read(needed) }
    }

    /// Reads a part of `needed` bytes into the window. Fails if the input ends within the part.
    #[inline]
    pub(super) fn require(&mut self, part: Part, needed: usize) -> Result<(), Error> {
        let actual = self.fill(needed)?;
        if actual < needed {
            return Err(Error::Truncated { part, offset: self.offset, needed, actual });
        }
        Ok(())
    }

    #[cold]
    fn read(&mut self, needed: usize) -> Result<usize, Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < needed {
            if self.end == self.buffer.len() {
                // The buffer grows with the bytes that arrive, so a declared length alone allocates
                // nothing.
                let len = self.buffer.len().saturating_mul(2).min(needed.max(WINDOW));
                self.buffer.resize(len, 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Io { offset: self.offset + self.end as u64, source });
                }
            }
        }
        Ok(self.end)
    }

    /// The bytes that were read and not yet consumed.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Consumes the first `count` bytes.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }
}

impl<R> Input<R> {
    /// The position of the window in the input.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns seven bytes at a time, and an interruption before each.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buffer.len().min(7).min(self.0.len());
            let (now, later) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            self.0 = later;
            Ok(len)
        }
    }

    #[test]
    fn the_window_moves_over_all_of_a_slow_input() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * WINDOW + 1).collect();
        let mut input = Input::new(Slow(&bytes, false));
        let mut seen = Vec::new();
        while input.fill(1000).expect("no error") > 0 {
            let len = input.bytes().len().min(1000);
            seen.extend_from_slice(&input.bytes()[..len]);
            input.consume(len);
        }
        assert_eq!(seen, bytes);
        assert_eq!(input.offset(), bytes.len() as u64);
    }

    #[test]
    fn a_declared_length_allocates_no_memory() {
        let mut input = Input::new(&[1; 100][..]);
        assert_eq!(input.fill(MAX_LEN).expect("no error"), 100);
        assert_eq!(input.buffer.len(), WINDOW);
        let bytes = vec![1; WINDOW + 1];
        let mut input = Input::new(&bytes[..]);
        assert_eq!(input.fill(MAX_LEN).expect("no error"), WINDOW + 1);
        assert!(input.buffer.len() <= 2 * WINDOW);
    }
}
