//! Keys with numbers.

use zerocopy::byteorder::{NativeEndian, U64};

use super::super::text::push_number;

/// Appends a key and a list of numbers.
#[inline]
pub(super) fn put<const K: usize, const N: usize>(
    out: &mut Vec<u8>,
    key: &[u8; K],
    numbers: [u64; N],
) {
    out.extend_from_slice(key);
    for (place, number) in numbers.into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        push_number(number, out);
    }
}

/// The upper and the lower half.
#[inline]
pub(super) fn halves(pair: U64<NativeEndian>) -> [u32; 2] {
    let pair = pair.get();
    #[expect(clippy::cast_possible_truncation, reason = "these are the halves")]
    [(pair >> 32) as u32, pair as u32]
}
