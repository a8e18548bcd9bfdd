//! What processes are called: as the kernel noted it at the event, else from `/proc` while they are
//! there, and from memory afterwards.
//! In a recording, where `/proc` would tell of others, only from what they call themselves.

use std::collections::HashMap;
use std::fs;

use proc_connector::{Event, Payload};

/// Names of processes, by process id.
#[derive(Debug)]
pub(super) struct Names {
    by_tgid: HashMap<u32, String>,
    /// Whether the processes are this machine's, now.
    live: bool,
}

impl Names {
    /// Of this machine's processes.
    pub(super) fn live() -> Self {
        Self { by_tgid: HashMap::new(), live: true }
    }

    /// Of processes elsewhere, or long gone.
    pub(super) fn recorded() -> Self {
        Self { live: false, ..Self::live() }
    }

    /// Learns from an event, and says what the process that it is about is called.
    pub(super) fn update(&mut self, event: &Event<'_>) -> Option<String> {
        match event.payload() {
            Payload::Exec(exec) => {
                let tgid = exec.process_tgid();
                // Whatever it was called before.
                self.by_tgid.remove(&tgid);
                let name = noted(event)
                    .or_else(|| self.ask(command_line, tgid))
                    .or_else(|| self.ask(comm, tgid))?;
                self.by_tgid.insert(tgid, name.clone());
                Some(name)
            }
            Payload::Fork(fork) => {
                // A child runs its parent's program until it executes another.
                let name = self.name(fork.parent_tgid())?;
                if fork.child_pid() == fork.child_tgid() {
                    self.by_tgid.insert(fork.child_tgid(), name.clone());
                    return Some(name);
                }
                self.name(fork.child_tgid())
            }
            Payload::Exit(exit) if exit.process_pid() == exit.process_tgid() => {
                let tgid = exit.process_tgid();
                // A zombie keeps its short name until its parent asks for its status.
                self.by_tgid.remove(&tgid).or_else(|| self.ask(comm, tgid))
            }
            Payload::Exit(exit) => self.by_tgid.get(&exit.process_tgid()).cloned(),
            Payload::Uid(uid) => self.name(uid.process_tgid()),
            Payload::Gid(gid) => self.name(gid.process_tgid()),
            Payload::Sid(sid) => self.name(sid.process_tgid()),
            Payload::Ptrace(ptrace) => self.name(ptrace.process_tgid()),
            Payload::Comm(comm) if !self.live && comm.process_pid() == comm.process_tgid() => {
                let name = printable(comm.name());
                self.by_tgid.insert(comm.process_tgid(), name.clone());
                Some(name)
            }
            Payload::Comm(comm) => self.name(comm.process_tgid()),
            Payload::Coredump(dump) => self.name(dump.process_tgid()),
            _ => None,
        }
    }

    /// What stands for a name that nobody knows any more; nothing where few are ever known.
    pub(super) fn unknown(&self) -> &'static str {
        if self.live { "?" } else { "" }
    }

    /// Forgets everything: after a loss nobody knows whose the ids are.
    pub(super) fn clear(&mut self) {
        self.by_tgid.clear();
    }

    fn name(&mut self, tgid: u32) -> Option<String> {
        if let Some(name) = self.by_tgid.get(&tgid) {
            return Some(name.clone());
        }
        let name = self.ask(comm, tgid)?;
        self.by_tgid.insert(tgid, name.clone());
        Some(name)
    }

    /// Asks `/proc`, where that knows.
    fn ask(&self, question: fn(u32) -> Option<String>, tgid: u32) -> Option<String> {
        if self.live { question(tgid) } else { None }
    }
}

/// The arguments of an exec as the kernel noted them, with an ellipsis where it noted a part.
fn noted(event: &Event<'_>) -> Option<String> {
    let args = event.context()?.args()?;
    let mut line = spaced(args.bytes())?;
    if args.is_cut() {
        line.push('…');
    }
    Some(line)
}

/// The arguments, separated by spaces; `None` for kernel threads and processes that are gone.
fn command_line(tgid: u32) -> Option<String> {
    spaced(&fs::read(format!("/proc/{tgid}/cmdline")).ok()?)
}

/// Arguments that each end with a zero, separated by spaces; `None` if there are none.
fn spaced(arguments: &[u8]) -> Option<String> {
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    let spaced: Vec<u8> =
        arguments.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
    Some(printable(&spaced)).filter(|line| !line.is_empty())
}

fn comm(tgid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{tgid}/comm")).ok()?;
    Some(printable(bytes.strip_suffix(b"\n").unwrap_or(&bytes)))
}

/// Text that cannot move a terminal's cursor or change its colours: what a process calls itself is
/// its own choice.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for letter in String::from_utf8_lossy(bytes).chars() {
        if letter.is_control() {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        assert_eq!(printable("häß 1".as_bytes()), "häß 1");
    }
}
