//! The positions and heights of lanes.

/// The height above the axis, for the title, the totals and the legend.
pub(super) const HEAD: f64 = 92.0;

/// The number of lanes, and their heights, which shrink for many lanes.
#[derive(Clone, Copy)]
pub(super) struct LaneSize {
    count: usize,
    pitch: f64,
    pub(super) bar: f64,
    pub(super) font: f64,
}

impl LaneSize {
    pub(super) fn new(count: usize) -> Self {
        let (pitch, bar, font) = match count {
            0..=80 => (20.0, 17.0, 11.0),
            81..=300 => (14.0, 12.0, 8.5),
            _ => (8.0, 7.0, 5.0),
        };
        Self { count, pitch, bar, font }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    pub(super) fn top(&self, number: usize) -> f64 {
        HEAD + 6.0 + self.pitch * number as f64
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top(self.count) + 4.0
    }
}
