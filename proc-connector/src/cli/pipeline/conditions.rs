//! The conditions on processes that options set: those of a filter, and the rest.

use std::collections::HashSet;

use glob::Pattern;
use proc_connector::parser::filter::{ActingTask, NamePattern, TooManyAlternatives, TreeRoot};
use proc_connector::process::{Process, ProcessTable};
use proc_connector::{Event, Filter, Payload};

use crate::cli::failure::Failure;
use crate::cli::host::cgroups;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::values::{self, Root};

/// The conditions on processes.
#[derive(Clone, Debug)]
pub(crate) struct Conditions<'a> {
    options: &'a ProcessOptions,
    uids: Vec<u32>,
    /// The ids of the cgroups, if a filter can select them.
    cgroups: Option<Vec<u64>>,
}

impl<'a> Conditions<'a> {
    /// Conditions on the processes of this machine. Call it before opening the connector, whose buffer
    /// could overflow during a slow lookup.
    ///
    /// Fails for processes, users and cgroups that do not exist.
    pub(crate) fn live(options: &'a ProcessOptions) -> Result<Self, Failure> {
        options.check()?;
        let cgroups = cgroups::ids(&options.cgroup);
        Ok(Self { options, uids: options.uids()?, cgroups })
    }

    /// Conditions on the processes of a recording, which has no ids of cgroups.
    ///
    /// Fails for a user given by name.
    pub(crate) fn recorded(options: &'a ProcessOptions) -> Result<Self, Failure> {
        Ok(Self { options, uids: options.recorded_uids()?, cgroups: None })
    }

    /// Whether any condition is set.
    pub(crate) fn are_any(&self) -> bool {
        self.options.is_any_given()
    }

    /// Adds the conditions that a filter can have.
    pub(crate) fn filter(&self, filter: Filter) -> Result<Filter, TooManyAlternatives> {
        let (mut roots, mut root_names) = (Vec::new(), Vec::new());
        for root in &self.options.tree {
            match root {
                Root::Pid(tgid) => roots.push(TreeRoot::new(*tgid)),
                Root::Name(name) => root_names.push(NamePattern::exact(name.as_bytes())),
            }
        }
        filter
            .descendants_of(&roots)?
            .descendants_of_programs(&root_names)?
            .of_users(&self.uids)?
            .named(&names(&self.options.comm).unwrap_or_default())?
            .in_cgroups(self.cgroups.as_deref().unwrap_or_default())
    }

    /// The conditions that a filter cannot have.
    pub(crate) fn rest(&self) -> Rest<'a> {
        let ProcessOptions { comm, cgroup, .. } = self.options;
        Rest {
            comm: if names(comm).is_some() { &[] } else { comm },
            cgroup: if self.cgroups.is_some() { &[] } else { cgroup },
        }
    }

    /// The serials of the processes in the table that meet the conditions now.
    pub(crate) fn met_by(&self, table: &ProcessTable) -> Result<HashSet<u64>, Failure> {
        let filter = self.filter(Filter::default())?;
        let rest = Rest { cgroup: &self.options.cgroup, ..self.rest() };
        let mut processes: Vec<&Process> = table.iter().collect();
        // A parent has to join a tree before its children do.
        processes.sort_unstable_by_key(|process| (process.start_ns(), process.tgid()));
        let mut members = HashSet::new();
        let mut has_grown = true;
        // Starts in the same clock tick can be in the wrong order.
        while std::mem::take(&mut has_grown) {
            for process in &processes {
                let has_name = |comm| filter.root_names().iter().any(|name| name.matches(comm));
                let is_root = filter.roots().iter().any(|root| root.tgid == process.tgid());
                let is_child = process.parent().is_some_and(|parent| members.contains(&parent));
                if is_root || is_child || process.comm().is_some_and(has_name) {
                    has_grown |= members.insert(process.tgid());
                }
            }
        }
        // Only paths of cgroups are known.
        let filter = filter.in_cgroups(&[])?;
        let meets = |process: &&&Process| {
            let is_member = members.contains(&process.tgid());
            meets(&filter, process, is_member) && rest.is_met_by(process)
        };
        Ok(processes.iter().filter(meets).map(|process| process.serial()).collect())
    }
}

/// Whether a process meets the conditions of a filter.
fn meets(filter: &Filter, process: &Process, is_descendant: bool) -> bool {
    let uid = process.uid();
    filter.matches_task(&ActingTask {
        uid: uid.map(|ids| ids.real),
        euid: uid.map(|ids| ids.effective),
        comm: process.comm(),
        is_descendant,
        ..ActingTask::default()
    })
}

/// The names that patterns match, if a filter can select them.
fn names(patterns: &[Pattern]) -> Option<Vec<NamePattern>> {
    patterns.iter().map(name).collect()
}

/// The name, or the start of names, that a pattern matches. `[*]` stands for a literal character.
fn name(pattern: &Pattern) -> Option<NamePattern> {
    let mut rest = pattern.as_str();
    let mut name = String::new();
    while let Some(first) = rest.chars().next() {
        let literal = ["[*]", "[?]", "[[]", "[]]"].into_iter().find(|text| rest.starts_with(text));
        match (first, literal) {
            (_, Some(literal)) => name.push_str(&literal[1..2]),
            ('*', None) if rest == "*" => return Some(NamePattern::prefix(name.as_bytes())),
            ('*' | '?' | '[', None) => return None,
            (other, None) => name.push(other),
        }
        rest = &rest[literal.map_or(first.len_utf8(), str::len)..];
    }
    Some(NamePattern::exact(name.as_bytes()))
}

/// Conditions that a filter cannot have: patterns of names, and cgroups that may appear later.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest<'a> {
    comm: &'a [Pattern],
    cgroup: &'a [Pattern],
}

impl Rest<'_> {
    /// Whether no condition is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.comm.is_empty() && self.cgroup.is_empty()
    }

    /// Whether an event of this process meets the conditions. An unknown process meets none.
    pub(crate) fn wants(&self, event: &Event<'_>, process: Option<&Process>) -> bool {
        self.has_name(comm(event).or_else(|| process.and_then(Process::comm)))
            && self.is_in_cgroup(process)
    }

    /// Whether a process meets the conditions.
    pub(crate) fn is_met_by(&self, process: &Process) -> bool {
        self.has_name(process.comm()) && self.is_in_cgroup(Some(process))
    }

    fn has_name(&self, comm: Option<&[u8]>) -> bool {
        // Names are cut like those that a filter compares.
        let matches = |comm: &[u8]| {
            self.comm.iter().any(|pattern| match name(pattern) {
                Some(name) => name.matches(comm),
                None => pattern.matches(&String::from_utf8_lossy(comm)),
            })
        };
        self.comm.is_empty() || comm.is_some_and(matches)
    }

    fn is_in_cgroup(&self, process: Option<&Process>) -> bool {
        let is_inside = |process| self.cgroup.iter().any(|cgroup| is_in_cgroup(process, cgroup));
        self.cgroup.is_empty() || process.is_some_and(is_inside)
    }
}

/// The name of the thread that caused an event, if the event has it.
fn comm<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    match event.payload() {
        Payload::Comm(comm) => comm.comm().split(|&byte| byte == 0).next(),
        _ => event.context()?.comm(),
    }
}

/// Whether a process is in a cgroup or below it, or in a container.
fn is_in_cgroup(process: &Process, selected: &Pattern) -> bool {
    let Some(path) = process.cgroup().map(|path| path.to_string_lossy()) else { return false };
    let name = selected.as_str().trim_end_matches('/');
    selected.matches(&path)
        || path.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with('/'))
        || (values::is_container(name)
            && process.container().is_some_and(|id| id.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use glob::Pattern;
    use proc_connector::parser::filter::NamePattern;

    use super::{Rest, names};

    #[test]
    fn names_and_their_starts_are_conditions_of_a_filter() {
        let all = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|text| Pattern::new(text).expect("a pattern"));
            names(&patterns.collect::<Vec<_>>())
        };
        let (exact, prefix) = (NamePattern::exact(b"make"), NamePattern::prefix(b"python"));
        assert_eq!(all(&["make", "python*"]), Some(vec![exact, prefix]));
        assert_eq!(all(&["*"]), Some(vec![NamePattern::prefix(b"")]));
        assert_eq!(all(&[]), Some(Vec::new()));
        // Alternatives of one option are decided in one place.
        let escaped = ["a[*]b", "[[]x[]]*", "[?]"];
        let literal =
            [NamePattern::exact(b"a*b"), NamePattern::prefix(b"[x]"), NamePattern::exact(b"?")];
        assert_eq!(all(&escaped), Some(literal.to_vec()));
        for pattern in ["*make", "ma?e", "[m]ake", "ma*e", "make*[*]", "**"] {
            assert_eq!(all(&["make", pattern]), None, "{pattern}");
        }
    }

    #[test]
    fn names_beside_patterns_are_cut_as_by_the_kernel() {
        let comm = ["systemd-journald", "n\u{e4}me-of-13-by\u{e4}", "*-x"]
            .map(|text| Pattern::new(text).expect("a pattern"));
        let rest = Rest { comm: &comm, cgroup: &[] };
        // The last character is cut after its first byte.
        let cut = &"n\u{e4}me-of-13-by\u{e4}".as_bytes()[..15];
        for (name, expected) in [
            (&b"systemd-journal"[..], true),
            (cut, true),
            (b"a-x", true),
            (b"systemd-journa", false),
        ] {
            assert_eq!(rest.has_name(Some(name)), expected, "{name:?}");
        }
    }
}
