//! Numbers and bytes in comments.

/// Appends a decimal number.
#[inline]
pub(super) fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends the first `len` bytes. A copy of a fixed length is cheap.
#[inline]
fn push_prefix<const N: usize>(bytes: [u8; N], len: usize, out: &mut Vec<u8>) {
    let len = out.len() + len;
    out.extend_from_slice(&bytes);
    out.truncate(len);
}

/// Reads a decimal number that fills `text`.
#[inline]
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    // 19 digits fit.
    if text.len() > 19 {
        return std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?.parse().ok();
    }
    let mut number = 0_u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// Reads the decimal number at the start of `text`, and moves `text` behind it.
#[inline]
pub(super) fn take_number(text: &mut &[u8]) -> Option<u64> {
    const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let bytes = *text;
    if let Some((first, rest)) = bytes.split_first_chunk() {
        let (number, count) = leading_number(*first);
        if count < 8 {
            *text = &bytes[count..];
            return (count > 0).then_some(number);
        }
        if let Some(second) = rest.first_chunk() {
            let (low, count) = leading_number(*second);
            if count < 8 {
                *text = &rest[count..];
                return Some(number * POWERS[count] + low);
            }
        }
    }
    take_long_number(text)
}

/// The same for a number of any length, and for one near the end of the text.
fn take_long_number(text: &mut &[u8]) -> Option<u64> {
    let (mut number, mut count) = (0_u64, 0);
    for &byte in *text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if count < 19 {
            number = number * 10 + u64::from(digit);
        } else {
            number = number.checked_mul(10)?.checked_add(digit.into())?;
        }
        count += 1;
    }
    *text = &text[count..];
    (count > 0).then_some(number)
}

/// The number at the start of 8 bytes, and the number of its digits: all digits at once.
#[inline]
fn leading_number(bytes: [u8; 8]) -> (u64, usize) {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let digits = u64::from_le_bytes(bytes) ^ (ONES * u64::from(b'0'));
    // The high bit of each byte that is not a digit is set. An overflow can set the bit of a later byte
    // too, but only behind a byte that is not a digit.
    let others = (digits.wrapping_add(ONES * (0x80 - 10)) | digits) & (ONES * 0x80);
    let count = others.trailing_zeros() / 8;
    if count == 0 {
        return (0, 0);
    }
    // Moves the last digit to the last byte, behind zeros. Then joins pairs, and pairs of these.
    let tens = digits << (64 - 8 * count);
    let pairs = (tens.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul(10_000 << 32 | 1) >> 32, count as usize)
}

/// Reads a decimal number of 32 bits.
#[inline]
pub(super) fn number32(text: &[u8]) -> Option<u32> {
    number(text)?.try_into().ok()
}

/// The numbers of a list, separated by colons. An empty place is `None`.
#[derive(Debug)]
pub(super) struct Numbers<'a>(Option<&'a [u8]>);

impl<'a> Numbers<'a> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self(Some(list))
    }

    /// The text of the next place; `None` at the end.
    #[inline]
    pub(super) fn next_text(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        match rest.iter().position(|&byte| byte == b':') {
            Some(at) => {
                self.0 = Some(&rest[at + 1..]);
                Some(&rest[..at])
            }
            None => self.0.take(),
        }
    }

    #[inline]
    pub(super) fn next32(&mut self) -> Option<u32> {
        number32(self.next_text()?)
    }
}

/// The byte that stands for the zero byte, which separates strings.
const SEPARATOR: u8 = b',';

/// Whether a byte stands for itself.
#[inline]
const fn is_plain(byte: u8) -> bool {
    byte.wrapping_sub(0x21) < 0x7f - 0x21 && byte != b'%' && byte != SEPARATOR
}

/// Appends bytes: a zero byte as `,`, printable characters as they are, and others as `%` and two
/// digits.
#[inline]
pub(super) fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(bytes);
    let mut needs_no_escape = true;
    // Without branches, so that many bytes are handled at once.
    for byte in &mut out[start..] {
        let is_zero = *byte == 0;
        needs_no_escape &= is_plain(*byte) || is_zero;
        *byte = if is_zero { SEPARATOR } else { *byte };
    }
    if !needs_no_escape {
        out.truncate(start);
        push_with_escapes(bytes, out);
    }
}

/// Appends the bytes before the first zero byte.
#[inline]
pub(super) fn push_name(name: [u8; 16], out: &mut Vec<u8>) {
    const ONES: u128 = u128::from_ne_bytes([1; 16]);
    let bytes = u128::from_le_bytes(name);
    // The high bit of the first byte that is zero is set, and of no byte before.
    let zeros = bytes.wrapping_sub(ONES) & !bytes & (ONES << 7);
    let len = zeros.trailing_zeros() as usize / 8;
    let mut is_plain_name = true;
    for byte in name {
        is_plain_name &= is_plain(byte) || byte == 0;
    }
    if is_plain_name {
        push_prefix(name, len, out);
    } else {
        push_bytes(&name[..len], out);
    }
}

/// Whether no byte of these names, which zero bytes separate, needs an escape or is a slash.
#[inline]
pub(super) fn has_plain_names(names: &[u8]) -> bool {
    let mut are_plain = true;
    for &byte in names {
        are_plain &= (is_plain(byte) || byte == 0) && byte != b'/';
    }
    are_plain
}

fn push_with_escapes(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_ascii() {
        push_ascii(bytes, out);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer).as_bytes();
            if character.is_ascii() {
                push_ascii(encoded, out);
            } else if character.is_control() {
                for &byte in encoded {
                    push_escape(byte, out);
                }
            } else {
                out.extend_from_slice(encoded);
            }
        }
        for &byte in chunk.invalid() {
            push_escape(byte, out);
        }
    }
}

#[inline]
fn push_ascii(mut bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len());
    loop {
        let plain = bytes.iter().position(|&byte| !is_plain(byte));
        let (run, rest) = bytes.split_at(plain.unwrap_or(bytes.len()));
        out.extend_from_slice(run);
        let [special, after @ ..] = rest else { return };
        push_special(*special, out);
        bytes = after;
    }
}

fn push_special(byte: u8, out: &mut Vec<u8>) {
    if byte == 0 { out.push(SEPARATOR) } else { push_escape(byte, out) }
}

/// Appends a byte as `%` and two digits.
pub(super) fn push_escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let [high, low] = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
    out.extend_from_slice(&[b'%', high, low]);
}

/// Whether a byte of a comment can stand for other bytes.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    byte == b'%' || byte == SEPARATOR
}

/// Appends the bytes that `text` stands for. `None` if it is damaged.
#[inline]
pub(super) fn read_bytes(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(text);
    let mut has_escapes = false;
    // Without branches, many bytes are processed at once.
    for byte in &mut out[start..] {
        has_escapes |= *byte == b'%';
        *byte = if *byte == SEPARATOR { 0 } else { *byte };
    }
    if has_escapes { resolve_escapes(start, out) } else { Some(()) }
}

fn resolve_escapes(start: usize, out: &mut Vec<u8>) -> Option<()> {
    let (mut from, mut to) = (start, start);
    while let Some(&byte) = out.get(from) {
        if byte == b'%' {
            let &[high, low] = out.get(from + 1..from + 3)? else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            out[to] = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
            from += 3;
        } else {
            out[to] = byte;
            from += 1;
        }
        to += 1;
    }
    out.truncate(to);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        push_bytes(bytes, &mut text);
        String::from_utf8(text).expect("a comment is UTF-8")
    }

    fn read(text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        read_bytes(text, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn bytes_are_readable() {
        for (bytes, text) in [
            (&b"sh\0-c\0echo a,b\0"[..], "sh,-c,echo%20a%2Cb,"),
            (b"100%", "100%25"),
            (b"\n\x7f", "%0A%7F"),
            ("Grüße\u{85}".as_bytes(), "Grüße%C2%85"),
            (b"caf\xe9 \xff\0", "caf%E9%20%FF,"),
            (b"", ""),
        ] {
            assert_eq!(written(bytes), text);
            assert_eq!(read(text.as_bytes()).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn a_name_ends_at_its_first_zero_byte() {
        for len in 0..=16 {
            for byte in [b'a', b' ', b'%', 1, 0x80, 0xff] {
                for after in [0, 1, b'b', 0xff] {
                    let mut name = [after; 16];
                    name[..len].fill(byte);
                    name[len..].iter_mut().take(1).for_each(|end| *end = 0);
                    let mut text = b"x".to_vec();
                    push_name(name, &mut text);
                    assert_eq!(text, format!("x{}", written(&name[..len])).as_bytes(), "{name:?}");
                }
            }
        }
    }

    #[test]
    fn all_bytes_are_read_again() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(read(written(&all).as_bytes()), Some(all));
    }

    #[test]
    fn damaged_escapes_are_refused() {
        for text in ["%", "a%4", "%4g", "%-1", "%+1", "%%41"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let near_powers = powers.flat_map(|power| [power - 1, power, power + 1, power / 4 * 7]);
        // All halves of 8 digits.
        let halves = (0..10_000).map(|half| half * 10_000 + 9_999 - half);
        for expected in near_powers.chain(halves).chain([u64::from(u32::MAX), u64::MAX]) {
            let mut text = b"x".to_vec();
            push_number(expected, &mut text);
            assert_eq!(text, format!("x{expected}").as_bytes());
            assert_eq!(number(&text[1..]), Some(expected));
        }
        for text in ["", "-1", "+1", " 1", "1a", "18446744073709551616", "+8446744073709551615"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!((number32(b"4294967295"), number32(b"4294967296")), (Some(u32::MAX), None));
    }

    #[test]
    fn a_number_ends_before_any_other_byte() {
        let digits = "18446744073709551615";
        for len in 0..=digits.len() {
            let expected = digits[..len].parse::<u64>().ok();
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                for behind in [0, 1, 7, 8, 9] {
                    let text = [&digits.as_bytes()[..len], &vec![byte; behind][..]].concat();
                    let mut rest = &text[..];
                    assert_eq!(take_number(&mut rest), expected, "{text:?}");
                    assert_eq!(rest.len(), behind, "{text:?}");
                }
            }
        }
        for text in ["18446744073709551616", "99999999999999999999", "184467440737095516150"] {
            assert_eq!(take_number(&mut format!("{text}:1234567890").as_bytes()), None, "{text}");
        }
        for leading_zeros in 0..30 {
            let text = format!("{}42 ", "0".repeat(leading_zeros));
            assert_eq!(take_number(&mut text.as_bytes()), Some(42), "{text}");
        }
    }

    #[test]
    fn a_list_has_empty_places() {
        let mut list = Numbers::new(b"1::3");
        assert_eq!(
            [list.next32(), list.next32(), list.next32(), list.next32()],
            [Some(1), None, Some(3), None]
        );
    }
}
