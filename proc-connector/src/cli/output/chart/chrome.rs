//! The timeline as trace events, for Perfetto (<https://ui.perfetto.dev>) and Chrome's own viewer.
//!
//! This is the object form of the Trace Event Format. The events of a thread in that format must nest
//! or be disjoint. So each lane of the timeline becomes a thread, and children are below their
//! creators, as in the SVG timeline. A thread id must belong to one process only, and must not be zero.

mod counters;
mod details;
mod event;

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::shown::json;

use self::counters::counters;
use self::details::details;
use self::event::Event;
use super::forest::{Forest, Program};
use super::lanes::Lanes;

/// Writes the forest.
pub(crate) fn write(forest: &Forest, title: &str, output: &mut impl Write) -> io::Result<()> {
    let lanes = Lanes::new(forest);
    writeln!(output, "{{\"displayTimeUnit\":\"ms\",\"otherData\":")?;
    let totals = forest.totals();
    let other = json!({
        "title": title,
        "begin_ns": forest.begin_ns,
        "processes": totals.processes,
        "failed": totals.failed,
        "running": totals.running,
        "lost": totals.lost,
        "left_out": lanes.left_out(),
    });
    json::write(output, &other)?;
    write!(output, ",\n\"traceEvents\":[\n")?;
    let mut events = Events { output, begin_ns: forest.begin_ns, first: true };
    events.put(&Event::metadata("process_name", None, json!({"name": title})))?;
    events.counters(forest)?;
    let children = drawn_children(forest, &lanes);
    for (tid, lane) in (1_u32..).zip(lanes.iter()) {
        events.put(&Event::metadata("thread_name", tid, json!({"name": format!("lane {tid}")})))?;
        events.put(&Event::metadata("thread_sort_index", tid, json!({"sort_index": tid})))?;
        for &index in lane {
            events.process(forest, index, &children[index], tid)?;
        }
    }
    for loss in &forest.losses {
        events.put(&Event {
            s: Some("g"),
            ts: Some(events.micros(loss.at_ns)),
            ..Event::new("events lost", "i", None, json!({"count": loss.count}))
        })?;
    }
    writeln!(output, "\n]}}")
}

/// The children of each process that have a lane and started during its life.
fn drawn_children(forest: &Forest, lanes: &Lanes) -> Vec<Vec<usize>> {
    let mut is_drawn = vec![false; forest.lives.len()];
    for &index in lanes.iter().flatten() {
        is_drawn[index] = true;
    }
    let (mut children, _) = forest.families();
    for (creator, children) in children.iter_mut().enumerate() {
        children.retain(|&child| is_drawn[child] && is_fork_inside(forest, creator, child));
    }
    children
}

/// Whether the start of a child is known, and within the life of its creator. Otherwise, a viewer would
/// have no slice to attach the fork to.
fn is_fork_inside(forest: &Forest, creator: usize, child: usize) -> bool {
    let span = forest.start(creator)..=forest.end(creator);
    forest.lives[child].start_ns.is_some() && span.contains(&forest.start(child))
}

/// The list of events, while it is written.
struct Events<'a, W> {
    output: &'a mut W,
    begin_ns: u64,
    first: bool,
}

/// A point in the life of a process.
#[derive(Clone, Copy)]
enum Moment<'a> {
    Exec(&'a Program),
    /// The fork of a child.
    Fork(usize),
}

impl<W: Write> Events<'_, W> {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.output.write_all(b",\n")?;
        }
        json::write(self.output, event)
    }

    /// Microseconds since the start of the chart.
    fn micros(&self, ns: u64) -> f64 {
        micros(ns.saturating_sub(self.begin_ns))
    }

    fn counters(&mut self, forest: &Forest) -> io::Result<()> {
        for counter in counters(forest) {
            for (at, value) in counter.points {
                let ts = Some(self.micros(at));
                let args = json!({ counter.key: value });
                self.put(&Event { ts, ..Event::new(counter.name, "C", None, args) })?;
            }
        }
        Ok(())
    }

    /// Writes a process, then the moments of its life in the order of time.
    fn process(
        &mut self,
        forest: &Forest,
        index: usize,
        children: &[usize],
        tid: u32,
    ) -> io::Result<()> {
        let life = &forest.lives[index];
        let name = life.name_or_pid();
        let start = self.micros(forest.start(index));
        self.put(&Event {
            cat: Some("process"),
            ts: Some(start),
            dur: Some(micros(forest.duration(index))),
            cname: life.failed().then_some("terrible"),
            ..Event::new(&name, "X", tid, details(forest, index))
        })?;
        let creator = life.creator.filter(|&creator| is_fork_inside(forest, creator, index));
        if creator.is_some() {
            let end = flow("f", index, start, tid);
            self.put(&Event { bp: Some("e"), ..end })?;
        }
        let execs = life
            .programs
            .iter()
            .filter_map(|program| Some((program.at_ns?, Moment::Exec(program))));
        let forks = children.iter().map(|&child| (forest.start(child), Moment::Fork(child)));
        let mut moments: Vec<(u64, Moment<'_>)> = execs.chain(forks).collect();
        moments.sort_by_key(|&(at, _)| at);
        for (at, moment) in moments {
            let ts = self.micros(at);
            match moment {
                Moment::Exec(program) => self.exec(program, ts, tid)?,
                Moment::Fork(child) => self.fork(forest.lives[child].tgid, child, ts, tid)?,
            }
        }
        Ok(())
    }

    fn exec(&mut self, program: &Program, ts: f64, tid: u32) -> io::Result<()> {
        let command = program.command.as_deref().or(program.name.as_deref());
        self.put(&Event {
            cat: Some("exec"),
            ts: Some(ts),
            s: Some("t"),
            ..Event::new("exec", "i", tid, json!({"command": command}))
        })
    }

    /// Writes the start of a flow to a child. A trace processor attaches it to the last slice of the
    /// lane, and an instant event is a slice there.
    fn fork(&mut self, pid: u32, child: usize, ts: f64, tid: u32) -> io::Result<()> {
        self.put(&Event {
            cat: Some("fork"),
            ts: Some(ts),
            s: Some("t"),
            ..Event::new("fork", "i", tid, json!({"child": pid}))
        })?;
        self.put(&flow("s", child, ts, tid))
    }
}

/// One end of the flow from a process to its child.
fn flow(ph: &'static str, child: usize, ts: f64, tid: u32) -> Event<'static> {
    // A zero would stand for no flow in some readers.
    let id = Some(child + 1);
    Event { cat: Some("fork"), ts: Some(ts), id, ..Event::new("fork", ph, tid, Value::Null) }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to a hundred days")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests;
