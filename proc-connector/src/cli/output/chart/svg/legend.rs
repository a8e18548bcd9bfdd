//! The legend of all shapes.

use std::io::{self, Write};

use super::arrow::arrow;
use super::page::{LETTER, MARGIN, WIDTH};

/// The top of the first row, the height of its shapes, and the distance between rows.
const TOP: f64 = 54.0;
const HEIGHT: f64 = 11.0;
const ROW: f64 = 16.0;
/// The width of the shapes of an entry, and the gap between entries.
const SHAPES: f64 = 29.0;
const GAP: f64 = 18.0;

pub(super) fn write(output: &mut impl Write) -> io::Result<()> {
    let y = TOP;
    let swatch = |x: f64, class: &str, width: f64, height: f64| {
        format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        )
    };
    let bar = |x: f64, class: &str, width: f64| swatch(x, class, width, HEIGHT);
    let middle = y + HEIGHT / 2.0;
    let entries = [
        (bar(0.0, "c0", 24.0), "process, coloured by program"),
        (
            bar(0.0, "c0 u0", 8.0) + &bar(8.0, "c0 u2", 8.0) + &bar(16.0, "c0", 8.0),
            "the stronger, the more CPU use",
        ),
        (
            bar(0.0, "c0", 24.0)
                + &swatch(0.0, "w", 10.0, HEIGHT / 2.0)
                + &format!("<path class=\"e\" d=\"M10 {y}v{HEIGHT}\"/>"),
            "thin before its first exec",
        ),
        (bar(0.5, "f", 23.0), "failed"),
        (
            bar(0.0, "c0", 18.0) + &arrow(18.0, middle, "c0", HEIGHT / 2.0),
            "continues outside the chart",
        ),
        (
            bar(0.0, "m", 24.0) + &bar(8.0, "x", 1.0),
            "many short processes, a line for each failure",
        ),
        (
            format!("<path class=\"k\" stroke-width=\"2\" d=\"M0 {middle}h24\"/>"),
            "critical path: what the end waited for",
        ),
        (format!("<path class=\"l\" d=\"M12 {y}v{HEIGHT}\"/>"), "events lost"),
    ];
    let (mut x, mut row) = (MARGIN, 0.0);
    for (shapes, text) in entries {
        #[expect(clippy::cast_precision_loss, reason = "a few letters")]
        let width = SHAPES + text.len() as f64 * 10.0 * LETTER;
        if x + width > WIDTH - MARGIN {
            (x, row) = (MARGIN, row + ROW);
        }
        writeln!(
            output,
            "<g transform=\"translate({x:.1} {row})\">{shapes}\
             <text class=\"a\" x=\"{SHAPES}\" y=\"{:.1}\">{text}</text></g>",
            y + 9.0,
        )?;
        x += width + GAP;
    }
    Ok(())
}
