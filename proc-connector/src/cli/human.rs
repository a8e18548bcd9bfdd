//! Events for the eye: one line each, in columns.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use proc_connector::{Event, Lost, Payload, Received};

use super::names::{Names, printable};
use super::sink::Sink;

/// Writes events in columns: time, kind, process, what happened, name.
#[derive(Debug)]
pub(super) struct Human<W> {
    output: W,
    names: Names,
    zone: TimeZone,
}

impl<W: Write> Human<W> {
    pub(super) fn new(output: W, names: Names) -> Self {
        Self { output, names, zone: TimeZone::system() }
    }

    fn event(&mut self, event: &Event<'_>, time: Option<SystemTime>) -> io::Result<()> {
        let name = self.names.update(event).unwrap_or_else(|| self.names.unknown().into());
        let (style, kind, id, what) = describe(event);
        let time = match time {
            Some(time) => self.time(time),
            // A capture without times of day: seconds since the machine's start have to do.
            None => format!("{:>15.6}", Duration::from_nanos(event.timestamp_ns()).as_secs_f64()),
        };
        let line = format!("{what:<28}  {name}");
        let line = line.trim_end();
        writeln!(self.output, "{time}  {style}{kind:<8}{style:#} {id:>7}  {line}")
    }

    fn lost(&mut self, lost: &Lost, time: Option<SystemTime>) -> io::Result<()> {
        self.names.clear();
        let style = color(AnsiColor::Red).bold();
        let time = time.map(|time| self.time(time)).unwrap_or_default();
        writeln!(self.output, "{time:<15}  {style}LOST     {lost}{style:#}")
    }

    fn time(&self, time: SystemTime) -> String {
        let time = Timestamp::try_from(time).unwrap_or_default().to_zoned(self.zone.clone());
        time.strftime("%H:%M:%S%.6f").to_string()
    }
}

impl<W: Write> Sink for Human<W> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<()> {
        match received {
            Received::Event(event) => self.event(event, time),
            Received::Lost(lost) => self.lost(lost, time),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Colour, kind, the id it is about, and what happened.
fn describe(event: &Event<'_>) -> (Style, &'static str, u32, String) {
    match event.payload() {
        Payload::Fork(e) => {
            let what = if e.child_pid() == e.child_tgid() {
                format!("by {}", e.parent_tgid())
            } else {
                format!("thread of {}", e.child_tgid())
            };
            (color(AnsiColor::Cyan), "fork", e.child_pid(), what)
        }
        Payload::Exec(e) => (
            color(AnsiColor::Green),
            "exec",
            e.process_pid(),
            thread(e.process_pid(), e.process_tgid()),
        ),
        Payload::Exit(e) => {
            let style = color(if e.status().success() { AnsiColor::Blue } else { AnsiColor::Red });
            let thread = thread(e.process_pid(), e.process_tgid());
            let what = match thread.as_str() {
                "" => e.status().to_string(),
                thread => format!("{} ({thread})", e.status()),
            };
            (style, "exit", e.process_pid(), what)
        }
        Payload::Uid(e) => {
            let what = format!("real {}, effective {}", e.ruid(), e.euid());
            (color(AnsiColor::Yellow), "uid", e.process_pid(), what)
        }
        Payload::Gid(e) => {
            let what = format!("real {}, effective {}", e.rgid(), e.egid());
            (color(AnsiColor::Yellow), "gid", e.process_pid(), what)
        }
        Payload::Sid(e) => (color(AnsiColor::Yellow), "sid", e.process_pid(), "new session".into()),
        Payload::Ptrace(e) => {
            let what = match e.tracer_tgid() {
                0 => "tracer gone".into(),
                tracer => format!("traced by {tracer}"),
            };
            (color(AnsiColor::Magenta), "ptrace", e.process_pid(), what)
        }
        Payload::Comm(e) => {
            let what = format!("now \"{}\"", printable(e.name()));
            (color(AnsiColor::Yellow), "comm", e.process_pid(), what)
        }
        Payload::Coredump(e) => {
            (color(AnsiColor::Red), "coredump", e.process_pid(), "dumps core".into())
        }
        _ => (Style::new(), "unknown", 0, format!("kind {:#x}", event.what())),
    }
}

fn thread(pid: u32, tgid: u32) -> String {
    if pid == tgid { String::new() } else { format!("thread of {tgid}") }
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}
