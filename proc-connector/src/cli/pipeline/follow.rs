//! From events to lives: who is in the picture, and what becomes of them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};
use proc_connector::{ExitStatus, Received};

use crate::cli::output::names::{first_argument, program_name, typed_command_line};
use crate::cli::output::picture::forest::{Forest, Life, Loss, Program};
use crate::cli::shown::shown;

/// Collects the lives of processes from the stream.
#[derive(Debug)]
pub(crate) struct Follower {
    table: ProcessTable,
    whom: Whom,
    lives: Lives,
    /// The time of the first event, of the last of those followed, and of the last of any.
    first_ns: Option<u64>,
    last_ns: u64,
    now_ns: u64,
}

/// Who is followed.
#[derive(Clone, Copy, Debug)]
enum Whom {
    All,
    /// The child `root` of `parent`, and its descendants.
    Tree {
        root: u32,
        parent: u32,
    },
}

/// A process of which its parent knows more than may be received.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) tgid: u32,
    pub(crate) parent: u32,
    /// Shortly before it was made.
    pub(crate) start_ns: u64,
    /// What it executes.
    pub(crate) program: Program,
}

#[derive(Debug, Default)]
struct Lives {
    all: Vec<Life>,
    losses: Vec<Loss>,
    /// Where each is, by the number that the table gave it.
    places: HashMap<u64, usize>,
    /// Those that are only known as the parent of another.
    parents: HashMap<u32, usize>,
    /// The last one that had an id.
    by_tgid: HashMap<u32, usize>,
    /// Whether the first of a tree was received.
    has_root: bool,
    /// Those that the last thing received was about, and those of interest.
    touched: Vec<usize>,
    wanted: HashSet<usize>,
}

impl Follower {
    /// Follows all processes of a recording.
    pub(crate) fn of_recording() -> Self {
        Self::new(ProcessTable::without_proc(), Whom::All)
    }

    /// Follows a child of a process, and its descendants. The child must have been made after the
    /// table, and nothing of it received yet.
    pub(crate) fn of_child(table: ProcessTable, child: &Child) -> Self {
        let &Child { tgid, parent, start_ns, .. } = child;
        let mut follower = Self::new(table, Whom::Tree { root: tgid, parent });
        follower.lives.by_tgid.insert(tgid, 0);
        follower.lives.all.push(Life { tgid, start_ns: Some(start_ns), ..Life::default() });
        follower
    }

    fn new(table: ProcessTable, whom: Whom) -> Self {
        Self { table, whom, lives: Lives::default(), first_ns: None, last_ns: 0, now_ns: 0 }
    }

    /// Takes in what was received, and says whether it is about somebody who is followed.
    pub(crate) fn take(&mut self, received: &Received<'_>) -> bool {
        match received {
            Received::Event(event) => {
                // Those of different CPUs may be a little out of order.
                self.now_ns = self.now_ns.max(event.timestamp_ns());
                self.first_ns.get_or_insert(event.timestamp_ns());
            }
            Received::Lost(lost) => {
                self.lives.losses.push(Loss { at_ns: self.now_ns, count: lost.count });
            }
        }
        let (mut theirs, at_ns) = match received {
            Received::Event(event) => (false, Some(event.timestamp_ns())),
            Received::Lost(_) => (true, None),
        };
        self.lives.touched.clear();
        for change in self.table.apply(received) {
            theirs |= self.lives.change(self.whom, &change, at_ns);
        }
        if theirs && at_ns.is_some() {
            self.last_ns = self.now_ns;
        }
        theirs
    }

    /// Notes that whoever the last event was about is to be in the picture.
    pub(crate) fn want(&mut self) {
        let Lives { touched, wanted, .. } = &mut self.lives;
        wanted.extend(touched.iter());
    }

    /// How long to wait for events at most, after a loss.
    pub(crate) fn rescan_in(&self) -> Option<Duration> {
        self.table.rescan_in()
    }

    /// Looks at `/proc` where a loss made that necessary and the time has come; now at the latest if
    /// `last`. What it cannot find out stays as the events told it.
    pub(crate) fn rescan_if_due(&mut self, last: bool) {
        let wanted = last && self.table.rescan_in().is_some();
        let changes = if wanted { self.table.rescan() } else { self.table.rescan_if_due() };
        for change in changes.into_iter().flatten() {
            self.lives.change(self.whom, &change, None);
        }
    }

    /// The time of the last event of anybody.
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Whether the first one has ended, and whether all have.
    pub(crate) fn ended(&self) -> (bool, bool) {
        let lives = &self.lives.all;
        (lives.first().is_some_and(|life| !life.runs()), lives.iter().all(|life| !life.runs()))
    }

    /// Adds what the parent knows of the child that was followed, and was not received: that it ended
    /// by `end_ns`.
    pub(crate) fn child_ended(&mut self, child: Child, end_ns: u64, status: ExitStatus) {
        let Some(first) = self.lives.all.first_mut() else { return };
        first.end_ns = first.end_ns.or(Some(end_ns));
        first.status = first.status.or(Some(status));
        match first.programs.first_mut() {
            Some(program) if program.command.is_some() => {}
            Some(program) => *program = Program { at_ns: program.at_ns, ..child.program },
            None => first.programs.push(child.program),
        }
    }

    /// What was collected, up to now.
    pub(crate) fn into_forest(self) -> Forest {
        let Lives { all: mut lives, losses, wanted, .. } = self.lives;
        // What was there before, and what goes on, is there for as long as was looked.
        let (mut first_ns, mut last_ns) = (self.first_ns, self.last_ns);
        if let Whom::All = self.whom {
            lives = reduced(lives, &wanted);
            if lives.iter().all(|life| life.start_ns.is_some()) {
                first_ns = None;
            }
            let goes_on = lives.iter().any(Life::runs);
            last_ns = if goes_on { self.now_ns } else { 0 };
        } else {
            first_ns = None;
        }
        let starts = lives.iter().filter_map(|life| life.start_ns);
        let begin_ns = starts.chain(first_ns).min().unwrap_or(last_ns);
        let ends = lives.iter().filter_map(|life| life.end_ns);
        let end_ns = ends.chain([last_ns, begin_ns]).max().unwrap_or(last_ns);
        Forest { lives, losses, begin_ns, end_ns }
    }
}

/// Leaves out those who are of no interest, and those of whom nothing is known but that they made
/// one other process.
fn reduced(lives: Vec<Life>, wanted: &HashSet<usize>) -> Vec<Life> {
    let mut children = vec![0; lives.len()];
    for (index, life) in lives.iter().enumerate() {
        if let Some(creator) = life.creator.filter(|_| wanted.contains(&index)) {
            children[creator] += 1;
        }
    }
    let mut places: Vec<Option<usize>> = Vec::with_capacity(lives.len());
    let mut kept: Vec<Life> = Vec::with_capacity(lives.len());
    for (index, (mut life, children)) in lives.into_iter().zip(children).enumerate() {
        // What somebody else made in between counts as made by who is left.
        life.creator = life.creator.and_then(|creator| places[creator]);
        let unseen = life.start_ns.is_none() && life.end_ns.is_none() && life.programs.is_empty();
        if wanted.contains(&index) || (unseen && life.creator.is_none() && children > 1) {
            places.push(Some(kept.len()));
            kept.push(life);
        } else {
            places.push(life.creator);
        }
    }
    kept
}

impl Lives {
    /// Takes in a change that an event at `at_ns` made, or a look at `/proc`; says whether it is one
    /// of somebody who is followed.
    fn change(&mut self, whom: Whom, change: &Change<'_>, at_ns: Option<u64>) -> bool {
        let Change { kind, process, .. } = *change;
        let Some(place) = self.place(whom, process, kind) else { return false };
        self.touched.push(place);
        let life = &mut self.all[place];
        match kind {
            // Or once more, if it had been taken to have ended.
            ChangeKind::Started | ChangeKind::Appeared => {
                (life.end_ns, life.status) = (process.end_ns(), process.exit_status());
            }
            ChangeKind::Executed => life.programs.push(program(process, at_ns)),
            ChangeKind::Renamed => life.rename(process),
            // Its exec is among what was lost.
            ChangeKind::Corrected => life.correct(process),
            ChangeKind::Ended | ChangeKind::Vanished => {
                life.end_ns = process.end_ns();
                life.status = process.exit_status();
            }
            ChangeKind::ThreadStarted(_) => life.threads = life.threads.saturating_add(1),
            _ => {}
        }
        true
    }

    /// Where a process is, if it is followed.
    fn place(&mut self, whom: Whom, process: &Process, kind: ChangeKind) -> Option<usize> {
        if let Some(&place) = self.places.get(&process.serial()) {
            return Some(place);
        }
        let known = process.creator().and_then(|creator| self.places.get(&creator).copied());
        let creator = match whom {
            _ if known.is_some() => known,
            Whom::All => {
                if let Some(place) = self.parents.remove(&process.tgid()) {
                    if kind != ChangeKind::Started {
                        self.places.insert(process.serial(), place);
                        return Some(place);
                    }
                    // Another has its id now.
                    self.all[place].end_ns = process.start_ns();
                }
                self.parent(process)
            }
            Whom::Tree { .. } if !matches!(kind, ChangeKind::Started | ChangeKind::Appeared) => {
                return None;
            }
            Whom::Tree { root, parent } => {
                let is_root = process.tgid() == root && process.parent() == Some(parent);
                if is_root && !std::mem::replace(&mut self.has_root, true) {
                    self.places.insert(process.serial(), 0);
                    self.all[0].inherited = name(process);
                    if kind == ChangeKind::Started {
                        self.all[0].start_ns = process.start_ns();
                    }
                    return Some(0);
                }
                if process.creator().is_some() {
                    return None;
                }
                // After a loss: its fork is missing, but it has a parent.
                let parent = *self.by_tgid.get(&process.parent()?)?;
                if !self.all[parent].runs() {
                    return None;
                }
                Some(parent)
            }
        };
        Some(self.add(process, creator))
    }

    /// The place of the parent of a process whose creator is not in the table. A recording may show
    /// nothing of it but that it was there.
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
        self.places.insert(process.serial(), place);
        self.by_tgid.insert(process.tgid(), place);
        self.all.push(Life {
            creator,
            tgid: process.tgid(),
            inherited: name(process),
            start_ns: process.start_ns(),
            ..Life::default()
        });
        place
    }
}

impl Life {
    fn rename(&mut self, process: &Process) {
        match self.programs.last_mut() {
            // The name of the program says more than what a thread calls itself.
            Some(Program { command: Some(_), .. }) => {}
            Some(program) => program.name = name(process),
            None => self.inherited = name(process),
        }
    }

    fn correct(&mut self, process: &Process) {
        let now = program(process, None);
        let is_other = |last: &Program| now.command.is_some() && last.command != now.command;
        if self.programs.last().is_some_and(is_other) {
            self.programs.push(now);
        }
    }
}

/// What a process runs now.
fn program(process: &Process, at_ns: Option<u64>) -> Program {
    Program { at_ns, name: name(process), command: typed_command_line(process) }
}

/// Its name: of its program, or, where that has one longer than the kernel keeps, all of that.
fn name(process: &Process) -> Option<String> {
    let first = first_argument(process);
    let file = first.map(|path| path.rsplit(|&byte| byte == b'/').next().unwrap_or(path));
    let name = match (program_name(process), file) {
        // A script is run by another program, whose name comes first.
        (Some(comm), Some(file)) if !file.starts_with(comm) => comm,
        (comm, file) => file.or(comm)?,
    };
    Some(shown(name)).filter(|name| !name.is_empty())
}
