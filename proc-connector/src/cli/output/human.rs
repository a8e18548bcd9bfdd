//! Events as text: one line each, in columns.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use proc_connector::process::Process;
use proc_connector::{Event, Lost, Payload, Received};
use unicode_width::UnicodeWidthStr;

use super::columns::{fitted, short_time};
use super::layout::{Cells, HEADINGS, Layout};
use super::moment::Moment;
use super::names::command_line;
use super::page::Page;
use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::{Screened, shown};

/// Writes events in columns: time, kind, id, user, detail, command. On a terminal the columns have
/// headings, which give the offset of the times from UTC. Elsewhere each time includes its offset.
#[derive(Debug)]
pub(crate) struct Human<W> {
    output: Screened<W>,
    page: Page,
    zone: &'static TimeZone,
    layout: Layout,
    /// The last heading of the time column. `None` before the first line, and after the columns have
    /// changed.
    heading: Option<String>,
}

impl<W: Write> Human<W> {
    /// Writes lines that fit the page, with times in this zone.
    pub(crate) fn new(output: Screened<W>, page: Page, zone: &'static TimeZone) -> Self {
        let layout = Layout::new(page.width());
        Self { output, page, zone, layout, heading: None }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        Item { time, process, user, .. }: &Item<'_>,
    ) -> io::Result<()> {
        let (style, kind, id, detail) = describe(event, *process);
        let moment = match *time {
            Some(time) => Moment::of_day(time, self.zone),
            None => Moment::SinceStart(Duration::from_nanos(event.timestamp_ns())),
        };
        let time = self.begin(&moment)?;
        let id = id.to_string();
        let user = shown(user.as_deref().unwrap_or_default());
        let command = process.and_then(command_line).unwrap_or_default();
        let cells = Cells { kind, id: &id, user: &user, detail: &detail, command: &command };
        let (kind, rest) = self.layout.line(cells);
        self.output.line(format_args!("{time}{style}{kind}{style:#}{rest}"))
    }

    fn lost(&mut self, lost: &Lost, time: Option<SystemTime>) -> io::Result<()> {
        let style = AnsiColor::Red.on_default().bold();
        let time = match time {
            Some(time) => self.begin(&Moment::of_day(time, self.zone))?,
            None => String::new(),
        };
        let left = self.page.width().map(|width| width.saturating_sub(time.width()));
        let lost = fitted(&format!("LOST     {lost}"), left);
        self.output.line(format_args!("{time}{style}{lost}{style:#}"))
    }

    /// The time at the beginning of a line. Writes new headings if the last ones do not match it.
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

    /// Fits the columns to the terminal, which may have changed its size.
    fn fit(&mut self) {
        let layout = Layout::new(self.page.width());
        if layout != self.layout {
            self.layout = layout;
            self.heading = None;
        }
    }
}

impl<W: Write> Sink for Human<W> {
    fn shows_users(&self) -> bool {
        true
    }

    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        match item.received {
            Received::Event(event) => self.event(event, item)?,
            Received::Lost(lost) => self.lost(lost, item.time)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()?;
        self.fit();
        Ok(())
    }
}

/// The style, the kind, the thread's id, and the detail of an event.
fn describe(event: &Event<'_>, process: Option<&Process>) -> (Style, &'static str, u32, String) {
    match event.payload() {
        Payload::Fork(e) => {
            let what = if e.child_pid() == e.child_tgid() {
                format!("by {}", e.parent_tgid())
            } else {
                format!("thread of {}", e.child_tgid())
            };
            (AnsiColor::Cyan.on_default(), "fork", e.child_pid(), what)
        }
        Payload::Exec(e) => (
            AnsiColor::Green.on_default(),
            "exec",
            e.process_pid(),
            thread(e.process_pid(), e.process_tgid()),
        ),
        Payload::Exit(e) => {
            let color = if e.status().success() { AnsiColor::Blue } else { AnsiColor::Red };
            let thread = thread(e.process_pid(), e.process_tgid());
            let lived = process.filter(|process| !process.is_alive());
            let what = match (thread.as_str(), lived.and_then(Process::lifetime_ns)) {
                ("", None) => e.status().to_string(),
                ("", Some(lived)) => format!("{} after {}", e.status(), short_time(lived)),
                (thread, _) => format!("{} ({thread})", e.status()),
            };
            (color.on_default(), "exit", e.process_pid(), what)
        }
        Payload::Uid(e) => {
            let what = format!("real {}, effective {}", e.ruid(), e.euid());
            (AnsiColor::Yellow.on_default(), "uid", e.process_pid(), what)
        }
        Payload::Gid(e) => {
            let what = format!("real {}, effective {}", e.rgid(), e.egid());
            (AnsiColor::Yellow.on_default(), "gid", e.process_pid(), what)
        }
        Payload::Sid(e) => {
            (AnsiColor::Yellow.on_default(), "sid", e.process_pid(), "new session".into())
        }
        Payload::Ptrace(e) => {
            let what = match e.tracer_tgid() {
                0 => "tracer gone".into(),
                tracer => format!("traced by {tracer}"),
            };
            (AnsiColor::Magenta.on_default(), "ptrace", e.process_pid(), what)
        }
        Payload::Comm(e) => {
            let what = format!("now \"{}\"", shown(e.name()).replace('"', "\\\""));
            (AnsiColor::Yellow.on_default(), "comm", e.process_pid(), what)
        }
        Payload::Coredump(e) => {
            (AnsiColor::Red.on_default(), "coredump", e.process_pid(), "dumps core".into())
        }
        _ => (Style::new(), "unknown", 0, format!("kind {:#x}", event.what())),
    }
}

fn thread(pid: u32, tgid: u32) -> String {
    if pid == tgid { String::new() } else { format!("thread of {tgid}") }
}
