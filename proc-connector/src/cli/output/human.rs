//! Events for the eye: one line each, in columns.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use proc_connector::process::Process;
use proc_connector::{Event, Filter, Lost, Payload, Received};
use unicode_width::UnicodeWidthStr;

use super::columns::{fitted, short_time};
use super::layout::{Cells, HEADINGS, Layout};
use super::moment::Moment;
use super::sink::Sink;
use crate::cli::host::zone;
use crate::cli::options::format::Page;
use crate::cli::pipeline::identify::{Subject, Who};
use crate::cli::shown::{Screened, shown};

/// Writes events in columns: time, kind, process, user, what happened, command. On a terminal they
/// have headings, which give the offset of the times from UTC; elsewhere each time has its own.
#[derive(Debug)]
pub(crate) struct Human<'a, W> {
    lines: Lines<W>,
    who: Who<'a>,
    filter: Filter,
}

#[derive(Debug)]
struct Lines<W> {
    output: Screened<W>,
    page: Page,
    layout: Layout,
    /// What was written as the heading of times; `None` before the first line, and when the columns
    /// have changed.
    heading: Option<String>,
}

impl<'a, W: Write> Human<'a, W> {
    /// Shows what passes the filter and is of a process of interest, in lines that fit the page.
    pub(crate) fn new(output: Screened<W>, who: Who<'a>, filter: Filter, page: Page) -> Self {
        // Before the first line: it may have something to say.
        zone::local();
        let layout = Layout::new(page.width());
        let lines = Lines { output, page, layout, heading: None };
        Self { lines, who, filter }
    }
}

impl<W: Write> Lines<W> {
    fn event(
        &mut self,
        event: &Event<'_>,
        subject: &Subject<'_>,
        time: Option<SystemTime>,
    ) -> io::Result<()> {
        let (style, kind, id, detail) = describe(event, subject);
        let since_start = || Moment::SinceStart(Duration::from_nanos(event.timestamp_ns()));
        let time = self.begin(&time.map_or_else(since_start, Moment::of_day))?;
        let id = id.to_string();
        let user = shown(subject.user().unwrap_or_default());
        let command = subject.command().unwrap_or_default();
        let cells = Cells { kind, id: &id, user: &user, detail: &detail, command: &command };
        let (kind, rest) = self.layout.line(cells);
        self.output.line(format_args!("{time}{style}{kind}{style:#}{rest}"))
    }

    fn lost(&mut self, lost: &Lost, time: Option<SystemTime>) -> io::Result<()> {
        let style = color(AnsiColor::Red).bold();
        let time = match time {
            Some(time) => self.begin(&Moment::of_day(time))?,
            None => String::new(),
        };
        let left = self.page.width().map(|width| width.saturating_sub(time.width()));
        let lost = fitted(&format!("LOST     {lost}"), left);
        self.output.line(format_args!("{time}{style}{lost}{style:#}"))
    }

    /// The beginning of a line of this time. Writes headings if those before do not fit it.
    fn begin(&mut self, time: &Moment) -> io::Result<String> {
        let width = self.layout.time();
        let text = time.text(width);
        if !self.page.has_headings() {
            return Ok(text + &time.offset() + "  ");
        }
        let heading = time.heading(width);
        if self.heading.as_ref() != Some(&heading) {
            let (kind, rest) = self.layout.line(HEADINGS);
            let gap = if width.is_some() { "  " } else { "" };
            let style = Style::new().bold();
            self.output.line(format_args!("{style}{heading}{gap}{kind}{rest}{style:#}"))?;
            self.heading = Some(heading);
        }
        Ok(if width.is_some() { text + "  " } else { text })
    }

    /// Looks at the terminal again: windows change their size.
    fn fit(&mut self) {
        let layout = Layout::new(self.page.width());
        if layout != self.layout {
            self.layout = layout;
            self.heading = None;
        }
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
        self.lines.output.flush()?;
        self.lines.fit();
        Ok(())
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
