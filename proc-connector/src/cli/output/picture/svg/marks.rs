//! What is drawn in a lane: a bar for each process, or one for many where each is too short to see.

use super::super::forest::Forest;
use super::super::lanes::Lanes;

/// Where moments are.
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

/// Something drawn from `x` on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) width: f64,
    /// In the order of time; never empty.
    pub(super) members: Vec<usize>,
}

/// A process is drawn this wide even if it was shorter, where there is room.
const THINNEST: f64 = 1.0;
/// What is narrower than this many pixels is put together, if it is no further apart.
const NARROW: f64 = 5.0;
const APART: f64 = 2.0;
/// No picture has more marks than this, whatever it has to put together.
const MOST: usize = 20_000;

/// The marks of each lane, from the left.
pub(super) fn marks(forest: &Forest, lanes: &Lanes, scale: Scale) -> Vec<Vec<Mark>> {
    let mut coarse = 1.0;
    loop {
        let marks: Vec<Vec<Mark>> =
            lanes.iter().map(|lane| of_lane(forest, lane, scale, coarse)).collect();
        if marks.iter().map(Vec::len).sum::<usize>() <= MOST || coarse > 2.0 * scale.width {
            return marks;
        }
        coarse *= 2.0;
    }
}

fn of_lane(forest: &Forest, lane: &[usize], scale: Scale, coarse: f64) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    // Whether the last one may take more.
    let mut open = false;
    for &index in lane {
        let (x, end) = (scale.x(forest.start(index)), scale.x(forest.end(index)));
        // What goes on, or has been there before, is shown as such.
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
        mark.width = mark.width.max(THINNEST.min(next - mark.x));
    }
    marks
}
