//! The table against a machine that is known, through all that the kernel may do to it.

mod machine;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use self::machine::{Shared, Sight};
use super::change::{Change, ChangeKind};
use super::table::ProcessTable;

/// What happens next, on the machine or to the table.
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
    /// The table is told so many things.
    Tell(usize),
    /// So many events are lost.
    Lose(u64),
    /// The table looks at `/proc`.
    Look,
    /// The same where it can see no more than that.
    LookBadly(Sight),
}

fn step(losses: bool) -> impl Strategy<Value = Step> {
    let late = || prop_oneof![3 => Just(0_u32), 1 => 1..4_u32];
    let quiet = prop_oneof![
        8 => any::<usize>().prop_map(Step::Fork),
        3 => any::<usize>().prop_map(Step::Thread),
        4 => (any::<usize>(), [late(), late()]).prop_map(|(who, late)| Step::Exec(who, late)),
        3 => (any::<usize>(), late()).prop_map(|(who, late)| Step::ThreadExit(who, late)),
        5 => (any::<usize>(), late()).prop_map(|(who, late)| Step::ProcessExit(who, late)),
        6 => Just(Step::Reap),
        1 => any::<usize>().prop_map(Step::Rename),
        1 => any::<usize>().prop_map(Step::User),
        1 => any::<usize>().prop_map(Step::Session),
        9 => (0..12_usize).prop_map(Step::Tell),
    ];
    let sight =
        prop_oneof![Just(Sight::Unreadable), Just(Sight::Hidden), Just(Sight::TooManyFiles)];
    let loud = prop_oneof![
        2 => (1..9_u64).prop_map(Step::Lose),
        2 => Just(Step::Look),
        1 => sight.prop_map(Step::LookBadly),
    ];
    if losses { prop_oneof![20 => quiet, 1 => loud].boxed() } else { quiet.boxed() }
}

/// A table and what its changes say.
#[derive(Debug)]
struct Told {
    table: ProcessTable,
    alive: BTreeSet<u64>,
}

impl Told {
    fn start(machine: &Shared) -> Self {
        machine.machine().listen();
        let table = ProcessTable::with_source(Box::new(machine.clone())).expect("a machine");
        let alive = table.iter().map(super::Process::serial).collect();
        Self { table, alive }
    }

    fn note(alive: &mut BTreeSet<u64>, change: &Change<'_>) {
        let serial = change.process.serial();
        match change.kind {
            ChangeKind::Started | ChangeKind::Appeared => {
                assert!(alive.insert(serial), "{change:?} was there");
            }
            ChangeKind::Vanished => assert!(alive.remove(&serial), "{change:?} was not there"),
            // May have vanished before.
            ChangeKind::Ended => {
                alive.remove(&serial);
            }
            _ => {}
        }
    }

    /// Whether there was anything.
    fn tell(&mut self, machine: &Shared) -> bool {
        let alive = &mut self.alive;
        machine.tell(&mut self.table, |table, received| {
            table.apply(received).for_each(|change| Self::note(alive, &change));
        })
    }

    /// No living process is gone by that, however little is seen.
    fn look_badly(&mut self, machine: &Shared, sight: Sight) {
        let known: BTreeSet<u32> = self.table.iter().map(super::Process::tgid).collect();
        machine.machine().show(sight);
        let changes = self.table.rescan().into_iter().flatten();
        changes.for_each(|change| Self::note(&mut self.alive, &change));
        machine.machine().show(Sight::All);
        let machine = machine.machine();
        for (tgid, _) in machine.alive().filter(|(tgid, _)| known.contains(tgid)) {
            assert!(self.table.get(tgid).is_some(), "{tgid} lives");
        }
    }

    fn look(&mut self) {
        let changes = self.table.rescan().expect("a machine");
        changes.for_each(|change| Self::note(&mut self.alive, &change));
    }
}

/// One process, to be compared.
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

fn truth(machine: &Shared) -> BTreeMap<u32, Row> {
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

/// Panics at the first process that is not in the table as it is.
fn compare(told: &Told, machine: &Shared) {
    let (rows, truth) = (rows(&told.table), truth(machine));
    for tgid in rows.keys().chain(truth.keys()) {
        assert_eq!(rows.get(tgid), truth.get(tgid), "{tgid}, in the table and in truth");
    }
    let alive: BTreeSet<u64> = told.table.iter().map(super::Process::serial).collect();
    assert_eq!(told.alive, alive, "the changes tell the same");
}

fn run(before: &[Step], after: &[Step]) {
    let shared = Shared::new();
    for step in before {
        act(&shared, step);
    }
    let mut told = Told::start(&shared);
    for step in after {
        match step {
            Step::Tell(number) => (0..*number).for_each(|_| {
                told.tell(&shared);
            }),
            Step::Look => told.look(),
            Step::LookBadly(sight) => told.look_badly(&shared, *sight),
            step => act(&shared, step),
        }
    }
    shared.machine().settle();
    while told.tell(&shared) {}
    // Whatever it is not sure of it looks up, given time; and what it could not see, when it can.
    let was_blind = after.iter().any(|step| matches!(step, Step::LookBadly(_)));
    if told.table.rescan_in().is_some() || was_blind {
        told.look();
    }
    compare(&told, &shared);
}

fn act(shared: &Shared, step: &Step) {
    let mut machine = shared.machine();
    machine.step();
    match *step {
        Step::Fork(who) => machine.fork(who),
        Step::Thread(who) => machine.thread(who),
        Step::Exec(who, late) => machine.exec(who, late),
        Step::ThreadExit(who, late) => machine.thread_exit(who, late),
        Step::ProcessExit(who, late) => machine.process_exit(who, late),
        Step::Reap => machine.reap(),
        Step::Rename(who) => machine.rename(who),
        Step::User(who) => machine.change_user(who),
        Step::Session(who) => machine.new_session(who),
        Step::Lose(events) => machine.lose(events),
        Step::Tell(_) | Step::Look | Step::LookBadly(_) => {}
    }
}

/// What a look tells, and what is in the table after it, where a machine of some processes shows only
/// that of them.
fn seen_with(sight: Sight) -> (std::io::Result<Vec<ChangeKind>>, Vec<u32>, Vec<u32>) {
    let shared = Shared::new();
    for step in 0..12 {
        act(&shared, &Step::Fork(step));
        act(&shared, &Step::User(step));
    }
    let mut told = Told::start(&shared);
    shared.machine().lose(5);
    act(&shared, &Step::ProcessExit(3, 0));
    act(&shared, &Step::ProcessExit(5, 0));
    act(&shared, &Step::Reap);
    shared.machine().settle();
    while told.tell(&shared) {}
    shared.machine().show(sight);
    let changes = told.table.rescan().map(|changes| changes.map(|change| change.kind).collect());
    let mut left: Vec<u32> = told.table.iter().map(super::Process::tgid).collect();
    left.sort_unstable();
    let alive = shared.machine().alive().map(|(tgid, _)| tgid).collect();
    (changes, left, alive)
}

#[test]
fn only_those_that_are_gone_are_gone_whatever_cannot_be_read() {
    for sight in [Sight::All, Sight::Unreadable, Sight::Hidden] {
        let (changes, left, alive) = seen_with(sight);
        let changes = changes.expect("a look");
        let vanished = changes.iter().filter(|kind| **kind == ChangeKind::Vanished).count();
        assert_eq!((vanished, left), (2, alive), "{sight:?}");
    }
    // A look that fails changes nothing, since no change is reported.
    let (changes, left, alive) = seen_with(Sight::TooManyFiles);
    assert_eq!(changes.expect_err("no look").raw_os_error(), Some(24));
    assert_eq!(left.len(), alive.len() + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_the_machine_at_every_moment(
        steps in proptest::collection::vec(step(false), 0..100),
    ) {
        let shared = Shared::new();
        let mut told = Told::start(&shared);
        for step in &steps {
            act(&shared, step);
            shared.machine().settle();
            while told.tell(&shared) {}
            compare(&told, &shared);
        }
    }

    #[test]
    fn the_table_is_the_machine_by_events_alone(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(false), 0..200),
    ) {
        run(&before, &after);
    }

    #[test]
    fn the_table_becomes_the_machine_after_losses(
        before in proptest::collection::vec(step(false), 0..40),
        after in proptest::collection::vec(step(true), 0..200),
    ) {
        run(&before, &after);
    }
}
