//! An outer `trace --otlp`, which sends the processes of a nested one with its own.
//!
//! The outer program describes itself in a variable, which all processes of its command inherit. The
//! variable can outlive the program, or leave its tree by way of a server, so a nested program believes
//! it only if the described process exists and is one of its ancestors.

use std::fmt;
use std::fs;

/// The variable.
pub(super) const NAME: &str = "PROC_CONNECTOR_TRACE";

/// A running `trace --otlp` and its trace: `PID-START-TRACE URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outer {
    process: Process,
    trace_id: u128,
    /// The URL that the spans are sent to.
    url: String,
}

/// A process in the namespace of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    /// The start of the process, in the unit of `/proc/PID/stat`.
    start: u64,
}

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process: Process { pid, start }, trace_id, url } = self;
        write!(f, "{pid}-{start}-{trace_id:032x} {url}")
    }
}

impl Outer {
    /// This program. Returns nothing if it is not in `/proc`.
    pub(super) fn this_program(trace_id: u128, url: &str) -> Option<Self> {
        let (process, _) = read(std::process::id())?;
        Some(Self { process, trace_id, url: url.to_owned() })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (process, url) = text.split_once(' ')?;
        let mut fields = process.split('-');
        let process =
            Process { pid: fields.next()?.parse().ok()?, start: fields.next()?.parse().ok()? };
        let trace_id = u128::from_str_radix(fields.next()?, 16).ok()?;
        let is_complete = fields.next().is_none();
        is_complete.then(|| Self { process, trace_id, url: url.to_owned() })
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Whether it sends the processes of this program's command to the same trace at the same receiver.
    pub(super) fn sends(&self, trace_id: u128, url: &str) -> bool {
        self.trace_id == trace_id && self.url == url && is_ancestor(self.process)
    }
}

/// Whether a process is an ancestor of this one. A parent that has ended ends the search.
fn is_ancestor(wanted: Process) -> bool {
    let mut next = std::os::unix::process::parent_id();
    while next > 1 {
        match read(next) {
            Some((process, _)) if process == wanted => return true,
            Some((_, parent)) => next = parent,
            None => return false,
        }
    }
    false
}

/// A process and the id of its parent.
fn read(pid: u32) -> Option<(Process, u32)> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain any byte.
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
    // `proc(5)` counts the fields from 1; this iterator starts with the third.
    let mut fields = fields.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((Process { pid, start }, parent))
}

#[cfg(test)]
mod tests {
    use super::{Outer, Process, is_ancestor, read};

    const URL: &str = "http://[::1]:4318/v1/traces";

    #[test]
    fn the_variable_is_written_and_read() {
        let process = Process { pid: 12, start: 345 };
        let outer = Outer { process, trace_id: 0xabc, url: URL.to_owned() };
        let text = outer.to_string();
        assert_eq!(text, format!("12-345-{}abc {URL}", "0".repeat(29)));
        assert_eq!(Outer::parse(&text), Some(outer));
        for text in
            ["", " ", "12-345-abc", "12-345 x", "12-345-abc-1 x", "-1-345-abc x", "12-x-abc y"]
        {
            assert_eq!(Outer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ancestors_are_told_apart_from_their_successors() {
        let (parent, grandparent) = read(std::os::unix::process::parent_id()).expect("a parent");
        assert!(is_ancestor(parent));
        if let Some((grandparent, _)) = read(grandparent).filter(|(process, _)| process.pid > 1) {
            assert!(is_ancestor(grandparent));
        }
        assert!(!is_ancestor(Process { start: parent.start + 1, ..parent }));
        let (own, ppid) = read(std::process::id()).expect("this process");
        assert!(!is_ancestor(own));
        assert_eq!(ppid, parent.pid);
        // The start of this process is that in its record of `/proc`.
        let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        assert_eq!(fields.split(' ').nth(19), Some(&*own.start.to_string()));
    }

    #[test]
    fn only_the_same_trace_at_the_same_receiver_is_sent_by_an_ancestor() {
        let (process, _) = read(std::os::unix::process::parent_id()).expect("a parent");
        let outer = Outer { process, trace_id: 7, url: URL.to_owned() };
        assert!(outer.sends(7, URL));
        assert!(!outer.sends(8, URL));
        assert!(!outer.sends(7, "http://localhost:4318/v1/traces"));
        assert_eq!(Outer::this_program(7, URL).map(|outer| outer.sends(7, URL)), Some(false));
    }
}
