//! The contents of strings, with an escape for each character that JSON does not allow or that is
//! invisible.

use std::fmt;

use super::super::is_seen;

/// Appends a string in quotation marks.
pub(super) fn string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    contents(buffer, text);
    buffer.push(b'"');
}

/// Appends the characters of a string.
fn contents(buffer: &mut Vec<u8>, text: &str) {
    if are_kept(text.as_bytes()) {
        buffer.extend_from_slice(text.as_bytes());
    } else {
        escaped(buffer, text);
    }
}

/// Whether all characters are ASCII and stand for themselves.
pub(super) fn are_kept(text: &[u8]) -> bool {
    // The last word may overlap with the word before it.
    if let Some(last) = text.last_chunk() {
        let is_kept = |word: &[u8]| word.try_into().is_ok_and(|&word| is_word_kept(word));
        return is_word_kept(*last) && text.chunks_exact(8).all(is_kept);
    }
    is_word_kept(short_word(text))
}

/// A word with all bytes of a text of less than 8 bytes. Some may be in it twice, and spaces.
fn short_word(text: &[u8]) -> [u8; 8] {
    let mut word = [b' '; 8];
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        word[..4].copy_from_slice(first);
        word[4..].copy_from_slice(last);
    } else if let [first, .., last] = text {
        word[..3].copy_from_slice(&[*first, text[1], *last]);
    } else if let [only] = text {
        word[0] = *only;
    }
    word
}

/// Whether each of these bytes is an ASCII character that stands for itself.
fn is_word_kept(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(bytes);
    // The high bit of each byte that is less is set. A borrow can set the bit of a higher byte too, but
    // only if a lower byte is less.
    let less = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte)) & !word;
    let equal = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let not_kept = word | less(word, b' ') | equal(0x7f) | equal(b'"') | equal(b'\\');
    not_kept & (ONES << 7) == 0
}

#[cold]
fn escaped(buffer: &mut Vec<u8>, text: &str) {
    for letter in text.chars() {
        let short = match letter {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            letter if is_seen(letter) => {
                buffer.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let digit = |place: u16| b"0123456789abcdef"[usize::from(*unit >> place & 0xf)];
                    buffer.extend([b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                }
                continue;
            }
        };
        buffer.extend([b'\\', short]);
    }
}

/// The characters of a string, in parts.
pub(super) struct Contents<'a>(pub(super) &'a mut Vec<u8>);

impl fmt::Write for Contents<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        contents(self.0, text);
        Ok(())
    }
}
