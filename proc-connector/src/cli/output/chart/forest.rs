//! The lives of processes, as charts and trees show them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Add;

use proc_connector::ExitStatus;
use proc_connector::Usage;

/// Processes and their creators, over a period.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forest {
    /// A creator comes before the processes it created.
    pub(crate) lives: Vec<Life>,
    pub(crate) losses: Vec<Loss>,
    /// The period, in nanoseconds of the events' clock.
    pub(crate) begin_ns: u64,
    pub(crate) end_ns: u64,
    /// The CPUs that the processes could use. `None` for a recording.
    pub(crate) cores: Option<usize>,
}

/// One process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    /// The place of its creator in [`Forest::lives`], if it is known.
    pub(crate) creator: Option<usize>,
    /// The place of its parent, if that is known and is not the creator (`CLONE_PARENT`).
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only spans contain it"))]
    pub(crate) parent: Option<usize>,
    pub(crate) tgid: u32,
    /// The process id of the parent that it had at first.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only spans contain it"))]
    pub(crate) parent_tgid: Option<u32>,
    /// The programs it executed, in order, without the one it inherited from its creator.
    pub(crate) programs: Vec<Program>,
    /// Its name while it runs its creator's program.
    pub(crate) inherited: Option<String>,
    /// `None` if it started before the period.
    pub(crate) start_ns: Option<u64>,
    /// `None` if it still runs.
    pub(crate) end_ns: Option<u64>,
    /// `None` if no event has reported it.
    pub(crate) status: Option<ExitStatus>,
    /// The threads it started, without the first.
    pub(crate) threads: u32,
    /// What all of its threads used together. `None` if it still runs, or if the kernel has not
    /// reported it.
    pub(crate) usage: Option<Usage>,
    /// What its threads read and wrote. `usage` also has the bytes of children that it waited for.
    pub(crate) io: Option<Io>,
}

/// Bytes read from and written to storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Io {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Add for Io {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }
}

/// A program that a process executed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// `None` if that was before the period.
    pub(crate) at_ns: Option<u64>,
    /// A short name.
    pub(crate) name: Option<String>,
    /// The arguments, separated by spaces.
    pub(crate) command: Option<String>,
    /// More facts, if the follower keeps them.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only spans contain it"))]
    pub(crate) details: Option<Box<Details>>,
}

/// What spans contain about a program. Bytes that are not valid UTF-8 are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// The path of the executable.
    pub(crate) path: Option<String>,
    pub(crate) args: Vec<String>,
    /// Whether the arguments were longer than what the kernel recorded.
    pub(crate) is_cut: bool,
    /// The working directory at the exec.
    pub(crate) directory: Option<String>,
}

/// Stands for an unknown name.
const UNKNOWN: &str = "?";

/// Lost events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) at_ns: u64,
    pub(crate) count: Option<u64>,
}

/// The totals of a forest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) processes: usize,
    pub(crate) failed: usize,
    pub(crate) running: usize,
    pub(crate) lost: u64,
}

impl Forest {
    /// The children of each process, and the processes without a creator, in the order of their starts.
    pub(crate) fn families(&self) -> (Vec<Vec<usize>>, Vec<usize>) {
        let mut children = vec![Vec::new(); self.lives.len()];
        let mut roots = Vec::new();
        for (index, life) in self.lives.iter().enumerate() {
            match life.creator {
                Some(creator) => children[creator].push(index),
                None => roots.push(index),
            }
        }
        for siblings in children.iter_mut().chain([&mut roots]) {
            // Events of different CPUs may be received out of order.
            siblings.sort_by_key(|&index| self.start(index));
        }
        (children, roots)
    }

    /// The start of a process, limited to the period.
    pub(crate) fn start(&self, index: usize) -> u64 {
        let start = self.lives[index].start_ns.unwrap_or(self.begin_ns);
        start.clamp(self.begin_ns, self.end_ns.max(self.begin_ns))
    }

    /// The end of a process, limited to the period.
    pub(crate) fn end(&self, index: usize) -> u64 {
        let end = self.lives[index].end_ns.unwrap_or(self.end_ns);
        end.clamp(self.start(index), self.end_ns.max(self.start(index)))
    }

    pub(crate) fn duration(&self, index: usize) -> u64 {
        self.end(index) - self.start(index)
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            processes: self.lives.len(),
            failed: self.lives.iter().filter(|life| life.failed()).count(),
            running: self.lives.iter().filter(|life| life.runs()).count(),
            lost: self.losses.iter().filter_map(|loss| loss.count).fold(0, u64::saturating_add),
        }
    }
}

impl Life {
    pub(crate) fn runs(&self) -> bool {
        self.end_ns.is_none()
    }

    pub(crate) fn failed(&self) -> bool {
        self.status.is_some_and(|status| !status.success())
    }

    /// The name of the program that it ran last.
    pub(crate) fn program(&self) -> Option<&str> {
        match self.programs.last() {
            Some(program) => program.name.as_deref(),
            None => self.inherited.as_deref(),
        }
    }

    /// The same, in parentheses if it is inherited from the creator, or `?` if it is unknown.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match (self.programs.last(), &self.inherited) {
            (Some(Program { name: Some(name), .. }), _) => Cow::Borrowed(name),
            (None, Some(name)) => Cow::Owned(format!("({name})")),
            _ => Cow::Borrowed(UNKNOWN),
        }
    }

    /// The [`name`](Self::name), or the process id if the name is unknown.
    pub(crate) fn name_or_pid(&self) -> Cow<'_, str> {
        match self.program() {
            Some(_) => self.name(),
            None => Cow::Owned(format!("pid {}", self.tgid)),
        }
    }

    /// Its last program with the arguments, or the name if these are unknown.
    pub(crate) fn command(&self) -> Cow<'_, str> {
        let command = self.programs.last().and_then(|program| program.command.as_deref());
        command.map_or_else(|| self.name(), Cow::Borrowed)
    }

    /// The [`command`](Self::command) without the directory of the program.
    pub(crate) fn brief(&self) -> Cow<'_, str> {
        let command = self.command();
        let Some(program) = self.programs.last() else { return command };
        let (path, rest) = command.split_once(' ').unwrap_or((&command, ""));
        match &program.name {
            Some(name) if path.starts_with('/') && path.ends_with(name.as_str()) => {
                Cow::Owned(format!("{name} {rest}").trim_end().to_owned())
            }
            _ => command,
        }
    }

    /// How it ended, or that it still runs.
    pub(crate) fn outcome(&self) -> String {
        match (self.runs(), self.status) {
            (true, _) => "still running".into(),
            (false, Some(status)) => status.to_string(),
            (false, None) => "exit status unknown".into(),
        }
    }
}

/// `12 processes, 1 failed, 2 still running, 5 events lost`.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, failed, running, lost } = *self;
        write!(f, "{processes} process{}, ", if processes == 1 { "" } else { "es" })?;
        write!(f, "{failed} failed")?;
        if running > 0 {
            write!(f, ", {running} still running")?;
        }
        if lost > 0 {
            write!(f, ", {lost} events lost")?;
        }
        Ok(())
    }
}
