//! Events for the eye: one line each, in columns.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use proc_connector::process::Process;
use proc_connector::{Event, Filter, Lost, Payload, Received};

use super::columns::{fitted, padded, short_time};
use super::shown::{Screened, shown};
use super::sink::Sink;
use super::who::{Subject, Who};

/// Writes events in columns: time, kind, process, user, what happened, command.
#[derive(Debug)]
pub(super) struct Human<'a, W> {
    lines: Lines<W>,
    who: Who<'a>,
    filter: Filter,
}

#[derive(Debug)]
struct Lines<W> {
    output: Screened<W>,
    zone: TimeZone,
    /// Lines of the terminal, if it is one and lines are to fit.
    width: Option<usize>,
}

impl<'a, W: Write> Human<'a, W> {
    /// Shows what passes the filter and is of a process of interest, in lines that fit `width`.
    pub(super) fn new(
        output: Screened<W>,
        who: Who<'a>,
        filter: Filter,
        width: Option<usize>,
    ) -> Self {
        Self { lines: Lines { output, zone: TimeZone::system(), width }, who, filter }
    }
}

impl<W: Write> Lines<W> {
    fn event(
        &mut self,
        event: &Event<'_>,
        subject: &Subject<'_>,
        time: Option<SystemTime>,
    ) -> io::Result<()> {
        let (style, kind, id, what) = describe(event, subject);
        let time = match time {
            Some(time) => self.time(time),
            // A capture without times of day: seconds since the machine's start have to do.
            None => format!("{:>15.6}", Duration::from_nanos(event.timestamp_ns()).as_secs_f64()),
        };
        let user = padded(&shown(subject.user().unwrap_or_default()), 8);
        let command = subject.command().unwrap_or_default();
        let rest = format!(" {id:>7}  {user}  {}  {command}", padded(&what, 24));
        // The time and the kind are before it.
        let rest = fitted(rest.trim_end(), self.width.map(|width| width.saturating_sub(25)));
        self.output.line(format_args!("{time}  {style}{kind:<8}{style:#}{rest}"))
    }

    fn lost(&mut self, lost: &Lost, time: Option<SystemTime>) -> io::Result<()> {
        let style = color(AnsiColor::Red).bold();
        let time = time.map(|time| self.time(time)).unwrap_or_default();
        self.output.line(format_args!("{time:<15}  {style}LOST     {lost}{style:#}"))
    }

    fn time(&self, time: SystemTime) -> String {
        let time = Timestamp::try_from(time).unwrap_or_default().to_zoned(self.zone.clone());
        time.strftime("%H:%M:%S%.6f").to_string()
    }
}

impl<W: Write> Sink for Human<'_, W> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool> {
        let subject = self.who.update(received);
        match received {
            Received::Event(event) if subject.is_wanted && self.filter.matches(event) => {
                self.lines.event(event, &subject, time)?;
                Ok(true)
            }
            Received::Event(_) => Ok(false),
            Received::Lost(lost) => self.lines.lost(lost, time).map(|()| false),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.output.flush()
    }

    fn due_in(&self) -> Option<Duration> {
        self.who.due_in()
    }

    fn catch_up(&mut self) {
        self.who.catch_up();
    }
}

/// Colour, kind, the id it is about, and what happened.
fn describe(event: &Event<'_>, subject: &Subject<'_>) -> (Style, &'static str, u32, String) {
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
            let lived = subject.process.filter(|process| !process.is_alive());
            let what = match (thread.as_str(), lived.and_then(Process::lifetime_ns)) {
                ("", None) => e.status().to_string(),
                ("", Some(lived)) => format!("{} after {}", e.status(), short_time(lived)),
                (thread, _) => format!("{} ({thread})", e.status()),
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
            let what = format!("now \"{}\"", shown(e.name()).replace('"', "\\\""));
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
