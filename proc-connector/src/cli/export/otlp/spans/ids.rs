//! Span ids.

/// The ids of the spans of one trace, by the number of the span.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanIds {
    seed: u64,
}

impl SpanIds {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The id of the span with a number: unique in the trace, and not zero, which is not a valid id.
    pub(super) fn id(self, number: usize) -> u64 {
        // Each number has a point of its own, because the factor is odd and `mix` is a bijection. One
        // point in 2^64 has the id zero, and gets the id of a number that no trace reaches.
        match mix(self.point(number as u64)) {
            0 => mix(self.point(u64::MAX)),
            id => id,
        }
    }

    fn point(self, number: u64) -> u64 {
        self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The finalizer of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::SpanIds;

    #[test]
    fn ids_are_unique_and_never_zero() {
        // With the seed 0, the number 0 mixes to zero.
        for seed in [0, 1, u64::MAX] {
            let ids = SpanIds::new(seed);
            let all: HashSet<u64> = (0..100_000).map(|number| ids.id(number)).collect();
            assert_eq!(all.len(), 100_000);
            assert!(!all.contains(&0));
        }
    }
}
