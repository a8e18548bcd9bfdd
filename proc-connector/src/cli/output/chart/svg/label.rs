//! Labels of bars, where they fit.

use unicode_width::UnicodeWidthStr;

use crate::cli::output::columns::fitted;

/// The text at a bar.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    pub(super) x: f64,
    /// Whether the text ends at `x` instead of starting there.
    pub(super) from_right: bool,
    pub(super) text: String,
}

/// The distance between the edge of a bar and its text.
const PADDING: f64 = 4.0;
/// A shorter part of a name is useless.
const MIN_LETTERS: usize = 3;

/// The letters of a command after its name that make a longer label useful.
const MORE: usize = 6;

/// The space inside a bar, to its right and to its left.
pub(super) struct Space {
    pub(super) letter: f64,
    /// The bar.
    pub(super) x: f64,
    pub(super) width: f64,
    /// The free part of the lane around the bar.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Space {
    /// Finds a place for a label. `long` is cut if a useful part of it fits, and `short` only if all of
    /// it fits nowhere.
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
        // A cut number would be misread.
        let can_be_cut = inside > MIN_LETTERS && !short.contains("pid ");
        can_be_cut.then(|| self.inside(fitted(short, Some(inside))))
    }

    /// The width that a label on the right occupies.
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
