//! The events of the demo recording.

use std::ops::Range;

use super::{DEMO, Order, blocks};

/// The positions of the demo's events.
pub(crate) fn packets() -> impl Iterator<Item = Range<usize>> {
    blocks(Order::Little, DEMO).into_iter().filter(|block| DEMO[block.start] == 6)
}

/// The length of the demo up to and including an event.
pub(crate) fn until_event(count: usize) -> usize {
    packets().take(count).last().expect("a packet").end
}
