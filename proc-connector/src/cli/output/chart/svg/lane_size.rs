//! The positions and heights of lanes.

/// The height above the axis, for the title, the totals and the legend.
pub(super) const HEAD: f64 = 108.0;

/// The number of lanes, and their heights, which shrink for many lanes.
#[derive(Clone, Copy)]
pub(super) struct LaneSize {
    count: usize,
    /// The position of the first lane.
    first: f64,
    pitch: f64,
    pub(super) bar: f64,
    pub(super) font: f64,
}

impl LaneSize {
    /// Lanes below a strip of this height.
    pub(super) fn new(count: usize, strip: f64) -> Self {
        let (pitch, bar, font) = match count {
            0..=80 => (20.0, 17.0, 11.0),
            81..=300 => (14.0, 12.0, 8.5),
            _ => (8.0, 7.0, 5.0),
        };
        Self { count, first: HEAD + strip + 6.0, pitch, bar, font }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    pub(super) fn top(&self, number: usize) -> f64 {
        self.first + self.pitch * number as f64
    }

    /// The position in the middle between the bars of a lane and the next lane.
    pub(super) fn below(&self, number: usize) -> f64 {
        self.top(number) + f64::midpoint(self.bar, self.pitch)
    }

    /// The width of a line between two lanes.
    pub(super) fn gap(&self) -> f64 {
        (self.pitch - self.bar).clamp(1.5, 2.0)
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top(self.count) + 4.0
    }
}
