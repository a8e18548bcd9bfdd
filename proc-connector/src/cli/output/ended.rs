//! The ends of processes as text and as JSON: one line for each process.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use proc_connector::process::Process;
use serde::Serialize;

use super::columns::{write_number, write_short_size, write_short_time};
use super::json::{EndKeys, IdText, ProcessKeys};
use super::names::write_command_line;
use super::sink::End;
use crate::cli::shown::{Screened, Styles, json};

/// A process that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) tgid: u32,
    pub(crate) end: End,
    /// The process in its last state, if that is known.
    pub(crate) process: Option<Arc<Process>>,
    /// The name of its effective user.
    pub(crate) user: Option<String>,
}

/// Writes ends of processes, each as soon as it is known.
#[derive(Debug)]
pub(crate) struct EndedWriter<W> {
    output: W,
    is_json: bool,
}

/// An end as an object.
#[derive(Serialize)]
struct EndedKeys<'a> {
    tgid: u32,
    #[serde(flatten)]
    end: EndKeys,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessKeys<'a>>,
}

impl<W: Write> EndedWriter<W> {
    pub(crate) fn new(output: W, is_json: bool) -> Self {
        Self { output, is_json }
    }

    pub(crate) fn write(&mut self, ended: &Ended) -> io::Result<()> {
        if self.is_json {
            json::line(&mut self.output, &EndedKeys::new(ended, &mut IdText::default()))?;
        } else {
            let mut output = Screened::new(&mut self.output, Styles::Dropped);
            output.write_line(&mut text(ended))?;
        }
        self.output.flush()
    }
}

impl<'a> EndedKeys<'a> {
    fn new(ended: &'a Ended, id: &'a mut IdText) -> Self {
        let process = ended.process.as_deref();
        Self {
            tgid: ended.tgid,
            end: EndKeys::new(&ended.end),
            process: process.map(|process| ProcessKeys::new(process, ended.user.as_deref(), id)),
        }
    }
}

/// The id, the end and the command of a process.
fn text(ended: &Ended) -> String {
    let (mut detail, mut more) = (String::new(), String::new());
    write_end(&ended.end, &mut detail, &mut more);
    if ended.end.status.is_none() {
        detail.push_str(if detail.is_empty() { "ended" } else { "" });
        detail.push_str(", status unknown");
    }
    let mut line = format!("{}  {detail}{more}", ended.tgid);
    if let Some(process) = &ended.process {
        line.push_str("  ");
        write_command_line(process, &mut line);
    }
    line.truncate(line.trim_end().len());
    line
}

/// The end of a process: `exit 3 after 12 ms`, and more: `, 9.8 ms CPU, 34M`.
pub(super) fn write_end(end: &End, detail: &mut String, more: &mut String) {
    if let Some(status) = end.status {
        match status.code().filter(|_| !status.core_dumped()) {
            Some(code) => {
                detail.push_str("exit ");
                write_number(code, detail);
            }
            // Writing to a string cannot fail.
            None => write!(detail, "{status}").unwrap_or_default(),
        }
    }
    if let Some(lived) = end.lifetime_ns {
        detail.push_str(if end.status.is_some() { " after " } else { "ended after " });
        write_short_time(lived, detail);
    }
    let Some(usage) = end.usage else { return };
    more.push_str(", ");
    write_short_time(usage.cpu_ns, more);
    more.push_str(" CPU");
    if let Some(peak) = usage.max_rss {
        more.push_str(", ");
        write_short_size(peak, more);
    }
}

#[cfg(test)]
mod tests {
    use proc_connector::ExitStatus;
    use proc_connector::parser::Usage;

    use super::{End, Ended, EndedWriter};

    fn lines(end: End) -> [String; 2] {
        [false, true].map(|is_json| {
            let mut writer = EndedWriter::new(Vec::new(), is_json);
            let ended = Ended { tgid: 7, end, process: None, user: None };
            writer.write(&ended).expect("memory");
            String::from_utf8(writer.output).expect("text")
        })
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let status = |raw| Some(ExitStatus::from_raw(raw));
        let usage = Usage { cpu_ns: 9_876_543, max_rss: Some(34 << 20), ..Usage::default() };
        let lifetime_ns = Some(12_000_000);
        for (end, text, json) in [
            (
                End::default(),
                "7  ended, status unknown\n",
                r#"{"tgid":7,"code":null,"signal":null,"core_dumped":null}"#,
            ),
            (
                End { status: status(0x300), ..End::default() },
                "7  exit 3\n",
                r#"{"tgid":7,"code":3,"signal":null,"core_dumped":false}"#,
            ),
            (
                End { lifetime_ns, ..End::default() },
                "7  ended after 12 ms, status unknown\n",
                r#"{"tgid":7,"code":null,"signal":null,"core_dumped":null,"lifetime_ns":12000000}"#,
            ),
            (
                End { status: status(0x8b), lifetime_ns, usage: Some(usage) },
                "7  killed by SIGSEGV (core dumped) after 12 ms, 9.8 ms CPU, 34M\n",
                concat!(
                    r#"{"tgid":7,"code":null,"signal":11,"core_dumped":true,"#,
                    r#""lifetime_ns":12000000,"usage":{"cpu_ns":9876543,"user_ns":9876543,"#,
                    r#""system_ns":0,"max_rss":35651584,"min_flt":0,"maj_flt":0,"nvcsw":0,"#,
                    r#""nivcsw":0,"read_bytes":0,"write_bytes":0}}"#,
                ),
            ),
        ] {
            assert_eq!(lines(end), [text.to_owned(), format!("{json}\n")]);
        }
    }
}
