//! Compares the table with a simulated machine through random sequences of process events.

mod identities;
mod machine;

use std::collections::{BTreeMap, BTreeSet};

use proc_connector_core::ExitStatus;
use proptest::prelude::*;

use self::machine::{SharedMachine, Visibility};
use super::change::{Change, ChangeKind};
use super::table::ProcessTable;

/// An action of the machine or of the table's user.
#[derive(Clone, Debug)]
enum Step {
    Fork(usize),
    Thread(usize),
    Exec(usize, [u32; 2]),
    ThreadExit(usize, u32),
    ProcessExit(usize, u32),
    Reap,
    Rename(usize),
    User(usize),
    Session(usize),
    /// Delivers this number of events to the table.
    Deliver(usize),
    /// Drops this number of events.
    Lose(u64),
    /// Scans `/proc`.
    Scan,
    /// Scans `/proc` with limited visibility.
    ScanPartly(Visibility),
}

fn step(losses: bool) -> impl Strategy<Value = Step> {
    let late = || prop_oneof![3 => Just(0_u32), 1 => 1..4_u32];
    let lossless = prop_oneof![
        8 => any::<usize>().prop_map(Step::Fork),
        3 => any::<usize>().prop_map(Step::Thread),
        4 => (any::<usize>(), [late(), late()]).prop_map(|(choice, late)| Step::Exec(choice, late)),
        3 => (any::<usize>(), late()).prop_map(|(choice, late)| Step::ThreadExit(choice, late)),
        5 => (any::<usize>(), late()).prop_map(|(choice, late)| Step::ProcessExit(choice, late)),
        6 => Just(Step::Reap),
        1 => any::<usize>().prop_map(Step::Rename),
        1 => any::<usize>().prop_map(Step::User),
        1 => any::<usize>().prop_map(Step::Session),
        9 => (0..12_usize).prop_map(Step::Deliver),
    ];
    let visibility = prop_oneof![
        Just(Visibility::Unreadable),
        Just(Visibility::Hidden),
        Just(Visibility::TooManyFiles)
    ];
    let lossy = prop_oneof![
        2 => (1..9_u64).prop_map(Step::Lose),
        2 => Just(Step::Scan),
        1 => visibility.prop_map(Step::ScanPartly),
    ];
    if losses { prop_oneof![20 => lossless, 1 => lossy].boxed() } else { lossless.boxed() }
}

/// A table, and the processes that are alive according to its changes.
#[derive(Debug)]
struct Observer {
    table: ProcessTable,
    alive: BTreeSet<u64>,
    /// The processes whose end was reported.
    ended: Vec<super::Process>,
}

impl Observer {
    fn start(machine: &SharedMachine) -> Self {
        machine.machine().listen();
        let table = ProcessTable::with_source(Box::new(machine.clone())).expect("a machine");
        let alive = table.iter().map(super::Process::serial).collect();
        Self { table, alive, ended: Vec::new() }
    }

    /// Panics if an exec has values of another one.
    fn check_program(machine: &SharedMachine, process: &super::Process) {
        let exec_ns = process.exec_ns().expect("an exec");
        let machine = machine.machine();
        let (name, args) = &machine.programs[&(process.tgid(), exec_ns)];
        assert!(process.args().is_none_or(|read| read.bytes() == args.as_bytes()), "{process:?}");
        assert!(process.comm().is_none_or(|read| read == name.as_bytes()), "{process:?}");
    }

    fn record(alive: &mut BTreeSet<u64>, ended: &mut Vec<super::Process>, change: &Change<'_>) {
        let serial = change.process.serial();
        match change.kind {
            ChangeKind::Started | ChangeKind::Appeared => {
                assert!(alive.insert(serial), "{change:?} existed");
            }
            ChangeKind::Vanished => assert!(alive.remove(&serial), "{change:?} did not exist"),
            // The process may have vanished before.
            ChangeKind::Ended => {
                alive.remove(&serial);
                ended.push(change.process.clone());
            }
            _ => {}
        }
    }

    /// Delivers one event or loss, and returns whether one was available.
    fn deliver(&mut self, machine: &SharedMachine) -> bool {
        let (alive, ended) = (&mut self.alive, &mut self.ended);
        machine.deliver(&mut self.table, |table, received| {
            for change in table.apply(received) {
                if change.kind == ChangeKind::Executed {
                    Self::check_program(machine, change.process);
                }
                Self::record(alive, ended, &change);
            }
        })
    }

    /// Delivers what is left. Two receives without events then make all values certain.
    fn deliver_all(&mut self, machine: &SharedMachine) {
        while self.deliver(machine) {}
        for _ in 0..3 {
            self.end_receive(machine);
        }
    }

    /// Ends a receive.
    fn end_receive(&mut self, machine: &SharedMachine) {
        for change in self.table.rescan_if_due().expect("a machine") {
            if change.kind == ChangeKind::Executed {
                Self::check_program(machine, change.process);
            }
            Self::record(&mut self.alive, &mut self.ended, &change);
        }
    }

    /// Scans with limited visibility; no living process may vanish.
    fn scan_partly(&mut self, machine: &SharedMachine, visibility: Visibility) {
        let known: BTreeSet<u32> = self.table.iter().map(super::Process::tgid).collect();
        machine.machine().show(visibility);
        let changes = self.table.rescan().into_iter().flatten();
        changes.for_each(|change| Self::record(&mut self.alive, &mut self.ended, &change));
        machine.machine().show(Visibility::All);
        let machine = machine.machine();
        for (tgid, _) in machine.alive().filter(|(tgid, _)| known.contains(tgid)) {
            assert!(self.table.get(tgid).is_some(), "{tgid} lives");
        }
    }

    fn scan(&mut self) {
        let changes = self.table.rescan().expect("a machine");
        changes.for_each(|change| Self::record(&mut self.alive, &mut self.ended, &change));
    }
}

/// The compared values of a process: parent, threads, name, arguments, user and session.
type Row = (Option<u32>, usize, Option<String>, Option<String>, Option<u32>, Option<u32>);

fn rows(table: &ProcessTable) -> BTreeMap<u32, Row> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let row = |process: &super::Process| {
        let row: Row = (
            process.parent(),
            process.threads(),
            process.comm().map(text),
            process.args().map(|args| text(args.bytes())),
            process.uid().map(|uid| uid.real),
            process.session(),
        );
        (process.tgid(), row)
    };
    table.iter().map(row).collect()
}

fn actual(machine: &SharedMachine) -> BTreeMap<u32, Row> {
    let machine = machine.machine();
    let row = |(tgid, task): (u32, &machine::Task)| {
        let row: Row = (
            Some(task.parent).filter(|&parent| parent != 0),
            task.threads.len(),
            Some(task.comm.clone()),
            Some(task.args.clone()),
            Some(task.user),
            Some(task.session),
        );
        (tgid, row)
    };
    machine.alive().map(row).collect()
}

/// Panics at the first process that differs between the table and the machine.
fn compare(observer: &Observer, machine: &SharedMachine) {
    let (mut rows, actual) = (rows(&observer.table), actual(machine));
    if machine.machine().has_contexts() {
        for (tgid, row) in &mut rows {
            // The new parent of an orphan is unknown until the orphan acts.
            row.0 = row.0.or(actual.get(tgid).and_then(|actual| actual.0));
        }
        for process in observer.table.iter().filter(|process| process.execs().is_some()) {
            let execs = machine.machine().execs(process.tgid());
            assert_eq!(process.execs(), execs, "{process:?}");
        }
    }
    for tgid in rows.keys().chain(actual.keys()) {
        assert_eq!(rows.get(tgid), actual.get(tgid), "{tgid}, in the table and on the machine");
    }
    let alive: BTreeSet<u64> = observer.table.iter().map(super::Process::serial).collect();
    assert_eq!(observer.alive, alive, "the changes report the same processes");
}

/// Panics unless each process that ended was reported once, with its status.
fn compare_ends(observer: &Observer, machine: &SharedMachine, lost: bool) {
    let machine = machine.machine();
    let mut reported = BTreeMap::new();
    for process in &observer.ended {
        let (tgid, start) = (process.tgid(), process.start_boottime_ns());
        let start = start.expect("the kernel recorded it");
        let status = process.exit_status().map(ExitStatus::into_raw);
        let args = machine.last_args.get(&(tgid, start)).map(String::as_bytes);
        let shown = process.args().map(|args| args.bytes());
        assert!(shown.is_none() || shown == args, "{process:?} had {args:?}");
        assert_eq!(reported.insert((tgid, start), status), None, "{tgid} ended twice");
        let actual = machine.ended.get(&(tgid, start)).copied();
        assert_eq!(status, actual, "the status of {tgid}");
    }
    for (&(tgid, start), _) in machine.ended.iter().filter(|_| !lost) {
        assert!(reported.contains_key(&(tgid, start)), "{tgid}, created at {start}, ended");
    }
}

fn run(shared: &SharedMachine, before: &[Step], after: &[Step]) {
    for step in before {
        perform(shared, step);
    }
    shared.machine().ended.clear();
    let mut observer = Observer::start(shared);
    for step in after {
        match step {
            Step::Deliver(number) => {
                (0..*number).for_each(|_| {
                    observer.deliver(shared);
                });
                if *number > 0 {
                    observer.end_receive(shared);
                }
            }
            Step::Scan => observer.scan(),
            Step::ScanPartly(visibility) => observer.scan_partly(shared, *visibility),
            step => perform(shared, step),
        }
    }
    shared.machine().settle();
    observer.deliver_all(shared);
    // The table schedules a scan where it is uncertain. It does not schedule one for processes that
    // could not be read.
    let had_failed_reads = after.iter().any(|step| matches!(step, Step::ScanPartly(_)));
    if observer.table.rescan_in().is_some() || had_failed_reads {
        observer.scan();
    }
    compare(&observer, shared);
    if shared.machine().has_contexts() {
        let lost = after.iter().any(|step| matches!(step, Step::Lose(_)));
        compare_ends(&observer, shared, lost);
    }
}

fn perform(shared: &SharedMachine, step: &Step) {
    let mut machine = shared.machine();
    machine.step();
    match *step {
        Step::Fork(choice) => machine.fork(choice),
        Step::Thread(choice) => machine.thread(choice),
        Step::Exec(choice, late) => machine.exec(choice, late),
        Step::ThreadExit(choice, late) => machine.thread_exit(choice, late),
        Step::ProcessExit(choice, late) => machine.process_exit(choice, late),
        Step::Reap => machine.reap(),
        Step::Rename(choice) => machine.rename(choice),
        Step::User(choice) => machine.change_user(choice),
        Step::Session(choice) => machine.new_session(choice),
        Step::Lose(events) => machine.lose(events),
        Step::Deliver(_) | Step::Scan | Step::ScanPartly(_) => {}
    }
}

/// Loses events of a machine, then scans with limited visibility. Returns the changes, the
/// processes in the table, and the processes that are alive.
fn rescan_with(visibility: Visibility) -> (std::io::Result<Vec<ChangeKind>>, Vec<u32>, Vec<u32>) {
    let shared = SharedMachine::new();
    for step in 0..12 {
        perform(&shared, &Step::Fork(step));
        perform(&shared, &Step::User(step));
    }
    let mut observer = Observer::start(&shared);
    shared.machine().lose(5);
    perform(&shared, &Step::ProcessExit(3, 0));
    perform(&shared, &Step::ProcessExit(5, 0));
    perform(&shared, &Step::Reap);
    shared.machine().settle();
    observer.deliver_all(&shared);
    shared.machine().show(visibility);
    let changes =
        observer.table.rescan().map(|changes| changes.map(|change| change.kind).collect());
    let mut left: Vec<u32> = observer.table.iter().map(super::Process::tgid).collect();
    left.sort_unstable();
    let alive = shared.machine().alive().map(|(tgid, _)| tgid).collect();
    (changes, left, alive)
}

#[test]
fn an_unreadable_process_does_not_vanish() {
    for visibility in [Visibility::All, Visibility::Unreadable, Visibility::Hidden] {
        let (changes, left, alive) = rescan_with(visibility);
        let changes = changes.expect("a scan");
        let vanished = changes.iter().filter(|kind| **kind == ChangeKind::Vanished).count();
        assert_eq!((vanished, left), (2, alive), "{visibility:?}");
    }
    // A failed scan reports no change, so it must not change the table.
    let (changes, left, alive) = rescan_with(Visibility::TooManyFiles);
    assert_eq!(changes.expect_err("no scan").raw_os_error(), Some(24));
    assert_eq!(left.len(), alive.len() + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_table_equals_the_machine_after_every_step(
        steps in proptest::collection::vec(step(false), 0..100),
    ) {
        let shared = SharedMachine::new();
        let mut observer = Observer::start(&shared);
        for step in &steps {
            perform(&shared, step);
            shared.machine().settle();
            observer.deliver_all(&shared);
            compare(&observer, &shared);
        }
    }

    #[test]
    fn the_table_equals_the_machine_from_events_alone(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(false), 0..200),
    ) {
        run(&SharedMachine::new(), &before, &after);
    }

    #[test]
    fn the_table_equals_the_machine_after_losses(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(true), 0..200),
    ) {
        run(&SharedMachine::new(), &before, &after);
    }

    #[test]
    fn the_table_follows_identities(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(false), 0..200),
    ) {
        run(&SharedMachine::with_contexts(), &before, &after);
    }

    #[test]
    fn the_table_follows_identities_after_losses(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(true), 0..200),
    ) {
        run(&SharedMachine::with_contexts(), &before, &after);
    }
}
