//! The marks in a lane: a bar for each process, or for several processes that are too short to see.

use super::super::forest::Forest;
use super::super::lanes::Lanes;

/// Maps times to positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) begin_ns: u64,
    pub(super) length_ns: u64,
    /// In pixels.
    pub(super) left: f64,
    pub(super) width: f64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a pixel is far more than is lost")]
    pub(super) fn x(&self, ns: u64) -> f64 {
        let since = ns.saturating_sub(self.begin_ns).min(self.length_ns);
        self.left + self.width * (since as f64 / self.length_ns.max(1) as f64)
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }
}

/// A bar that starts at `x`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) width: f64,
    /// The processes of the bar, in the order of time; never empty.
    pub(super) members: Vec<usize>,
}

/// The minimum width of a bar, where it fits.
const MIN_WIDTH: f64 = 1.0;
/// Bars narrower than `NARROW` pixels are merged, if they are less than `APART` pixels apart.
const NARROW: f64 = 5.0;
const APART: f64 = 2.0;
/// The maximum number of marks of a chart. If they are more, wider bars are merged too.
const MAX_MARKS: usize = 20_000;

/// The marks of each lane, from the left.
pub(super) fn marks(forest: &Forest, lanes: &Lanes, scale: Scale) -> Vec<Vec<Mark>> {
    let mut coarse = 1.0;
    loop {
        let marks: Vec<Vec<Mark>> =
            lanes.iter().map(|lane| of_lane(forest, lane, scale, coarse)).collect();
        if marks.iter().map(Vec::len).sum::<usize>() <= MAX_MARKS || coarse > 2.0 * scale.width {
            return marks;
        }
        coarse *= 2.0;
    }
}

fn of_lane(forest: &Forest, lane: &[usize], scale: Scale, coarse: f64) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    // Whether more processes may be merged into the last mark.
    let mut open = false;
    for &index in lane {
        let (x, end) = (scale.x(forest.start(index)), scale.x(forest.end(index)));
        // A process that continues outside the chart gets its own mark.
        let life = &forest.lives[index];
        let whole = life.end_ns.is_some() && life.start_ns.is_some();
        let narrow = end - x < NARROW * coarse && whole;
        if let (true, true, Some(last)) = (narrow, open, marks.last_mut()) {
            if x - (last.x + last.width) < APART * coarse {
                last.width = end - last.x;
                last.members.push(index);
                continue;
            }
        }
        open = narrow;
        marks.push(Mark { x, width: end - x, members: vec![index] });
    }
    for index in 0..marks.len() {
        let next = marks.get(index + 1).map_or(scale.right(), |next| next.x);
        let mark = &mut marks[index];
        mark.width = mark.width.max(MIN_WIDTH.min(next - mark.x));
    }
    marks
}
