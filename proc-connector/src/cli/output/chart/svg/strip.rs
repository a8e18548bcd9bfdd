//! The strip above the lanes: the processes at a time, the cores in use, and the memory.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::super::forest::Forest;
use super::super::profile::{Parallelism, Slice, slices};
use super::lane_size::HEAD;
use super::marks::Scale;
use super::page::MARGIN;
use crate::cli::output::columns::{short_size, short_time};

/// The most slices of time, each 5 pixels wide.
const SLICES: usize = 248;
/// The height of a caption, of the processes, of the memory, and of the gap below each.
const CAPTION: f64 = 15.0;
const PROCESSES: f64 = 40.0;
const MEMORY: f64 = 26.0;
const GAP: f64 = 5.0;

/// The strip, with a part for memory if that is known.
pub(super) struct Strip<'a> {
    forest: &'a Forest,
    slices: Vec<Slice>,
    parallelism: Parallelism,
    memory: u64,
}

impl<'a> Strip<'a> {
    pub(super) fn new(forest: &'a Forest) -> Self {
        let slices = slices(forest, SLICES);
        let memory = slices.iter().map(|slice| slice.memory).max().unwrap_or_default();
        Self { forest, parallelism: Parallelism::new(forest), memory, slices }
    }

    pub(super) fn height(&self) -> f64 {
        let memory = if self.memory > 0 { CAPTION + MEMORY + GAP } else { 0.0 };
        if self.slices.is_empty() { 0.0 } else { CAPTION + PROCESSES + GAP + memory }
    }

    pub(super) fn write(&self, scale: Scale, output: &mut impl Write) -> io::Result<()> {
        if self.slices.is_empty() {
            return Ok(());
        }
        writeln!(output, "<g>")?;
        self.processes(scale, output)?;
        if self.memory > 0 {
            self.memory(scale, output)?;
        }
        self.tooltips(scale, output)?;
        writeln!(output, "</g>")
    }

    fn processes(&self, scale: Scale, output: &mut impl Write) -> io::Result<()> {
        let most = self.slices.iter().flat_map(|slice| [slice.processes, slice.used_cores()]);
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let cores = self.forest.cores.map(|cores| cores as f64);
        // The cores of a large machine would hide a small number of processes.
        let most = most.fold(1.0, f64::max).ceil();
        let cores = cores.filter(|&cores| cores <= 4.0 * most);
        let most = cores.map_or(most, |cores| cores.max(most));
        let bottom = HEAD + CAPTION + PROCESSES;
        let y = |value: f64| bottom - PROCESSES * value / most;
        let area =
            |value: fn(&Slice) -> f64| area(&self.slices, scale, bottom, |slice| y(value(slice)));
        write!(output, "<path class=\"p\" d=\"{}\"/>", area(|slice| slice.processes))?;
        let has_usage = self.parallelism.used_cores.is_some();
        let mut shapes = "pale: processes at a time".to_owned();
        if has_usage {
            write!(output, "<path class=\"u\" d=\"{}\"/>", area(Slice::used_cores))?;
            shapes += "; strong: cores in use (estimate)";
        }
        if let Some(cores) = cores {
            let (y, right) = (y(cores), scale.right());
            write!(output, "<path class=\"n\" d=\"M{MARGIN} {y:.1}H{right}\"/>")?;
            let s = if self.forest.cores == Some(1) { "" } else { "s" };
            let _ = write!(shapes, "; dashed: {cores} core{s}");
        }
        let text = self.parallelism.text(self.forest.cores);
        caption(HEAD, &format!("{text}   ({shapes})"), &most.to_string(), scale, output)
    }

    fn memory(&self, scale: Scale, output: &mut impl Write) -> io::Result<()> {
        let top = HEAD + CAPTION + PROCESSES + GAP;
        let bottom = top + CAPTION + MEMORY;
        #[expect(clippy::cast_precision_loss, reason = "a pixel is far more than is lost")]
        let y = |slice: &Slice| bottom - MEMORY * (slice.memory as f64 / self.memory as f64);
        write!(output, "<path class=\"y\" d=\"{}\"/>", area(&self.slices, scale, bottom, y))?;
        let text =
            "sum of the peak memory of the running processes (an upper bound of their memory)";
        caption(top, text, &short_size(self.memory), scale, output)
    }

    /// A tooltip for each slice.
    fn tooltips(&self, scale: Scale, output: &mut impl Write) -> io::Result<()> {
        let height = self.height() - CAPTION - GAP;
        for slice in &self.slices {
            let [from, to] = [slice.from_ns, slice.to_ns].map(|ns| ns - self.forest.begin_ns);
            let (x, end) = (scale.x(slice.from_ns), scale.x(slice.to_ns));
            write!(
                output,
                "<rect class=\"h\" x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{height}\">\
                 <title>from {} to {}\n{:.1} processes at a time",
                HEAD + CAPTION,
                end - x,
                short_time(from),
                short_time(to),
                slice.processes,
            )?;
            if self.parallelism.used_cores.is_some() {
                write!(output, "\n{:.1} cores in use (estimate)", slice.used_cores())?;
            }
            if self.memory > 0 {
                write!(output, "\nat most {} of memory", short_size(slice.memory))?;
            }
            writeln!(output, "</title></rect>")?;
        }
        Ok(())
    }
}

/// A text above a part of the strip, and the value of its top.
fn caption(
    top: f64,
    text: &str,
    most: &str,
    scale: Scale,
    output: &mut impl Write,
) -> io::Result<()> {
    let (y, right) = (top + CAPTION - 4.0, scale.right());
    writeln!(
        output,
        "<text class=\"a\" x=\"{MARGIN}\" y=\"{y}\">{text}</text>\
         <text class=\"a\" text-anchor=\"end\" x=\"{right}\" y=\"{y}\">{most}</text>"
    )
}

/// The path of an area from the top of each slice to the bottom. Slices of the same height are one step.
fn area(slices: &[Slice], scale: Scale, bottom: f64, top: impl Fn(&Slice) -> f64) -> String {
    let mut path = format!("M{:.1} {bottom}", scale.left);
    let mut last = String::new();
    for (index, slice) in slices.iter().enumerate() {
        let y = format!("V{:.1}", top(slice));
        if y != last {
            // Writing to a string cannot fail.
            let _ = match index {
                0 => Ok(()),
                _ => write!(path, "H{:.1}", scale.x(slice.from_ns)),
            };
            path += &y;
            last = y;
        }
    }
    let _ = write!(path, "H{:.1}V{bottom}z", scale.right());
    path
}
