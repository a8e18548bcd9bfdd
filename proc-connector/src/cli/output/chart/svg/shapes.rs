//! The size of a chart, and a shape of it. All lengths are in pixels.

pub(super) const WIDTH: f64 = 1280.0;
pub(super) const MARGIN: f64 = 20.0;

/// The width of a letter of a monospaced font, relative to the font size. Most fonts have 0.6.
pub(super) const LETTER: f64 = 0.61;

/// An arrowhead: the process continues in its direction.
pub(super) fn arrow(x: f64, middle: f64, class: &str, half: f64) -> String {
    let (tip, top, bottom) = (x + half * 0.9, middle - half.abs(), middle + half.abs());
    format!(
        "<path class=\"{class}\" d=\"M{x:.1} {top:.1}L{tip:.1} {middle:.1}L{x:.1} {bottom:.1}z\"/>"
    )
}
