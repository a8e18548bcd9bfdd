//! The words of a comment.

use super::super::text::take_number;

/// The rest of a comment.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a [u8]);

/// A place in a list of numbers.
pub(super) enum Place {
    Empty,
    Number(u64),
}

/// A key of up to 8 bytes as a number, so that comparing keys is fast.
pub(super) const fn key(name: &[u8]) -> u64 {
    let (mut key, mut at) = (0, 0);
    while at < name.len() {
        key = key << 8 | name[at] as u64;
        at += 1;
    }
    key
}

/// The number of bytes before the first space or equals sign; 8 if none is among these bytes.
#[inline]
fn key_len(bytes: [u8; 8]) -> usize {
    (places(bytes, b' ') | places(bytes, b'=')).trailing_zeros() as usize / 8
}

/// The number of bytes before the first space.
#[inline]
fn text_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let found = places(*word, b' ');
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    bytes.len() - rest.len() + rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len())
}

/// The first place of a byte: the high bit of this place is the lowest bit that is set.
#[inline]
fn places(bytes: [u8; 8], byte: u8) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let zeros = u64::from_le_bytes(bytes) ^ (ONES * u64::from(byte));
    // A borrow can set the bit of a later byte too.
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7)
}

impl<'a> Value<'a> {
    pub(super) fn new(comment: &'a [u8]) -> Self {
        Self(comment)
    }

    /// Moves to the value of the next key. `Some(0)` is a key of more than 8 bytes.
    #[inline]
    pub(super) fn take_key(&mut self) -> Option<u64> {
        while let [b' ', rest @ ..] = self.0 {
            self.0 = rest;
        }
        if let Some(first) = self.0.first_chunk::<8>() {
            let len = key_len(*first);
            if (1..8).contains(&len) {
                let rest = &self.0[len..];
                self.0 = rest.strip_prefix(b"=").unwrap_or(rest);
                return Some(u64::from_be_bytes(*first) >> (64 - 8 * len));
            }
        }
        self.take_key_near_end()
    }

    /// The same near the end of the comment, for an empty key, and for a key of 8 bytes or more.
    fn take_key_near_end(&mut self) -> Option<u64> {
        let (mut key, mut len) = (0, 0);
        while let Some(&byte) = self.0.get(len).filter(|&&byte| byte != b' ' && byte != b'=') {
            key = key << 8 | u64::from(byte);
            len += 1;
        }
        if len == 0 && self.0.is_empty() {
            return None;
        }
        let rest = &self.0[len..];
        self.0 = rest.strip_prefix(b"=").unwrap_or(rest);
        Some(if len > 8 { 0 } else { key })
    }

    /// The rest of the comment.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Moves behind `words` if the rest starts with them.
    #[inline]
    pub(super) fn skip(&mut self, words: &[u8]) -> bool {
        let Some(rest) = self.0.strip_prefix(words).map(Self) else { return false };
        let is_whole = rest.is_at_end();
        if is_whole {
            *self = rest;
        }
        is_whole
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self.0, [] | [b' ', ..])
    }

    /// The next number of a list that is separated by colons.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u64> {
        let number = take_number(&mut self.0)?;
        match self.0 {
            [b':', rest @ ..] => self.0 = rest,
            _ if self.is_at_end() => {}
            _ => return None,
        }
        Some(number)
    }

    #[inline]
    pub(super) fn next32(&mut self) -> Option<u32> {
        self.next()?.try_into().ok()
    }

    /// The next place of a list. `None` if it is damaged.
    #[inline]
    pub(super) fn next_or_empty(&mut self) -> Option<Place> {
        match self.0 {
            [b':', rest @ ..] => {
                self.0 = rest;
                Some(Place::Empty)
            }
            _ if self.is_at_end() => Some(Place::Empty),
            _ => self.next().map(Place::Number),
        }
    }

    /// The rest of the value.
    #[inline]
    pub(super) fn text(&mut self) -> &'a [u8] {
        let (text, rest) = self.0.split_at(text_len(self.0));
        self.0 = rest;
        text
    }
}
