//! The sizes of the page.

/// In pixels, like all lengths here.
pub(super) const WIDTH: f64 = 1280.0;
pub(super) const MARGIN: f64 = 20.0;
pub(super) const FOOT: f64 = 24.0;
/// The width of a letter of a monospaced font, relative to the font size. Most fonts have 0.6.
pub(super) const LETTER: f64 = 0.61;
