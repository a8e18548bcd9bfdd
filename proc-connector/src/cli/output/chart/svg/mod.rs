//! The timeline of processes as an SVG chart, with a bar from the start to the end of each process.

mod about;
mod arrow;
mod colors;
mod label;
mod lane_size;
mod legend;
mod marks;
mod page;
mod route;
mod strip;
mod style;
mod xml;

use std::io::{self, Write};

use arrow::arrow;
use colors::Colors;
use label::{Label, Space};
use lane_size::{HEAD, LaneSize};
use marks::{Mark, Scale, marks};
use page::{FOOT, LETTER, MARGIN, WIDTH};
use route::Route;
use strip::Strip;
use style::{STYLE, shade};
use xml::Xml;

use crate::cli::output::columns::{fitted, short_time};

use super::consumption::Consumption;
use super::forest::Forest;
use super::lanes::Lanes;
use super::profile::{cpu_in_period, critical_path, times_on_path};
use super::ticks::ticks;

/// The total length of all tooltips, and the minimum and the maximum length of one, in columns.
const TOOLTIPS: usize = 2_000_000;
const TOOLTIP: (usize, usize) = (200, 4_000);

/// Draws the chart under a title.
pub(crate) fn write(forest: &Forest, title: &str, output: &mut impl Write) -> io::Result<()> {
    let lanes = Lanes::new(forest);
    let scale = Scale {
        begin_ns: forest.begin_ns,
        length_ns: forest.end_ns.saturating_sub(forest.begin_ns),
        left: MARGIN,
        width: WIDTH - 2.0 * MARGIN,
    };
    let marks = marks(forest, &lanes, scale);
    let drawn: usize = marks.iter().map(Vec::len).sum();
    let tooltip = (TOOLTIPS / drawn.max(1)).clamp(TOOLTIP.0, TOOLTIP.1);
    let strip = Strip::new(forest);
    let (colors, lane) = (Colors::new(forest), LaneSize::new(marks.len(), strip.height()));
    let path = critical_path(forest);
    let on_path = times_on_path(forest, &path);
    let mut chart = Chart { forest, scale, colors, on_path, tooltip, lane, output };
    chart.head(title, lanes.left_out())?;
    chart.axis()?;
    strip.write(scale, chart.output)?;
    let route = Route::new(&path, &lane_of(&lanes, forest.lives.len()), lane, scale);
    // Behind the bars, because long lines between distant lanes would hide them.
    chart.path("j", 1.0, &route.between)?;
    for (number, marks) in marks.iter().enumerate() {
        chart.lane(number, marks)?;
    }
    chart.path("k", lane.gap(), &route.along)?;
    chart.losses()?;
    writeln!(chart.output, "</svg>")
}

struct Chart<'a, W> {
    forest: &'a Forest,
    scale: Scale,
    colors: Colors<'a>,
    /// The time of each process on the critical path.
    on_path: Vec<u64>,
    /// The maximum width of a command in a tooltip.
    tooltip: usize,
    lane: LaneSize,
    output: &'a mut W,
}

impl<W: Write> Chart<'_, W> {
    fn head(&mut self, title: &str, left_out: usize) -> io::Result<()> {
        let (height, font) = (self.lane.bottom() + FOOT, self.lane.font);
        writeln!(
            self.output,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{}</title>\n\
             <style>{STYLE}.b{{font-size:{font}px}}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" class=\"bg\"/>",
            Xml(title),
        )?;
        let title = fitted(title, Some(130));
        writeln!(self.output, "<text class=\"t\" x=\"{MARGIN}\" y=\"26\">{}</text>", Xml(&title))?;
        let totals = self.forest.totals();
        let length = short_time(self.scale.length_ns);
        let usage = Consumption::new(self.forest).map(|all| all.text(self.forest));
        let usage = usage.map(|text| format!(", {}", Xml(&text))).unwrap_or_default();
        let numbers = match left_out {
            0 => format!("{totals}, {length}{usage}"),
            left_out => {
                format!("{totals}, {length}{usage}; {left_out} not drawn for lack of space")
            }
        };
        writeln!(self.output, "<text class=\"s\" x=\"{MARGIN}\" y=\"44\">{numbers}</text>")?;
        legend::write(self.output)
    }

    fn axis(&mut self) -> io::Result<()> {
        let (top, bottom) = (HEAD, self.lane.bottom());
        for (at, text) in ticks(self.scale.length_ns, 10) {
            let x = self.scale.x(self.forest.begin_ns.saturating_add(at));
            write!(self.output, "<path class=\"g\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
            // The last label must stay inside the chart.
            #[expect(clippy::cast_precision_loss, reason = "a few letters")]
            let half = text.chars().count() as f64 * 10.0 * LETTER / 2.0;
            let x = x.clamp(half + 2.0, WIDTH - half - 2.0);
            for y in [top - 5.0, bottom + 14.0] {
                write!(
                    self.output,
                    "<text class=\"a\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
                )?;
            }
            writeln!(self.output)?;
        }
        Ok(())
    }

    fn lane(&mut self, number: usize, marks: &[Mark]) -> io::Result<()> {
        let y = self.lane.top(number);
        let mut free = MARGIN;
        for (index, mark) in marks.iter().enumerate() {
            let next = marks.get(index + 1).map_or(self.scale.right(), |next| next.x);
            free = match mark.members[..] {
                [one] => self.bar(one, mark, y, free, next)?,
                _ => self.bundle(mark, y, free, next)?,
            };
        }
        Ok(())
    }

    /// Draws one process. Returns the position from which the lane is free.
    fn bar(&mut self, index: usize, mark: &Mark, y: f64, from: f64, to: f64) -> io::Result<f64> {
        let life = &self.forest.lives[index];
        let class = if life.failed() { "f" } else { self.colors.class(life) };
        let shaded = shade(cpu_in_period(life), self.forest.duration(index));
        let tooltip = about::process(self.forest, index, self.on_path[index], self.tooltip);
        let (height, middle) = (self.lane.bar, y + self.lane.bar / 2.0);
        write!(self.output, "<g><title>{}</title>", Xml(&tooltip))?;
        self.rect(&format!("{class}{shaded}"), mark.x, y, mark.width, height)?;
        if mark.width > 2.0 {
            // Until its first exec, a process runs the program of its creator.
            let first = match life.programs.first() {
                Some(program) => program.at_ns,
                None => Some(self.forest.end(index)),
            };
            let own = first.map_or(mark.x, |at| self.scale.x(at)).min(mark.x + mark.width);
            if own - mark.x > 0.5 && life.start_ns.is_some() {
                self.rect("w", mark.x, y, own - mark.x, height / 2.0)?;
            }
            let mut last = mark.x;
            for at in life.programs.iter().filter_map(|program| program.at_ns) {
                let x = self.scale.x(at);
                // Lines that are closer together than they are wide cannot be distinguished.
                if x - last > 1.5 && mark.x + mark.width - x > 1.5 {
                    last = x;
                    write!(self.output, "<path class=\"e\" d=\"M{x:.2} {y}v{height}\"/>")?;
                }
            }
        }
        if life.runs() {
            let shape = arrow(mark.x + mark.width, middle, class, height / 2.0);
            self.output.write_all(shape.as_bytes())?;
        }
        if life.start_ns.is_none() {
            let shape = arrow(mark.x, middle, class, -height / 2.0);
            self.output.write_all(shape.as_bytes())?;
        }
        let sign = if life.failed() { "✗ " } else { "" };
        let brief = if life.program().is_some() { life.brief() } else { life.name_or_pid() };
        let texts = [brief, life.name_or_pid()].map(|text| format!("{sign}{text}"));
        let free = self.label(mark, y, (from, to), [&texts[0], &texts[1]])?;
        writeln!(self.output, "</g>")?;
        Ok(free)
    }

    /// Draws several processes that are too short to see. Returns the position from which the lane is
    /// free.
    fn bundle(&mut self, mark: &Mark, y: f64, from: f64, to: f64) -> io::Result<f64> {
        let names = about::names(self.forest, &mark.members);
        let first = &self.forest.lives[mark.members[0]];
        let class = if names.len() == 1 { self.colors.class(first) } else { "m" };
        let tooltip = about::group(self.forest, &mark.members, &self.on_path);
        let members = mark.members.iter().map(|&member| &self.forest.lives[member]);
        let cpu = members.map(cpu_in_period).sum();
        let time = mark.members.iter().map(|&member| self.forest.duration(member)).sum();
        let (shaded, height) = (shade(cpu, time), self.lane.bar);
        write!(self.output, "<g><title>{}</title>", Xml(&tooltip))?;
        self.rect(&format!("{class}{shaded}"), mark.x, y, mark.width, height)?;
        let mut last = f64::NEG_INFINITY;
        for &member in mark.members.iter().filter(|&&member| self.forest.lives[member].failed()) {
            let x = self.scale.x(self.forest.end(member)).min(mark.x + mark.width - 1.0);
            if x - last >= 2.0 {
                self.rect("x", x.max(mark.x), y, 1.0, height)?;
                last = x;
            }
        }
        let count = format!("{} ×", mark.members.len());
        let long = format!("{count} {}", names.first().map_or("", |(name, _)| name));
        let long = if names.len() == 1 { &long } else { &count };
        let free = self.label(mark, y, (from, to), [long, &count])?;
        writeln!(self.output, "</g>")?;
        Ok(free)
    }

    fn label(
        &mut self,
        mark: &Mark,
        y: f64,
        free: (f64, f64),
        texts: [&str; 2],
    ) -> io::Result<f64> {
        let end = mark.x + mark.width;
        let letter = self.lane.font * LETTER;
        let space = Space { letter, x: mark.x, width: mark.width, from: free.0, to: free.1 };
        let Some(Label { x, from_right, text }) = space.label(texts[0], texts[1]) else {
            return Ok(end);
        };
        let y = y + self.lane.bar / 2.0 + self.lane.font * 0.36;
        let anchor = if from_right { " text-anchor=\"end\"" } else { "" };
        let xml = Xml(&text);
        write!(self.output, "<text class=\"b\"{anchor} x=\"{x:.1}\" y=\"{y:.1}\">{xml}</text>")?;
        Ok(if from_right || x < end { end } else { end + space.taken(&text) })
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) -> io::Result<()> {
        // A gap to the next bar.
        let width = if width > 4.0 { width - 0.5 } else { width };
        write!(
            self.output,
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{height}\"/>"
        )
    }

    /// Draws a part of the critical path.
    fn path(&mut self, class: &str, width: f64, path: &str) -> io::Result<()> {
        // An empty path would be invalid.
        if path.is_empty() {
            return Ok(());
        }
        writeln!(self.output, "<path class=\"{class}\" stroke-width=\"{width}\" d=\"{path}\"/>")
    }

    fn losses(&mut self) -> io::Result<()> {
        let (top, bottom) = (HEAD, self.lane.bottom());
        let mut last = f64::NEG_INFINITY;
        for loss in &self.forest.losses {
            let x = self.scale.x(loss.at_ns);
            let count = loss.count.map_or("some".to_owned(), |count| count.to_string());
            if x - last < 1.0 {
                continue;
            }
            last = x;
            writeln!(
                self.output,
                "<g><title>{count} events lost here</title><path class=\"l\" d=\"M{x:.1} {top}V{bottom}\"/></g>"
            )?;
        }
        Ok(())
    }
}

/// The lane of each process.
fn lane_of(lanes: &Lanes, processes: usize) -> Vec<Option<usize>> {
    let mut lane_of = vec![None; processes];
    for (number, lane) in lanes.iter().enumerate() {
        for &index in lane {
            lane_of[index] = Some(number);
        }
    }
    lane_of
}

#[cfg(test)]
mod tests;
