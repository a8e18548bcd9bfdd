//! The arrows of processes that continue outside the chart.

/// An arrowhead: the process continues in its direction.
pub(super) fn arrow(x: f64, middle: f64, class: &str, half: f64) -> String {
    let (tip, top, bottom) = (x + half * 0.9, middle - half.abs(), middle + half.abs());
    format!(
        "<path class=\"{class}\" d=\"M{x:.1} {top:.1}L{tip:.1} {middle:.1}L{x:.1} {bottom:.1}z\"/>"
    )
}
