//! The options at the end of a block.

use crate::capture::byte_order::Order;

/// `opt_endofopt`: ends the list.
const END: u16 = 0;
/// `opt_comment`, valid in every block.
pub(super) const COMMENT: u16 = 1;

/// The length of an option's code and length fields, in bytes.
pub(super) const HEADER_LEN: usize = 4;

/// The first fields of an option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) code: u16,
    pub(super) len: usize,
}

impl Header {
    /// Reads the option that starts here, with `left` bytes remaining in its block. `None` at the
    /// end of the list: at the end mark, at the end of the block, or where a length exceeds the
    /// block.
    #[inline]
    pub(super) fn read(order: Order, bytes: &[u8], left: u64) -> Option<Self> {
        if left < HEADER_LEN as u64 {
            return None;
        }
        let header = Self { code: order.u16_at(bytes, 0), len: order.u16_at(bytes, 2).into() };
        let fits = (HEADER_LEN + header.len) as u64 <= left;
        (header.code != END && fits).then_some(header)
    }

    /// The number of bytes to the next option.
    #[inline]
    pub(super) fn total(self) -> usize {
        HEADER_LEN + self.len.next_multiple_of(4)
    }
}

/// Iterates over the options of a list, by code, offset and value.
#[inline]
pub(super) fn iter(order: Order, list: &[u8]) -> impl Iterator<Item = (u16, usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let bytes = list.get(at..)?;
        let header = Header::read(order, bytes, bytes.len() as u64)?;
        let start = at + HEADER_LEN;
        let value = list.get(start..start + header.len)?;
        at += header.total();
        Some((header.code, start, value))
    })
}
