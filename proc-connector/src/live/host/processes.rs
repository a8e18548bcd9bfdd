//! A list of all processes in `/proc`, to find those that a filter selects when it is applied.

use std::collections::{HashMap, HashSet};
use std::io;

use proc_connector_core::Filter;

use super::stat::{Stat, initial_ticks, ticks};
use super::{proc_mount, time_namespace};
use crate::error::{Error, Result};
use crate::sys::{ProcDir, exists};

/// Exceeds the size of `/proc/PID/stat`.
const STAT_MAX: usize = 4096;

/// A process that a filter selects as a descendant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seed {
    pub(crate) tgid: u32,
    /// When it was created, in ticks of the initial time namespace as `/proc` has them (10 ms of
    /// `CLOCK_BOOTTIME`). `None` if `/proc` hides the process.
    pub(crate) start_ticks: Option<u64>,
}

/// The live processes at the time of a scan.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    by_tgid: HashMap<u32, Listed>,
    /// The parents that earlier scans found.
    earlier: Vec<(Seed, Seed)>,
}

#[derive(Debug)]
struct Listed {
    parent: u32,
    start_ticks: u64,
    comm: Vec<u8>,
}

impl Processes {
    /// Lists the processes. Those that end meanwhile are left out.
    pub(crate) fn scan() -> io::Result<Self> {
        let root = proc_mount::open().map_err(io::Error::from)?;
        let offset_ns = time_namespace::offsets()?.boottime_ns;
        let mut by_tgid = HashMap::new();
        for tgid in root.numbers(c".")? {
            match read(&root, tgid, offset_ns) {
                Ok(Some(process)) => drop(by_tgid.insert(tgid, process)),
                Err(error) if is_of_this_process(&error) => return Err(error),
                // It has ended.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(Self { by_tgid, earlier: Vec::new() })
    }

    /// Adds the parents that an earlier scan found. A process whose parent has ended since then has a
    /// new parent, but remains a descendant of the old one.
    pub(crate) fn with_earlier(mut self, earlier: &Self) -> Self {
        self.earlier.extend(&earlier.earlier);
        self.earlier.extend(earlier.parents());
        self
    }

    /// The process with this id.
    pub(crate) fn find(&self, tgid: u32) -> Option<Seed> {
        let start_ticks = Some(self.by_tgid.get(&tgid)?.start_ticks);
        Some(Seed { tgid, start_ticks })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Seed> {
        self.by_tgid
            .iter()
            .map(|(&tgid, process)| Seed { tgid, start_ticks: Some(process.start_ticks) })
    }

    /// The roots of a filter's trees and their descendants, and the descendants of other processes
    /// that are members already.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchProcess`] if a root has ended.
    pub(crate) fn members(
        &self,
        filter: &Filter,
        is_member: impl Fn(Seed) -> bool,
    ) -> Result<Vec<Seed>> {
        let roots = self.roots(filter)?;
        let has_name =
            |process: &Listed| filter.root_names().iter().any(|name| name.matches(&process.comm));
        let mut children: HashMap<Seed, Vec<Seed>> = HashMap::new();
        for (child, parent) in self.parents().chain(self.earlier.iter().copied()) {
            children.entry(parent).or_default().push(child);
        }
        let named = self
            .iter()
            .filter(|seed| is_member(*seed) || self.by_tgid.get(&seed.tgid).is_some_and(has_name));
        let mut found: HashSet<Seed> = roots.into_iter().chain(named).collect();
        let mut unvisited: Vec<Seed> = found.iter().copied().collect();
        while let Some(seed) = unvisited.pop() {
            for &child in children.get(&seed).into_iter().flatten() {
                if found.insert(child) {
                    unvisited.push(child);
                }
            }
        }
        // An earlier scan may have found processes that have ended since then.
        let is_live = |seed: &Seed| match self.find(seed.tgid) {
            Some(live) => live == *seed,
            None => seed.start_ticks.is_none(),
        };
        Ok(found.into_iter().filter(is_live).collect())
    }

    /// The roots of a filter's trees.
    fn roots(&self, filter: &Filter) -> Result<Vec<Seed>> {
        let offset_ns = time_namespace::offsets()?.boottime_ns;
        let find = |root: &proc_connector_core::filter::TreeRoot| {
            let tgid = root.tgid;
            let expected = root.start_boottime_ns.map(|ns| ticks(ns, offset_ns));
            match self.find(tgid) {
                Some(seed) if expected.is_none_or(|ticks| seed.start_ticks == Some(ticks)) => {
                    Ok(seed)
                }
                // With `hidepid`, processes of other users seem not to exist.
                None if exists(tgid) && !is_readable(tgid) => Ok(Seed { tgid, start_ticks: None }),
                _ => Err(Error::NoSuchProcess { tgid }),
            }
        };
        filter.roots().iter().map(find).collect()
    }

    /// Each process and its parent.
    fn parents(&self) -> impl Iterator<Item = (Seed, Seed)> {
        self.by_tgid.iter().filter_map(|(&tgid, process)| {
            let parent = self.find(process.parent)?;
            // The id of a parent that has ended since then can belong to a younger process.
            let is_older = parent.start_ticks <= Some(process.start_ticks);
            let child = Seed { tgid, start_ticks: Some(process.start_ticks) };
            is_older.then_some((child, parent))
        })
    }
}

/// The processes that a filter selects as descendants, read from `/proc` now. `is_member` is whether
/// a process is a member already.
///
/// # Errors
///
/// [`Error::NoSuchProcess`] if a root has ended, and errors of reading `/proc`.
pub(crate) fn members(filter: &Filter, is_member: impl Fn(Seed) -> bool) -> Result<Vec<Seed>> {
    Processes::scan()?.members(filter, is_member)
}

/// Reads a process. `None` if all of its threads have ended.
fn read(root: &ProcDir, tgid: u32, offset_ns: i64) -> io::Result<Option<Listed>> {
    let mut buffer = [0; STAT_MAX];
    let directory = root.process(tgid)?;
    let stat = Stat::parse(directory.read(c"stat", &mut buffer)?);
    let stat = stat.ok_or(io::ErrorKind::InvalidData)?;
    let has_ended = stat.has_ended() && stat.num_threads <= 1;
    let start_ticks = initial_ticks(stat.start_ticks, offset_ns);
    let mut listed = Listed { parent: stat.ppid, start_ticks, comm: stat.comm.to_vec() };
    if listed.comm.contains(&b'\\') {
        // Some kernels write backslashes and line feeds as escapes in `stat`.
        if let Ok(comm) = directory.read(c"comm", &mut buffer) {
            listed.comm = comm.strip_suffix(b"\n").unwrap_or(comm).to_vec();
        }
    }
    Ok((!has_ended).then_some(listed))
}

/// Whether this process has too few descriptors or too little memory.
fn is_of_this_process(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

fn is_readable(tgid: u32) -> bool {
    let root = ProcDir::root().and_then(|root| root.process(tgid));
    root.is_ok_and(|directory| directory.read(c"stat", &mut [0; STAT_MAX]).is_ok())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio, id};

    use proc_connector_core::Filter;
    use proc_connector_core::filter::{NamePattern, TreeRoot};

    use super::{Listed, Processes, Seed, members};
    use crate::error::Error;

    fn descendants(of: u32) -> Filter {
        Filter::default().descendants_of(&[TreeRoot::new(of)]).expect("one")
    }

    #[test]
    fn children_of_this_process_are_its_descendants() {
        let mut child = Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let found = members(&descendants(id()), |_| false).expect("/proc");
        let has = |tgid| found.iter().any(|seed| seed.tgid == tgid);
        assert!(has(id()) && has(child.id()) && !has(1), "{found:?}");
        let error = members(&descendants(4_000_000), |_| false).expect_err("no such process");
        assert!(matches!(error, Error::NoSuchProcess { tgid: 4_000_000 }), "{error}");
        drop(child.stdin.take());
        child.wait().expect("an exit status");
        // The process with this id is another one than that with the given start.
        let filter = Filter::default().descendants_of(&[TreeRoot::with_start(id(), 1)]);
        assert!(members(&filter.expect("one"), |_| false).is_err());
    }

    fn processes(listed: &[(u32, u32, u64, &str)]) -> Processes {
        let by_tgid = listed.iter().map(|&(tgid, parent, start_ticks, comm)| {
            (tgid, Listed { parent, start_ticks, comm: comm.into() })
        });
        Processes { by_tgid: by_tgid.collect(), earlier: Vec::new() }
    }

    #[test]
    fn an_earlier_scan_shows_the_ancestors_of_orphans() {
        let before =
            processes(&[(1, 0, 0, "init"), (7, 1, 5, "make"), (8, 7, 6, "sh"), (9, 8, 7, "cc")]);
        // Process 8 has ended, and its id belongs to another process.
        let now =
            processes(&[(1, 0, 0, "init"), (7, 1, 5, "make"), (8, 1, 9, "x"), (9, 1, 7, "cc")]);
        let make = Filter::default().descendants_of_programs(&[NamePattern::exact(b"make")]);
        let filter = make.expect("one");
        let seed = |tgid, ticks| Seed { tgid, start_ticks: Some(ticks) };
        assert_eq!(now.members(&filter, |_| false).expect("no root"), [seed(7, 5)]);
        let now = now.with_earlier(&before);
        let mut found = now.members(&filter, |_| false).expect("no root");
        found.sort_by_key(|seed| seed.tgid);
        assert_eq!(found, [seed(7, 5), seed(9, 7)]);
        let found = now.members(&Filter::default(), |seed| seed.tgid == 9).expect("no root");
        assert_eq!(found, [seed(9, 7)]);
    }
}
