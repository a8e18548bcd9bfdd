//! Filters in the kernel: the events that they pass.

mod common;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::{Deadline, load, named, open_filtered, strangers};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::setsid;
use proc_connector::{Event, Filter, ProcConnector, Received};
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::testing::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, SID};

fn main() -> ExitCode {
    let roles = named![lives, succeeds, crashes];
    common::main(&roles, &named![each_filter_passes_the_selected_events])
}

/// The proportion of all events that a filter passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    All,
    Some,
    None,
}

fn each_filter_passes_the_selected_events() {
    // Started before the listeners, so that filters can contain its id, and no listener receives
    // its start.
    let mut helper = HelperProcess::start("lives");
    helper.read_number();
    let (this, that) = (std::process::id(), helper.pid());
    let everything =
        FilterModel { mask: u32::MAX, processes_only: false, failures_only: false, tgids: None };
    let kinds = |mask| FilterModel { mask, ..everything.clone() };
    let processes = FilterModel { processes_only: true, ..everything.clone() };
    let failures = FilterModel { failures_only: true, ..everything.clone() };
    let tgids =
        |set, ids: &[u32]| FilterModel { tgids: Some((set, ids.to_vec())), ..kinds(u32::MAX) };
    let crowd: Vec<u32> = strangers(1023).chain([that]).collect();
    let choices = [
        (kinds(EXEC | COREDUMP), Share::Some),
        (kinds(EXIT), Share::Some),
        (kinds(0x400), Share::None),
        (processes.clone(), Share::Some),
        (failures, Share::Some),
        (FilterModel { mask: EXIT, failures_only: true, ..processes.clone() }, Share::Some),
        (tgids(TgidRule::Only, &[this]), Share::Some),
        (tgids(TgidRule::Only, &[that, this]), Share::Some),
        (tgids(TgidRule::Only, &crowd), Share::Some),
        (tgids(TgidRule::Only, &[]), Share::None),
        (tgids(TgidRule::Except, &[that]), Share::Some),
        (tgids(TgidRule::Except, &[]), Share::All),
        (FilterModel { processes_only: true, ..tgids(TgidRule::Except, &[this]) }, Share::Some),
        (everything.clone(), Share::All),
    ];
    let mut all = Listener::new(&Filter::default());
    let mut listeners = choices.each_ref().map(|(choice, _)| Listener::new(&choice.filter()));

    load::threads(2);
    helper.resume();
    let deadline = Deadline::new();
    let mut family = BTreeSet::from([this, that]);
    while !has_ended((that, that), &all.observed) || is_any_running(&family, &all.observed) {
        all.listen(deadline.left().expect("the end of each process and thread"));
        add_descendants(&mut family, &all.observed);
    }
    assert!(helper.wait().success());
    assert_eq!(family.len(), 5, "this process, the helper and its three children");

    let sent = all.events_of(&family);
    for kind in [FORK, EXEC, SID, COMM, COREDUMP, EXIT] {
        assert!(sent.iter().any(|observed| observed.event.what == kind), "no event {kind:#x}");
    }
    for ((choice, share), listener) in choices.iter().zip(&mut listeners) {
        let mut wanted = sent.clone();
        wanted.retain(|observed| choice.passes(&observed.event));
        let of_all = match wanted.len() {
            0 => Share::None,
            count if count == sent.len() => Share::All,
            _ => Share::Some,
        };
        assert_eq!(of_all, *share, "{choice:?}");
        while listener.events_of(&family).len() < wanted.len() {
            let Some(left) = deadline.left() else { panic!("{choice:?}: {:?}", listener.observed) };
            listener.listen(left);
        }
        while listener.listen(Duration::ZERO) {}
        assert_eq!(listener.events_of(&family), wanted, "{choice:?}");
    }
}

/// A role: creates threads, sets a name, starts a session, and has successful and failing children.
fn lives() {
    print_number(0);
    pause();
    load::threads(2);
    std::fs::write("/proc/self/comm", "named").expect("a name");
    setsid().expect("it leads no group of processes");
    for role in ["succeeds", "crashes", "succeeds"] {
        command(role).status().expect("this binary can be started");
    }
}

/// A role: succeeds, after a thread exited.
fn succeeds() {
    load::threads(1);
}

/// A role: ends with a core dump, but without a core file.
fn crashes() {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("a limit");
    std::process::abort();
}

/// An event as plain values, with its position in the stream of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Observed {
    cpu: u32,
    seq: u32,
    event: RawEvent,
}

impl From<Event<'_>> for Observed {
    fn from(event: Event<'_>) -> Self {
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(event.data().chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
        }
        let (cpu, seq, what) = (event.cpu(), event.seq(), event.what());
        Self { cpu, seq, event: RawEvent { what, words } }
    }
}

impl Observed {
    /// The thread and its process; for a fork, the new ones.
    fn task(&self) -> (u32, u32) {
        let [first, second, third, fourth, ..] = self.event.words;
        if self.event.what == FORK { (third, fourth) } else { (first, second) }
    }
}

/// A listener that stores its events.
struct Listener {
    connector: ProcConnector,
    observed: Vec<Observed>,
}

impl Listener {
    fn new(filter: &Filter) -> Self {
        Self { connector: open_filtered(filter), observed: Vec::new() }
    }

    /// Receives a batch; returns whether it contained an event.
    fn listen(&mut self, timeout: Duration) -> bool {
        let before = self.observed.len();
        for received in self.connector.recv_batch_timeout(timeout).expect("a batch") {
            match received {
                Received::Event(event) => self.observed.push(event.into()),
                Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
            }
        }
        self.observed.len() > before
    }

    /// The events of these processes, sorted by CPU, each in order.
    fn events_of(&self, processes: &BTreeSet<u32>) -> Vec<Observed> {
        let mut observed = self.observed.clone();
        observed.retain(|observed| processes.contains(&observed.task().1));
        observed.sort_by_key(|observed| observed.cpu);
        observed
    }
}

fn add_descendants(family: &mut BTreeSet<u32>, observed: &[Observed]) {
    let mut before = 0;
    while before < family.len() {
        before = family.len();
        for fork in observed.iter().filter(|observed| observed.event.what == FORK) {
            if family.contains(&fork.event.words[1]) {
                family.insert(fork.task().1);
            }
        }
    }
}

fn has_ended(task: (u32, u32), observed: &[Observed]) -> bool {
    observed.iter().any(|observed| observed.event.what == EXIT && observed.task() == task)
}

/// Whether the start of a thread of these processes was received, but not its exit.
fn is_any_running(processes: &BTreeSet<u32>, observed: &[Observed]) -> bool {
    let mut forks =
        observed.iter().filter(|observed| observed.event.what == FORK).map(Observed::task);
    forks.any(|task| processes.contains(&task.1) && !has_ended(task, observed))
}
