//! Filters in the kernel: what they let through, from the first event on, and what becomes of the
//! stream when they change.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::actor::{Actor, command, pause, say};
use common::raw::{RawSocket, Stamp, Witnessed};
use common::tape::{Got, Tape, catch_up};
use common::{CAP_NET_ADMIN, Deadline, builder, live, load, named, need, roomy, skip, transport};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::unistd::setsid;
use nix::{setsockopt_impl, sockopt_impl};
use proc_connector::{
    Error, Event, EventMask, Filter, NoRing, ProcConnector, Received, Stats, Transport,
};
use proc_connector_core::testing::filters::{Choice, Happening, Set};
use proc_connector_core::testing::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, SID};

fn main() -> ExitCode {
    let acts = named![lives, succeeds, crashes];
    let tests = named![
        each_filter_lets_through_what_it_says,
        what_comes_before_the_acknowledgement_is_filtered_too,
        a_change_under_load_loses_nothing_and_repeats_nothing,
        a_change_applies_to_what_happens_after_it,
        a_full_set_can_be_changed_for_another,
        a_refused_change_changes_nothing,
        only_a_stream_without_filters_tells_what_is_missing,
        what_is_missing_is_what_was_lost,
    ];
    common::main(&acts, &tests)
}

fn open(filter: &Filter) -> ProcConnector {
    let builder = roomy().filter(filter.clone());
    builder.open().expect("a live connector")
}

/// How much of all that is sent a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    All,
    Some,
    None,
}

fn each_filter_lets_through_what_it_says() {
    // Before the listeners, so that its id can be in their filters, and so that none hears of its
    // start.
    let mut actor = Actor::start("lives");
    actor.hear();
    let (this, that) = (std::process::id(), actor.pid());
    let everything =
        Choice { mask: u32::MAX, processes_only: false, failures_only: false, tgids: None };
    let kinds = |mask| Choice { mask, ..everything.clone() };
    let processes = Choice { processes_only: true, ..everything.clone() };
    let failures = Choice { failures_only: true, ..everything.clone() };
    let tgids = |set, ids: &[u32]| Choice { tgids: Some((set, ids.to_vec())), ..kinds(u32::MAX) };
    let crowd: Vec<u32> = strangers(1023).chain([that]).collect();
    let choices = [
        (kinds(EXEC | COREDUMP), Share::Some),
        (kinds(EXIT), Share::Some),
        (kinds(0x400), Share::None),
        (processes.clone(), Share::Some),
        (failures, Share::Some),
        (Choice { mask: EXIT, failures_only: true, ..processes.clone() }, Share::Some),
        (tgids(Set::Only, &[this]), Share::Some),
        (tgids(Set::Only, &[that, this]), Share::Some),
        (tgids(Set::Only, &crowd), Share::Some),
        (tgids(Set::Only, &[]), Share::None),
        (tgids(Set::Except, &[that]), Share::Some),
        (tgids(Set::Except, &[]), Share::All),
        (Choice { processes_only: true, ..tgids(Set::Except, &[this]) }, Share::Some),
        (everything.clone(), Share::All),
    ];
    let mut all = Ear::new(&Filter::default());
    let mut ears = choices.each_ref().map(|(choice, _)| Ear::new(&choice.filter()));

    load::threads(2);
    actor.go_on();
    let deadline = Deadline::new();
    let mut family = BTreeSet::from([this, that]);
    while !has_ended((that, that), &all.heard) || is_any_running(&family, &all.heard) {
        all.listen(deadline.left().expect("the end of each process and thread"));
        add_descendants(&mut family, &all.heard);
    }
    assert!(actor.wait().success());
    assert_eq!(family.len(), 5, "this process, the actor and its three children");

    let sent = all.of(&family);
    for kind in [FORK, EXEC, SID, COMM, COREDUMP, EXIT] {
        assert!(sent.iter().any(|heard| heard.event.what == kind), "no event {kind:#x}");
    }
    for ((choice, share), ear) in choices.iter().zip(&mut ears) {
        let mut wanted = sent.clone();
        wanted.retain(|heard| choice.wants(&heard.event));
        let of_all = match wanted.len() {
            0 => Share::None,
            count if count == sent.len() => Share::All,
            _ => Share::Some,
        };
        assert_eq!(of_all, *share, "{choice:?}");
        while ear.of(&family).len() < wanted.len() {
            let Some(left) = deadline.left() else { panic!("{choice:?}: {:?}", ear.heard) };
            ear.listen(left);
        }
        while ear.listen(Duration::ZERO) {}
        assert_eq!(ear.of(&family), wanted, "{choice:?}");
    }
}

/// An act: threads, a new name, a new session, and children that end well and badly.
fn lives() {
    say(0);
    pause();
    load::threads(2);
    std::fs::write("/proc/self/comm", "named").expect("a name");
    setsid().expect("it leads no group of processes");
    for act in ["succeeds", "crashes", "succeeds"] {
        command(act).status().expect("this binary can be started");
    }
}

/// An act: ends well, after a thread did.
fn succeeds() {
    load::threads(1);
}

/// An act: ends in a core dump, though without a file.
fn crashes() {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("a limit");
    std::process::abort();
}

/// Ids that no process has: above `PID_MAX_LIMIT` of the kernel.
fn strangers(count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(|n| (1 << 22) + n)
}

/// An event as numbers, and where it stands in the stream of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    cpu: u32,
    seq: u32,
    event: Happening,
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(event.data().chunks_exact(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
        }
        let (cpu, seq, what) = (event.cpu(), event.seq(), event.what());
        Self { cpu, seq, event: Happening { what, words } }
    }
}

impl Heard {
    /// The thread and its process: for a fork, the new ones.
    fn task(&self) -> (u32, u32) {
        let [first, second, third, fourth, ..] = self.event.words;
        if self.event.what == FORK { (third, fourth) } else { (first, second) }
    }
}

/// A listener that remembers.
struct Ear {
    connector: ProcConnector,
    heard: Vec<Heard>,
}

impl Ear {
    fn new(filter: &Filter) -> Self {
        Self { connector: open(filter), heard: Vec::new() }
    }

    /// Takes a batch; false if there was nothing in it.
    fn listen(&mut self, timeout: Duration) -> bool {
        let before = self.heard.len();
        for received in self.connector.recv_batch_timeout(timeout).expect("a batch") {
            match received {
                Received::Event(event) => self.heard.push(event.into()),
                Received::Lost(lost) => panic!("the machine is too busy: {lost:?}"),
            }
        }
        self.heard.len() > before
    }

    /// What was heard of the processes, one CPU after the other, each in its order.
    fn of(&self, processes: &BTreeSet<u32>) -> Vec<Heard> {
        let mut heard = self.heard.clone();
        heard.retain(|heard| processes.contains(&heard.task().1));
        heard.sort_by_key(|heard| heard.cpu);
        heard
    }
}

fn add_descendants(family: &mut BTreeSet<u32>, heard: &[Heard]) {
    let mut before = 0;
    while before < family.len() {
        before = family.len();
        for fork in heard.iter().filter(|heard| heard.event.what == FORK) {
            if family.contains(&fork.event.words[1]) {
                family.insert(fork.task().1);
            }
        }
    }
}

fn has_ended(task: (u32, u32), heard: &[Heard]) -> bool {
    heard.iter().any(|heard| heard.event.what == EXIT && heard.task() == task)
}

/// Whether a thread of the processes was heard to begin and not to end.
fn is_any_running(processes: &BTreeSet<u32>, heard: &[Heard]) -> bool {
    let mut forks = heard.iter().filter(|heard| heard.event.what == FORK).map(Heard::task);
    forks.any(|task| processes.contains(&task.1) && !has_ended(task, heard))
}

fn what_comes_before_the_acknowledgement_is_filtered_too() {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let several_cpus = load::cpus().len() > 1;
    // The kernel sends events from here on, because of the witness.
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                load::threads(1);
            }
        });
        let _stop = load::OnDrop(|| done.store(true, Relaxed));
        let deadline = Deadline::new();
        let (mut rounds, mut early) = (0, 0);
        while rounds < 50 || (early < 3 && several_cpus) {
            assert!(deadline.left().is_some(), "{early} early events in {rounds} rounds");
            witnessed.add(&witness.drain());
            let mut connector = open(&Filter::new(EventMask::EXIT));
            let news = witness.drain();
            witnessed.add(&news);
            let mut tape = Tape::default();
            record_up_to_an_exit(&mut tape, &mut connector);
            assert!(tape.stamps().all(|stamp| stamp.what == EXIT));
            assert_has_all_exits(&tape, &witness, &mut witnessed);
            // If it is the only acknowledgement of the time, it is this connector's.
            let mut acks = news.iter().filter(|stamp| stamp.what == 0);
            if let (Some(ack), None) = (acks.next(), acks.next()) {
                early += tape.stamps().filter(|s| s.timestamp_ns < ack.timestamp_ns).count();
            }
            rounds += 1;
        }
    });
}

/// Records until the exit of a new thread has come, whatever else the filter lets through.
fn record_up_to_an_exit(tape: &mut Tape, connector: &mut ProcConnector) {
    let thread = load::threads(1)[0];
    let deadline = Deadline::new();
    while !tape.has_exit_of(thread) {
        let left = deadline.left().expect("the exit of a thread that has ended");
        tape.record(connector, left);
    }
}

/// Asserts that from the first exit of each CPU to its last there are all that the witness saw,
/// once, and in order.
fn assert_has_all_exits(tape: &Tape, witness: &RawSocket, witnessed: &mut Witnessed) {
    assert_eq!(tape.lost(), 0, "the machine is too busy");
    let mut cpus: BTreeMap<u32, Vec<Stamp>> = BTreeMap::new();
    for exit in tape.stamps().filter(|stamp| stamp.what == EXIT) {
        cpus.entry(exit.cpu).or_default().push(exit);
    }
    catch_up(witness, witnessed, cpus.values().map(|exits| exits[exits.len() - 1]));
    for exits in cpus.values() {
        let sent = witnessed.between(exits[0], exits[exits.len() - 1]).iter();
        let sent = sent.filter(|stamp| stamp.what == EXIT);
        assert!(exits.iter().eq(sent), "{} exits from {:?} on", exits.len(), exits[0]);
    }
}

fn a_change_under_load_loses_nothing_and_repeats_nothing() {
    need(CAP_NET_ADMIN, "CAP_NET_ADMIN, for a large buffer");
    let (witness, mut witnessed) = (RawSocket::listening(), Witnessed::default());
    let crowd: Vec<u32> = strangers(400).collect();
    let fork = EventMask::FORK;
    // Each lets all exits through, with a program of its own length.
    let filters = [(EventMask::empty(), 0), (fork, 400), (EventMask::SID, 20), (fork, 1)].map(
        |(more, left_out)| {
            let filter = Filter::new(EventMask::EXIT | more).except_tgids(&crowd[..left_out]);
            filter.expect("few enough")
        },
    );
    let mut connector = open(&filters[0]);
    let mut tape = Tape::default();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut threads = Vec::new();
            while !done.load(Relaxed) && threads.len() < 20_000 {
                threads.extend(load::threads(10));
            }
            threads
        });
        let stop = load::OnDrop(|| done.store(true, Relaxed));
        let change = |filter, connector: &mut ProcConnector, tape: &mut Tape| {
            connector.set_filter(filter).expect("a filter that the kernel takes");
            tape.record(connector, Duration::ZERO);
            thread::sleep(Duration::from_micros(100));
        };
        for _ in 0..250 {
            change(&filters[2], &mut connector, &mut tape);
            change(&filters[0], &mut connector, &mut tape);
        }
        assert!(tape.stamps().all(|stamp| stamp.what != FORK), "neither lets a fork through");
        for filter in filters.iter().cycle().take(500) {
            change(filter, &mut connector, &mut tape);
        }
        drop(stop);
        let threads = load.join().expect("threads");
        let deadline = Deadline::new();
        while !tape.has_exits_of(&threads[threads.len() - 10..]) {
            tape.record(&mut connector, deadline.left().expect("the exits of all threads"));
        }
        // They were all in force for some of the time.
        let threads = BTreeSet::from_iter(threads);
        let forked = tape.got.iter().filter_map(|got| match got {
            Got::Event { forked, .. } => *forked,
            Got::Lost(_) => None,
        });
        let forks = forked.filter(|thread| threads.contains(thread)).count();
        assert!(0 < forks && forks < threads.len(), "{forks} forks of {} threads", threads.len());
    });
    assert_has_all_exits(&tape, &witness, &mut witnessed);
}

fn a_change_applies_to_what_happens_after_it() {
    let (forks, exits) = (Filter::new(EventMask::FORK), Filter::new(EventMask::EXIT));
    let mut connector = open(&forks);
    let (mut heard, mut unheard) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        // A fork is sent before the new thread is known here. Nothing is read meanwhile: what was
        // queued stays, whatever filter follows.
        heard.extend(load::threads(2));
        connector.set_filter(&exits).expect("a filter that the kernel takes");
        unheard.extend(load::threads(2));
        connector.set_filter(&forks).expect("a filter that the kernel takes");
    }
    connector.set_filter(&Filter::default()).expect("a filter that the kernel takes");
    let mut tape = Tape::default();
    tape.mark(&mut connector);
    assert_eq!(tape.lost(), 0);
    assert!(heard.iter().all(|&thread| forks_of(&tape, thread) == 1), "{tape:?}");
    assert!(unheard.iter().all(|&thread| forks_of(&tape, thread) == 0), "{tape:?}");
}

fn forks_of(tape: &Tape, thread: u32) -> usize {
    let is_fork = |got: &&Got| matches!(got, Got::Event { forked, .. } if *forked == Some(thread));
    tape.got.iter().filter(is_fork).count()
}

fn a_full_set_can_be_changed_for_another() {
    let mut ids: Vec<u32> = strangers(2 * FULL).collect();
    let (one, other) = ids.split_at_mut(FULL as usize);
    other[0] = std::process::id();
    let [one, other] =
        [one, other].map(|ids| Filter::default().only_tgids(ids).expect("as many as it holds"));
    let mut connector = open(&one);
    let unheard = load::threads(3);
    connector.set_filter(&other).expect("a filter that the kernel takes");
    let heard = load::threads(3);
    let mut tape = Tape::default();
    tape.record_exits(&mut connector, &heard);
    assert!(unheard.iter().all(|&thread| forks_of(&tape, thread) == 0), "{tape:?}");
}

/// As many ids as a filter can name.
const FULL: u32 = 1024;

sockopt_impl!(
    /// Forbids to change the filter of a socket.
    LockFilter, SetOnly, libc::SOL_SOCKET, libc::SO_LOCK_FILTER, bool
);

fn a_refused_change_changes_nothing() {
    let mut filtered = open(&Filter::new(EventMask::FORK));
    let mut unfiltered = live();
    for connector in [&mut filtered, &mut unfiltered] {
        let other = Filter::new(EventMask::EXIT);
        if transport() == Transport::Ring {
            let refused = without_descriptors(|| connector.set_filter(&other).err());
            let errno = NoRing::Os(libc::EMFILE);
            let Some(Error::RingUnavailable { reason, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(reason, errno);
        } else {
            setsockopt(connector, LockFilter, &true).expect("a socket option");
            let refused = connector.set_filter(&other).err();
            assert!(matches!(refused, Some(Error::FilterRefused(_))), "{refused:?}");
        }
    }
    let thread = load::threads(1)[0];
    let mut tape = Tape::default();
    tape.mark(&mut unfiltered);
    assert!(unfiltered.stats().missing.is_some(), "it was never filtered");
    let mut tape = Tape::default();
    while forks_of(&tape, thread) == 0 {
        tape.record(&mut filtered, Duration::from_secs(10));
    }
    assert!(tape.stamps().all(|stamp| stamp.what == FORK), "{tape:?}");
}

/// Does something in a process that may open no more files.
fn without_descriptors<T>(act: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).expect("a lower limit");
    let result = act();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit of before");
    result
}

fn only_a_stream_without_filters_tells_what_is_missing() {
    let mut tape = Tape::default();
    let mut connector = live();
    let mut missing = |connector: &mut ProcConnector| {
        tape.mark(connector);
        connector.stats().missing
    };
    assert_eq!(missing(&mut connector), Some(0));
    connector.set_filter(&Filter::default()).expect("nothing to attach");
    assert_eq!(missing(&mut connector), Some(0));
    connector.set_filter(&Filter::default().processes_only()).expect("a filter");
    assert_eq!(connector.stats().missing, None);
    // Where the numbers would have to go on is not known.
    connector.set_filter(&Filter::default()).expect("a filter");
    assert_eq!(missing(&mut connector), None);

    let mut connector = open(&Filter::new(EventMask::FORK | EventMask::EXIT));
    assert_eq!(missing(&mut connector), None);
}

fn what_is_missing_is_what_was_lost() {
    for events in [0, 20, 300] {
        let builder = builder().receive_buffer_events(events);
        let mut connector = builder.open().expect("a live connector");
        let mut before = settle(&mut connector);
        for _ in 0..5 {
            load::threads(400);
            let after = settle(&mut connector);
            let lost = after.lost - before.lost;
            assert!(lost > 0, "nothing was lost");
            assert!(after.received - before.received + lost >= 800, "{before:?}, {after:?}");
            // A socket's losses have acknowledgements to others among them, and what is missing has
            // these too; a ring keeps both apart.
            let missing = [before, after].map(|stats| stats.missing.expect("an unfiltered stream"));
            assert_eq!(missing[1] - missing[0], lost, "{before:?}, {after:?}");
            before = after;
        }
    }
}

/// The totals at a time when nothing is missing that has not been told.
fn settle(connector: &mut ProcConnector) -> Stats {
    if Tape::default().settle(connector).is_none() {
        skip("the machine is too busy");
    }
    connector.stats()
}
