//! The timeline as trace events, for Perfetto (<https://ui.perfetto.dev>) and Chrome's own viewer.
//!
//! This is the object form of the Trace Event Format. The events of a thread in that format must nest
//! or be disjoint. So each lane of the timeline becomes a thread, and children are below their
//! creators, as in the SVG timeline. A thread id must belong to one process only, and must not be zero.

use std::collections::HashMap;
use std::io::{self, Write};

use proc_connector::ExitStatus;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::shown::json;

use super::forest::{Forest, Life};
use super::lanes::Lanes;

/// The only process of the trace, whose threads are the lanes.
const PID: u32 = 1;

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
    events.put(&metadata("process_name", None, json!({"name": title})))?;
    for (tid, lane) in (1_u32..).zip(lanes.iter()) {
        events.put(&metadata("thread_name", tid, json!({"name": format!("lane {tid}")})))?;
        events.put(&metadata("thread_sort_index", tid, json!({"sort_index": tid})))?;
        for &index in lane {
            events.process(forest, index, tid)?;
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

/// An event, with the keys of the format.
#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    ph: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    pid: u32,
    /// `None` if the event concerns the whole process.
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// The scope of an instant event.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
    /// A colour name that the viewers know.
    #[serde(skip_serializing_if = "Option::is_none")]
    cname: Option<&'a str>,
    args: Value,
}

impl<'a> Event<'a> {
    fn new(name: &'a str, ph: &'a str, tid: impl Into<Option<u32>>, args: Value) -> Self {
        let (cat, ts, dur, s, cname) = (None, None, None, None, None);
        Self { name, ph, cat, pid: PID, tid: tid.into(), ts, dur, s, cname, args }
    }
}

fn metadata(name: &str, tid: impl Into<Option<u32>>, args: Value) -> Event<'_> {
    Event::new(name, "M", tid, args)
}

/// The list of events, while it is written.
struct Events<'a, W> {
    output: &'a mut W,
    begin_ns: u64,
    first: bool,
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

    fn process(&mut self, forest: &Forest, index: usize, tid: u32) -> io::Result<()> {
        let life = &forest.lives[index];
        let name = life.name_or_pid();
        self.put(&Event {
            cat: Some("process"),
            ts: Some(self.micros(forest.start(index))),
            dur: Some(micros(forest.duration(index))),
            cname: life.failed().then_some("terrible"),
            ..Event::new(&name, "X", tid, args(forest, life))
        })?;
        for program in &life.programs {
            let Some(at) = program.at_ns else { continue };
            let command = program.command.as_deref().or(program.name.as_deref());
            self.put(&Event {
                cat: Some("exec"),
                ts: Some(self.micros(at)),
                s: Some("t"),
                ..Event::new("exec", "i", tid, json!({"command": command}))
            })?;
        }
        Ok(())
    }
}

/// The details that a viewer shows of a selected process.
fn args(forest: &Forest, life: &Life) -> Value {
    let creator = life.creator.map(|creator| forest.lives[creator].tgid);
    let mut args = HashMap::from([
        ("pid", json!(life.tgid)),
        ("command", json!(life.command())),
        ("end", json!(life.outcome())),
    ]);
    let known = [
        ("parent", creator.map(u64::from)),
        ("exit_code", life.status.and_then(ExitStatus::code).map(u64::from)),
        ("signal", life.status.and_then(ExitStatus::signal).map(u64::from)),
        ("threads", Some(life.threads).filter(|&threads| threads > 0).map(u64::from)),
        ("cpu_ns", life.usage.map(|usage| usage.cpu_ns)),
        ("max_rss", life.usage.and_then(|usage| usage.max_rss)),
        ("read_bytes", life.io.map(|io| io.read)),
        ("write_bytes", life.io.map(|io| io.written)),
    ];
    args.extend(known.into_iter().filter_map(|(key, value)| Some((key, json!(value?)))));
    json!(args)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to a hundred days")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests;
