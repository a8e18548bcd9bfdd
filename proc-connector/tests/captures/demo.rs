//! The demo recording, event by event.

use std::ops::Range;

use super::{DEMO, Order, blocks};

/// Where the demo's events are.
pub(crate) fn packets() -> impl Iterator<Item = Range<usize>> {
    blocks(Order::Little, DEMO).into_iter().filter(|block| DEMO[block.start] == 6)
}

/// The length of the demo's beginning, up to and including an event.
pub(crate) fn until_event(count: usize) -> usize {
    packets().take(count).last().expect("a packet").end
}
