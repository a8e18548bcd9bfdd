//! Filters with conditions on tasks: the kernel's form and that of user space select the same events,
//! whatever processes do.
//!
//! `PROC_CONNECTOR_TRUTH=10000` sets the number of behaviours, and `PROC_CONNECTOR_SEED` the seed of the
//! generated filters.

mod common;

#[path = "common/behaviour/mod.rs"]
#[allow(dead_code, reason = "the records of processes are not compared here")]
mod behaviour;
#[path = "common/choice/mod.rs"]
mod choice;

use std::env;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use behaviour::execs::exits_as_told;
use behaviour::generator::generate;
use behaviour::programs::Programs;
use behaviour::sys;
use choice::cgroup::{Cgroup, move_to, root};
use choice::pair::{Comparison, Pair};
use common::helper_process::{command, pause};
use common::scratch::Scratch;
use common::{CAP_SYS_ADMIN, load, named, require_capability, skip, transport};
use proc_connector::parser::filter::{NamePattern, TreeRoot};
use proc_connector::{EventMask, Filter, Transport};

fn main() -> ExitCode {
    let roles = named![generate, exits_as_told, generates_later, moves];
    common::main(&roles, &named![both_forms_select_the_same_events])
}

fn number(variable: &str, default: u32) -> u32 {
    let value = env::var(variable).ok();
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{variable}: {value}")))
}

/// A role: waits, and then generates processes.
fn generates_later() {
    pause();
    generate();
}

/// A role: waits, and then moves between the cgroups of its arguments, creating processes in each.
fn moves() {
    pause();
    let cgroups: Vec<String> = env::args().skip(1).collect();
    for _ in 0..10 {
        for cgroup in &cgroups {
            move_to(Path::new(cgroup), std::process::id());
            let child = sys::fork(|| {
                move_to(Path::new(&cgroups[0]), std::process::id());
                sys::wait4(sys::fork(|| ())).expect("a child");
            });
            sys::wait4(child).expect("a child");
            load::threads(1);
        }
    }
}

/// Starts a role that waits.
fn start(role: &str, arguments: &[&str]) -> Child {
    let mut command = command(role);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("this binary can be started")
}

fn both_forms_select_the_same_events() {
    if transport() != Transport::Ring {
        skip("over the socket, filters are evaluated in user space");
    }
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let scratch = Scratch::new("choice");
    Programs::write_all(scratch.directory());
    let directory = scratch.file("");
    let outer = Cgroup::new("outer");
    let (inner, other) = (outer.child("inner"), Cgroup::new("other"));
    let count = (number("PROC_CONNECTOR_TRUTH", 300) / 2).to_string();
    let paths = [&root().expect("it has children"), outer.path(), inner.path(), other.path()]
        .map(|path| path.to_str().expect("UTF-8").to_owned());
    let mut children = [
        start("generates_later", &[&directory, &count, "0"]),
        start("generates_later", &[&directory, &count, "1"]),
        start("moves", &paths.each_ref().map(String::as_str)),
    ];
    inner.add(children[0].id());
    let roots = children.each_ref().map(Child::id);
    let seed = number("PROC_CONNECTOR_SEED", 15);
    let mut generator =
        Generator { state: u64::from(seed), roots, cgroups: [outer.id, inner.id, other.id] };
    let filters = generator.filters();
    let running = [&roots[..], &[std::process::id()]].concat();
    let mut comparison = Comparison::open(filters, &running);
    for child in &mut children {
        drop(child.stdin.take());
    }
    while !children.iter_mut().all(|child| child.try_wait().expect("a child").is_some()) {
        comparison.take(Duration::from_millis(1));
    }
    comparison.catch_up();
    for mut child in children {
        assert!(child.wait().expect("a child").success());
    }
    let (differences, events) = (comparison.differences(), comparison.events());
    let selected: usize = comparison.pairs.iter().map(Pair::selected).sum();
    let idle = comparison.pairs.iter().filter(|pair| pair.selected() == 0).count();
    eprintln!(
        "{} filters, {events} events, {selected} selected, {idle} filters selected nothing",
        comparison.pairs.len()
    );
    assert!(idle < comparison.pairs.len() / 3, "most filters select something");
    assert!(differences.is_empty(), "differences:\n{}", differences.join("\n"));
}

/// Generates filters from a seed.
struct Generator {
    state: u64,
    roots: [u32; 3],
    cgroups: [u64; 3],
}

/// How many filters are generated besides those with one condition.
const GENERATED: usize = 24;

impl Generator {
    fn filters(&mut self) -> Vec<Filter> {
        let [one, two, three] = self.roots.map(TreeRoot::new);
        let start = TreeRoot::with_start(one.tgid, start_ns(one.tgid));
        let of = |roots: &[TreeRoot]| Filter::default().descendants_of(roots);
        let programs = |names: &[NamePattern]| Filter::default().descendants_of_programs(names);
        let named = |names: &[NamePattern]| Filter::default().named(names);
        let cgroups = |ids: &[u64]| Filter::default().in_cgroups(ids);
        let [outer, inner, other] = self.cgroups;
        let filters = vec![
            of(&[one]),
            of(&[start]),
            of(&[two, three]),
            programs(&[NamePattern::exact(b"chain")]),
            programs(&[NamePattern::prefix(b"qu"), NamePattern::exact(b"wait")]),
            Filter::default().of_users(&[0]),
            Filter::default().of_users(&(20_000..20_064).collect::<Vec<_>>()),
            named(&[NamePattern::prefix(b"renamed"), NamePattern::exact(b"by another")]),
            named(&[NamePattern::exact(b"chain")]),
            named(&[NamePattern::prefix(b"live_choice")]),
            named(&[NamePattern::prefix(b"")]),
            cgroups(&[outer]),
            cgroups(&[inner, other]),
        ];
        let filters = filters.into_iter().map(|filter| filter.expect("few enough"));
        let mut filters: Vec<Filter> = filters.collect();
        filters.extend((0..GENERATED).map(|_| self.combination()));
        filters
    }

    /// Several conditions, of which some events meet all.
    fn combination(&mut self) -> Filter {
        let mut filter = match self.below(3) {
            0 => Filter::default(),
            1 => Filter::new(EventMask::FORK | EventMask::EXIT),
            _ => Filter::new(EventMask::from_bits_retain(u32::MAX << self.below(10))),
        };
        if self.below(4) == 0 {
            filter = filter.processes_only();
        }
        if self.below(6) == 0 {
            filter = filter.failures_only();
        }
        if self.below(5) == 0 {
            filter = filter.except_tgids(&self.roots[..1]).expect("few enough");
        }
        if self.below(2) == 0 {
            let mut roots = self.roots.map(TreeRoot::new).to_vec();
            roots.truncate(1 + self.below(3));
            filter = filter.descendants_of(&roots).expect("few enough");
        }
        if self.below(3) == 0 {
            let names = [&b"chain"[..], b"qui", b"renamed", b"a name of more", b"live_choice"];
            let name = NamePattern::prefix(names[self.below(names.len())]);
            filter = filter.descendants_of_programs(&[name]).expect("few enough");
        }
        if self.below(3) == 0 {
            let first = 20_000 + u32::try_from(self.below(50)).expect("small");
            let users: Vec<u32> = (first..first + 50).chain([0]).take(51 - self.below(2)).collect();
            filter = filter.of_users(&users).expect("few enough");
        }
        if self.below(3) == 0 {
            let names = [&b"chain"[..], b"r", b"live_choice", b"a name of more ", b""];
            let names = [names[self.below(names.len())], names[self.below(names.len())]];
            filter = filter.named(&names.map(NamePattern::prefix)).expect("few enough");
        }
        if self.below(3) == 0 {
            let cgroup = self.cgroups[self.below(3)];
            filter = filter.in_cgroups(&[cgroup]).expect("few enough");
        }
        filter
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.state >> 33).expect("31 bits") % limit
    }
}

/// The start of a process, to a tick of 10 ms.
fn start_ns(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("/proc is mounted");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let ticks = rest.split_whitespace().nth(19).expect("field 22");
    ticks.parse::<u64>().expect("a number") * 10_000_000
}
