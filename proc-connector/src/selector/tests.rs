//! Selectors over the events of a simulated machine, which computes the expected results from its
//! own actions.

mod machine;

use proc_connector_core::filter::{NamePattern, TreeRoot};
use proc_connector_core::{EventMask, Filter};
use proptest::prelude::*;

use self::machine::{Action, Machine, ROOT};
use super::Selector;

/// The conditions of a filter.
#[derive(Clone, Debug, Default)]
struct Conditions {
    tree: bool,
    programs: Vec<u8>,
    cgroups: Vec<u64>,
    users: Vec<u32>,
    names: Vec<u8>,
    mask: Option<EventMask>,
}

/// The names of threads and programs.
fn name(number: u8) -> Vec<u8> {
    format!("name-{number}").into_bytes()
}

impl Conditions {
    fn filter(&self) -> Filter {
        let exact = |numbers: &[u8]| -> Vec<NamePattern> {
            numbers.iter().map(|&number| NamePattern::exact(&name(number))).collect()
        };
        let roots = [TreeRoot::new(ROOT)];
        Filter::new(self.mask.unwrap_or(EventMask::all()))
            .descendants_of(if self.tree { &roots } else { &[] })
            .and_then(|filter| filter.descendants_of_programs(&exact(&self.programs)))
            .and_then(|filter| filter.in_cgroups(&self.cgroups))
            .and_then(|filter| filter.of_users(&self.users))
            .and_then(|filter| filter.named(&exact(&self.names)))
            .expect("few alternatives")
    }
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let few = |max: u8| prop::collection::vec(0..max, 0..3);
    let masks = prop::option::of(prop::sample::select(vec![
        EventMask::FORK,
        EventMask::EXIT,
        EventMask::EXEC | EventMask::UID | EventMask::COMM,
    ]));
    (any::<bool>(), few(6), few(4), few(4), few(6), masks).prop_map(
        |(tree, programs, cgroups, users, names, mask)| Conditions {
            tree,
            programs,
            cgroups: cgroups.into_iter().map(|number| 100 + u64::from(number)).collect(),
            users: users.into_iter().map(u32::from).collect(),
            names,
            mask,
        },
    )
}

fn actions() -> impl Strategy<Value = Vec<(u8, Action)>> {
    let action = prop_oneof![
        4 => any::<bool>().prop_map(|siblings| Action::Fork { siblings }),
        2 => Just(Action::Thread),
        3 => (0..6_u8).prop_map(Action::Exec),
        3 => Just(Action::ExitThread),
        3 => Just(Action::ExitProcess),
        1 => (0..4_u32).prop_map(Action::SetUser),
        1 => (0..6_u8).prop_map(Action::Rename),
        1 => (0..4_u64).prop_map(|number| Action::Move(100 + number)),
        1 => any::<u8>().prop_map(Action::Trace),
    ];
    prop::collection::vec((any::<u8>(), action), 0..120)
}

/// Runs the machine, and compares the selector with the machine's own records.
fn compare(conditions: &Conditions, actions: &[(u8, Action)], has_contexts: bool) {
    let mut machine = Machine::new(has_contexts);
    machine.selects_programs(&conditions.programs);
    let mut selector = Selector::new(&conditions.filter());
    for &(who, action) in actions {
        for event in machine.act(who, action) {
            let expected = event.meets(conditions);
            let mut properties = event.properties.clone();
            let passes = event.with_event(|received| selector.matches(received, &mut properties));
            assert_eq!(passes, expected, "{event:?}");
        }
    }
}

impl machine::Sent {
    /// Whether the event passes, by what the machine knows of it.
    fn meets(&self, conditions: &Conditions) -> bool {
        let Conditions { tree, programs, cgroups, users, names, mask } = conditions;
        let selects_descendants = *tree || !programs.is_empty();
        let is_descendant =
            (*tree && self.is_in_tree) || (!programs.is_empty() && self.is_in_program);
        (!selects_descendants || is_descendant)
            && mask.is_none_or(|mask| mask.bits() & self.what() != 0)
            && (users.is_empty() || users.iter().any(|uid| self.properties.users.contains(uid)))
            && (names.is_empty() || names.contains(&self.properties.name))
            && (cgroups.is_empty() || self.properties.cgroups.iter().any(|id| cgroups.contains(id)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 1_000 }))]

    #[test]
    fn recorded_contexts_select_what_the_machine_did(
        conditions in conditions(), actions in actions(),
    ) {
        compare(&conditions, &actions, true);
    }

    #[test]
    fn known_properties_select_what_the_machine_did(
        conditions in conditions(), actions in actions(),
    ) {
        compare(&conditions, &actions, false);
    }
}

fn tree() -> Conditions {
    Conditions { tree: true, ..Conditions::default() }
}

#[test]
fn an_orphan_and_its_children_stay_in_the_tree() {
    // The first process forks another one, which forks a third, and ends. Each of the later actions
    // is an action of the last process.
    let mut machine = Machine::new(true);
    let mut selector = Selector::new(&tree().filter());
    let fork = Action::Fork { siblings: false };
    let last = u8::MAX;
    let steps =
        [(0, fork), (last, fork), (1, Action::ExitProcess), (last, fork), (0, Action::ExitProcess)];
    for (who, action) in steps {
        for event in machine.act(who, action) {
            let mut properties = event.properties.clone();
            let passes = event.with_event(|event| selector.matches(event, &mut properties));
            assert_eq!(passes, event.is_in_tree, "{event:?}");
        }
    }
}

#[test]
fn seemingly_ended_processes_are_forgotten_after_many_others_have_ended() {
    let mut members = super::members::Members::default();
    for tgid in 1..=10_000 {
        members.created(tgid, None);
        members.thread_exited(tgid, true, 1);
    }
    assert_eq!(members.ids().count(), 4096);
    assert!(!members.contains(1, None) && members.contains(10_000, None));
}

#[test]
fn a_new_filter_keeps_the_processes_of_roots_that_remain() {
    let roots = |ids: &[u32]| {
        let roots: Vec<TreeRoot> = ids.iter().map(|&id| TreeRoot::new(id)).collect();
        Filter::default().descendants_of(&roots).expect("few")
    };
    let mut selector = Selector::new(&roots(&[1]));
    selector.follow(7, None);
    selector.set_filter(&roots(&[1, 2]));
    assert!([1, 2, 7].into_iter().all(|tgid| selector.follows(tgid)));
    selector.set_filter(&roots(&[2]));
    assert_eq!([1, 2, 7].map(|tgid| selector.follows(tgid)), [false, true, false]);
}

#[test]
fn a_root_is_identified_by_its_start() {
    let root = TreeRoot::with_start(ROOT, 50_000_000);
    let filter = Filter::default().descendants_of(&[root]).expect("one");
    let mut machine = Machine::new(true);
    let mut selector = Selector::new(&filter);
    // The machine's process with this id has another start.
    for event in machine.act(0, Action::Fork { siblings: false }) {
        let mut properties = event.properties.clone();
        assert!(!event.with_event(|event| selector.matches(event, &mut properties)));
    }
}

#[test]
fn exits_that_follow_the_end_of_a_process_belong_to_it() {
    let mut members = super::members::Members::default();
    members.created(7, Some(70));
    members.over(7, Some(70));
    assert!(!members.contains(7, Some(70)));
    assert!(
        members.is_over(7, Some(70)) && members.is_over(7, None) && !members.is_over(7, Some(71))
    );
    for tgid in 100..4196 {
        members.created(tgid, None);
        members.over(tgid, None);
    }
    assert!(!members.is_over(7, None) && members.is_over(4195, None));
}

#[test]
fn a_start_in_ticks_is_that_of_the_process() {
    let mut members = super::members::Members::default();
    members.expect(7, Some(50_000_000));
    assert!(members.contains(7, Some(59_999_999)) && !members.contains(7, Some(60_000_000)));
    members.acted(7, Some(51_234_567));
    assert!(!members.contains(7, Some(51_234_568)) && members.contains(7, Some(51_234_567)));
}

#[test]
fn an_old_fork_of_an_existing_process_does_not_end_it() {
    let mut members = super::members::Members::default();
    members.add_existing(7, None, 1_000);
    members.reused(7, None, 999);
    assert!(members.contains(7, None));
    members.reused(7, None, 1_000);
    assert!(!members.contains(7, None));
}
