//! The lives of the processes in a scope, collected from the changes of the table.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use proc_connector::Event;
use proc_connector::process::{Change, ChangeKind, Process};

use super::thread_io::ThreadIo;
use crate::cli::output::chart::forest::{Details, Io, Life, Loss, Program};
use crate::cli::output::names::{first_argument, program_name, typed_command_line};
use crate::cli::shown::shown;

/// The processes to follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    All,
    /// The child `root` of `parent`, and its descendants.
    Tree {
        root: u32,
        parent: u32,
    },
}

#[derive(Debug, Default)]
pub(super) struct Lives {
    pub(super) all: Vec<Life>,
    pub(super) losses: Vec<Loss>,
    /// The place of each process whose creation time the kernel has recorded. A process can be over
    /// before the exits of its last threads are received, and these change nothing in the table.
    identities: HashMap<(u32, u64), usize>,
    io: ThreadIo,
    /// The place of each process, by its serial.
    places: HashMap<u64, usize>,
    /// The places of processes that are known only as the parent of another, by their ids.
    parents: HashMap<u32, usize>,
    /// The place of the last process that had an id.
    pub(super) by_tgid: HashMap<u32, usize>,
    /// Whether to keep the details of programs.
    pub(super) has_details: bool,
    /// Whether an event of the root of a tree was received.
    has_root: bool,
    /// The processes that the last event was about.
    pub(super) touched: Vec<usize>,
    /// The processes to draw, of a recording.
    pub(super) wanted: HashSet<usize>,
}

impl Lives {
    /// Records a change, caused by an event at `at_ns` or found in `/proc`. Returns whether the process
    /// is in the scope.
    pub(super) fn change(&mut self, scope: Scope, change: &Change<'_>, at_ns: Option<u64>) -> bool {
        let Change { kind, process, .. } = *change;
        let Some(place) = self.place(scope, process, kind) else { return false };
        self.touched.push(place);
        if let Some(start) = process.start_boottime_ns() {
            self.identities.entry((process.tgid(), start)).or_insert(place);
        }
        let has_details = self.has_details;
        let program = |at_ns| Program {
            details: has_details.then(|| Box::new(details(process))),
            ..program(process, at_ns)
        };
        let life = &mut self.all[place];
        match kind {
            ChangeKind::Executed => life.programs.push(program(process.exec_ns().or(at_ns))),
            ChangeKind::Renamed => life.rename(process),
            // The event of its exec was lost.
            ChangeKind::Corrected => life.correct(program(None)),
            // A process that was presumed to have ended may appear again.
            ChangeKind::Started
            | ChangeKind::Appeared
            | ChangeKind::Ended
            | ChangeKind::Vanished => life.update_end(process),
            ChangeKind::ThreadStarted(_) => life.threads = life.threads.saturating_add(1),
            _ => {}
        }
        true
    }

    /// Adds up I/O, after the changes by this event.
    pub(super) fn add_io(&mut self, event: &Event<'_>) {
        self.io.add(event, |tgid, start| self.identities.get(&(tgid, start)).copied());
    }

    /// Whether all processes have ended and all exits of their threads were received, unless events
    /// were lost.
    pub(super) fn are_complete(&self) -> bool {
        self.all.iter().enumerate().all(|(place, life)| {
            let is_expected = life.usage.is_some() && self.losses.is_empty();
            !life.runs() && (!is_expected || self.io_of(place).is_some())
        })
    }

    /// What all threads of a process read and wrote, if no exit is missing.
    fn io_of(&self, place: usize) -> Option<Io> {
        self.io.of_process(place, u64::from(self.all[place].threads) + 1)
    }

    /// Completes the lives with what the processes read and wrote, where no event is missing.
    pub(super) fn complete_io(&mut self) {
        for place in 0..self.all.len() {
            let life = &self.all[place];
            let (Some(_), Some(start), Some(end)) = (life.usage, life.start_ns, life.end_ns) else {
                continue;
            };
            if !self.losses.iter().any(|loss| (start..=end).contains(&loss.at_ns)) {
                self.all[place].io = self.io_of(place);
            }
        }
    }

    /// Whether a process is in the scope.
    pub(super) fn contains(&self, process: &Process) -> bool {
        self.places.contains_key(&process.serial())
    }

    /// The place of a process in `all`, if it is in the scope.
    fn place(&mut self, scope: Scope, process: &Process, kind: ChangeKind) -> Option<usize> {
        if let Some(&place) = self.places.get(&process.serial()) {
            return Some(place);
        }
        let known = process.tree_parent().and_then(|above| self.places.get(&above).copied());
        let creator = match scope {
            _ if known.is_some() => known,
            Scope::All => {
                if let Some(place) = self.parents.remove(&process.tgid()) {
                    if kind != ChangeKind::Started {
                        self.places.insert(process.serial(), place);
                        return Some(place);
                    }
                    // The id belongs to a new process now.
                    self.all[place].end_ns = process.start_ns();
                }
                self.parent(process)
            }
            Scope::Tree { .. } if !matches!(kind, ChangeKind::Started | ChangeKind::Appeared) => {
                return None;
            }
            Scope::Tree { root, parent } => {
                let is_root = process.tgid() == root && process.parent() == Some(parent);
                if is_root && !std::mem::replace(&mut self.has_root, true) {
                    self.places.insert(process.serial(), 0);
                    self.all[0].inherited = name(process);
                    self.all[0].parent_tgid = process.parent();
                    if kind == ChangeKind::Started {
                        self.all[0].start_ns = process.start_ns();
                    }
                    return Some(0);
                }
                if process.tree_parent().is_some() {
                    return None;
                }
                // After a loss, the fork may be missing, but the parent is known.
                let parent = *self.by_tgid.get(&process.parent()?)?;
                if !self.all[parent].runs() {
                    return None;
                }
                Some(parent)
            }
        };
        Some(self.add(process, creator))
    }

    /// The place of the parent of a process whose creator is not in the table. A recording may have
    /// no event of such a parent.
    fn parent(&mut self, process: &Process) -> Option<usize> {
        let tgid = process.parent()?;
        let next = self.all.len();
        let place = *self.parents.entry(tgid).or_insert(next);
        if place == next {
            self.all.push(Life { tgid, ..Life::default() });
        }
        Some(place)
    }

    fn add(&mut self, process: &Process, creator: Option<usize>) -> usize {
        let place = self.all.len();
        let parent = process.parent().and_then(|tgid| self.by_tgid.get(&tgid).copied());
        self.places.insert(process.serial(), place);
        self.by_tgid.insert(process.tgid(), place);
        self.all.push(Life {
            creator,
            parent: parent.filter(|&parent| Some(parent) != creator),
            tgid: process.tgid(),
            parent_tgid: process.parent(),
            inherited: name(process),
            start_ns: process.start_ns(),
            ..Life::default()
        });
        place
    }
}

impl Life {
    fn update_end(&mut self, process: &Process) {
        self.end_ns = process.end_ns();
        self.status = process.exit_status();
        self.usage = process.usage();
        if self.programs.is_empty() && self.inherited.is_none() {
            self.inherited = name(process);
        }
    }

    fn rename(&mut self, process: &Process) {
        match self.programs.last_mut() {
            // The name of the program is more useful than a name that a thread gives itself.
            Some(Program { command: Some(_), .. }) => {}
            Some(program) => program.name = name(process),
            None => self.inherited = name(process),
        }
    }

    fn correct(&mut self, now: Program) {
        let is_other = |last: &Program| now.command.is_some() && last.command != now.command;
        if self.programs.last().is_some_and(is_other) {
            self.programs.push(now);
        }
    }
}

/// The program that a process runs now.
fn program(process: &Process, at_ns: Option<u64>) -> Program {
    Program { at_ns, name: name(process), command: typed_command_line(process), details: None }
}

fn details(process: &Process) -> Details {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = |path: &Path| text(path.as_os_str().as_encoded_bytes());
    let args = process.args();
    Details {
        path: process.exe().map(path),
        args: args.iter().flat_map(|args| args.iter()).map(text).collect(),
        is_cut: args.is_some_and(|args| args.is_cut()),
        directory: process.cwd().map(path),
    }
}

/// The name of a process's program, in full if the kernel has cut it.
fn name(process: &Process) -> Option<String> {
    let first = first_argument(process);
    let file = first.map(|path| path.rsplit(|&byte| byte == b'/').next().unwrap_or(path));
    let name = match (program_name(process), file) {
        // The first argument of a script is its interpreter.
        (Some(comm), Some(file)) if !file.starts_with(comm) => comm,
        (comm, file) => file.or(comm)?,
    };
    Some(shown(name)).filter(|name| !name.is_empty())
}
