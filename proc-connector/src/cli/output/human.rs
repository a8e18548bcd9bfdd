//! Events as text: one line each, in columns.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use proc_connector::{Event, Lost, Payload, Received};
use unicode_width::UnicodeWidthStr;

use super::columns::{fitted, write_number};
use super::ended::write_end;
use super::layout::{Cells, HEADINGS, Layout};
use super::moment::{Clock, Moment};
use super::names::write_command_line;
use super::page::Page;
use super::sink::{Item, Sink};
use crate::cli::failure::Failure;
use crate::cli::shown::{Screened, show};

/// Writes events in columns: time, kind, id, user, detail, command. On a terminal the columns have
/// headings, which give the offset of the times from UTC. Elsewhere each time includes its offset.
///
/// An exit is shown with the status and the lifetime of its process if it is the end of the process.
#[derive(Debug)]
pub(crate) struct Human<W> {
    output: Screened<W>,
    columns: Columns,
    clock: Clock,
    layout: Layout,
    /// The offset from UTC in the last heading. `None` before the first line, and after the columns
    /// have changed.
    heading: Option<String>,
    text: Text,
}

/// The properties of lines in columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) page: Page,
    /// Whether threads are shown.
    pub(crate) threads: bool,
}

/// The buffers of a line, reused for all lines.
#[derive(Debug, Default)]
struct Text {
    line: String,
    id: String,
    user: String,
    detail: String,
    more: String,
    command: String,
}

impl<W: Write> Human<W> {
    /// Writes lines with times in this zone.
    pub(crate) fn new(output: Screened<W>, columns: Columns, zone: &'static TimeZone) -> Self {
        let layout = Layout::new(columns.page.width());
        let (clock, text) = (Clock::new(zone), Text::default());
        Self { output, columns, clock, layout, heading: None, text }
    }

    fn event(&mut self, event: &Event<'_>, item: &Item<'_>) -> io::Result<()> {
        if let (Payload::Exit(exit), Some(_)) = (event.payload(), item.end) {
            let is_of_first = exit.process_pid() == exit.process_tgid();
            if is_of_first || !self.columns.threads {
                return self.end(event, item);
            }
        }
        self.text.clear();
        let (style, kind, id) = describe(event, &mut self.text.detail);
        self.row(event, item, style, kind, id)?;
        if item.end.is_some() { self.end(event, item) } else { Ok(()) }
    }

    /// Writes the end of a process.
    fn end(&mut self, event: &Event<'_>, item: &Item<'_>) -> io::Result<()> {
        let tgid = match item.process {
            Some(process) => process.tgid(),
            None => event.process().map_or(0, |ids| ids.tgid),
        };
        let end = item.end.unwrap_or_default();
        self.text.clear();
        write_end(&end, &mut self.text.detail, &mut self.text.more);
        let color = if end.is_failure() { AnsiColor::Red } else { AnsiColor::Blue };
        self.row(event, item, color.on_default(), "exit", tgid)
    }

    /// Writes a line with the details in the buffers.
    fn row(
        &mut self,
        event: &Event<'_>,
        item: &Item<'_>,
        style: Style,
        kind: &str,
        id: u32,
    ) -> io::Result<()> {
        let moment = match item.time {
            Some(time) => Moment::OfDay(time),
            None => Moment::SinceStart(Duration::from_nanos(event.timestamp_ns())),
        };
        self.begin(moment)?;
        let Text { line, id: id_text, user, detail, more, command } = &mut self.text;
        let has_style = self.output.has_styles();
        write_number(id, id_text);
        show(item.user.as_deref().unwrap_or_default().as_bytes(), user);
        if let Some(process) = item.process {
            write_command_line(process, command);
        }
        // Writing to a string cannot fail.
        let _ = if has_style { write!(line, "{style}") } else { Ok(()) };
        self.layout.write_kind(kind, line);
        let _ = if has_style { write!(line, "{style:#}") } else { Ok(()) };
        self.layout.write_rest(Cells { kind, id: id_text, user, detail, more, command }, line);
        self.output.write_line(line)
    }

    fn lost(&mut self, lost: &Lost, time: Option<SystemTime>) -> io::Result<()> {
        let style = AnsiColor::Red.on_default().bold();
        self.text.clear();
        if let Some(time) = time {
            self.begin(Moment::OfDay(time))?;
        }
        let line = &self.text.line;
        let left = self.columns.page.width().map(|width| width.saturating_sub(line.width()));
        let lost = fitted(&format!("LOST     {lost}"), left);
        self.output.line(format_args!("{line}{style}{lost}{style:#}"))
    }

    /// Begins a line with its time. Writes new headings if the last ones do not match it.
    fn begin(&mut self, moment: Moment) -> io::Result<()> {
        let Self { output, clock, layout, heading, text: Text { line, .. }, .. } = self;
        let width = layout.time();
        if !self.columns.page.has_headings() {
            clock.write_with_offset(moment, line);
            line.push_str("  ");
            return Ok(());
        }
        let offset = clock.offset(moment);
        if heading.as_deref() != Some(offset) {
            *heading = Some(offset.to_owned());
            let style = Style::new().bold();
            let mut names = format!("{style}{}", clock.heading(moment, width));
            if width.is_some() {
                names.push_str("  ");
            }
            layout.write_kind(HEADINGS.kind, &mut names);
            layout.write_rest(HEADINGS, &mut names);
            output.line(format_args!("{names}{style:#}"))?;
        }
        clock.write(moment, width, line);
        if width.is_some() {
            line.push_str("  ");
        }
        Ok(())
    }

    /// Fits the columns to the terminal, which may have changed its size.
    fn fit(&mut self) {
        let layout = Layout::new(self.columns.page.width());
        if layout != self.layout {
            self.layout = layout;
            self.heading = None;
        }
    }
}

impl Text {
    fn clear(&mut self) {
        for buffer in [
            &mut self.line,
            &mut self.id,
            &mut self.user,
            &mut self.detail,
            &mut self.more,
            &mut self.command,
        ] {
            buffer.clear();
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

    fn write_end(&mut self, item: &Item<'_>) -> Result<bool, Failure> {
        if let Received::Event(event) = item.received {
            self.end(event, item)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()?;
        self.fit();
        Ok(())
    }
}

/// The style, the kind and the thread's id of an event. Appends its detail.
fn describe(event: &Event<'_>, detail: &mut String) -> (Style, &'static str, u32) {
    // Writing to a string cannot fail.
    let (color, kind, id, _) = match event.payload() {
        Payload::Fork(e) => {
            let (relation, id) = if e.child_pid() == e.child_tgid() {
                ("by ", e.parent_tgid())
            } else {
                ("thread of ", e.child_tgid())
            };
            detail.push_str(relation);
            write_number(id, detail);
            (AnsiColor::Cyan, "fork", e.child_pid(), Ok(()))
        }
        Payload::Exec(e) => {
            let (pid, tgid) = (e.process_pid(), e.process_tgid());
            let written = if pid == tgid { Ok(()) } else { write!(detail, "thread of {tgid}") };
            (AnsiColor::Green, "exec", pid, written)
        }
        Payload::Exit(e) => {
            let (pid, tgid, status) = (e.process_pid(), e.process_tgid(), e.status());
            let color = if status.success() { AnsiColor::Blue } else { AnsiColor::Red };
            let written = if pid == tgid {
                write!(detail, "{status} (first thread)")
            } else {
                write!(detail, "{status} (thread of {tgid})")
            };
            (color, "exit", pid, written)
        }
        Payload::Uid(e) => {
            let written = write_ids(detail, e.ruid(), e.euid());
            (AnsiColor::Yellow, "uid", e.process_pid(), written)
        }
        Payload::Gid(e) => {
            let written = write_ids(detail, e.rgid(), e.egid());
            (AnsiColor::Yellow, "gid", e.process_pid(), written)
        }
        Payload::Sid(e) => {
            (AnsiColor::Yellow, "sid", e.process_pid(), detail.write_str("new session"))
        }
        Payload::Ptrace(e) => {
            let written = match e.tracer_tgid() {
                0 => detail.write_str("tracer gone"),
                tracer => write!(detail, "traced by {tracer}"),
            };
            (AnsiColor::Magenta, "ptrace", e.process_pid(), written)
        }
        Payload::Comm(e) => {
            detail.push_str("now \"");
            let start = detail.len();
            show(e.name(), detail);
            if detail[start..].contains('"') {
                let name = detail[start..].replace('"', "\\\"");
                detail.replace_range(start.., &name);
            }
            detail.push('"');
            (AnsiColor::Yellow, "comm", e.process_pid(), Ok(()))
        }
        Payload::Coredump(e) => {
            (AnsiColor::Red, "coredump", e.process_pid(), detail.write_str("dumps core"))
        }
        _ => {
            let _ = write!(detail, "kind {:#x}", event.what());
            return (Style::new(), "unknown", 0);
        }
    };
    (color.on_default(), kind, id)
}

fn write_ids(detail: &mut String, real: u32, effective: u32) -> fmt::Result {
    // No task has the id -1, which the events of an anonymous recording have.
    if real == u32::MAX || effective == u32::MAX {
        return detail.write_str("changed");
    }
    write!(detail, "real {real}, effective {effective}")
}
