//! Names at bars, where there is room for them.

use unicode_width::UnicodeWidthStr;

use crate::cli::output::columns::fitted;

/// Text to be put at a bar.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    pub(super) x: f64,
    /// Whether it ends at `x`, not begins there.
    pub(super) from_right: bool,
    pub(super) text: String,
}

/// Between a bar's edge and its text.
const PADDING: f64 = 4.0;
/// A name of fewer letters than this says nothing.
const FEWEST: usize = 3;

/// So many letters of a command beside its name say something.
const MORE: usize = 6;

/// Finds room inside a bar, or to its right, or to its left.
pub(super) struct Room {
    pub(super) letter: f64,
    /// The bar.
    pub(super) x: f64,
    pub(super) width: f64,
    /// From where to where the lane is free around it.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Room {
    /// `long` may be cut where there is room for a good part of it, `short` where there is not even
    /// room for that.
    pub(super) fn label(&self, long: &str, short: &str) -> Option<Label> {
        let inside = self.letters(self.width);
        let right = self.letters(self.to - self.x - self.width);
        let left = self.letters(self.x - self.from);
        if inside >= long.width().min(short.width() + MORE) {
            return Some(self.inside(fitted(long, Some(inside))));
        }
        if inside >= short.width() {
            return Some(self.inside(short.to_owned()));
        }
        if right >= short.width() {
            let x = self.x + self.width + PADDING;
            return Some(Label {
                x,
                from_right: false,
                text: fitted(long, Some(right.min(short.width() + MORE))),
            });
        }
        if left >= short.width() {
            let x = self.x - PADDING;
            return Some(Label { x, from_right: true, text: short.to_owned() });
        }
        // A part of a number would be another number.
        let can_be_cut = inside > FEWEST && !short.contains("pid ");
        can_be_cut.then(|| self.inside(fitted(short, Some(inside))))
    }

    /// How far a label at the right takes the lane.
    #[expect(clippy::cast_precision_loss, reason = "a few letters")]
    pub(super) fn taken(&self, text: &str) -> f64 {
        text.width() as f64 * self.letter + 2.0 * PADDING
    }

    fn inside(&self, text: String) -> Label {
        Label { x: self.x + PADDING, from_right: false, text }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    fn letters(&self, pixels: f64) -> usize {
        ((pixels - 2.0 * PADDING) / self.letter).clamp(0.0, 10_000.0) as usize
    }
}
