//! Filters: the predicate and the classic BPF program, run in an interpreter, against a model.

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::bpf::run;
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::testing::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, UID};
use proc_connector_core::testing::strategies::{filter_model, raw_event};
use proc_connector_core::{EventMask, Filter, Notification, Notifications, TooManyTgids};
use proc_connector_sys::sock_filter;
use proptest::prelude::{prop_assert_eq, proptest};

const NOTHING: sock_filter = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };

fn matches(filter: &Filter, event: &RawEvent) -> bool {
    let datagram = event.datagram();
    match Notifications::new(&datagram).next() {
        Some(Ok(Notification::Event(event))) => filter.matches(&event),
        other => panic!("{other:?}"),
    }
}

fn compile(filter: &Filter) -> Vec<sock_filter> {
    let mut buffer = [NOTHING; MAX_PROGRAM_LEN];
    filter.compile(&mut buffer).expect("a program that fits").to_vec()
}

proptest! {
    #[test]
    fn predicate_and_program_agree_with_the_model(model in filter_model(), event in raw_event()) {
        let filter = model.filter();
        let kept = run(&compile(&filter), &event.datagram());
        prop_assert_eq!(matches(&filter, &event), model.passes(&event));
        prop_assert_eq!(kept, if model.passes(&event) { u32::MAX } else { 0 });
    }

    #[test]
    fn acknowledgements_pass_every_program(model in filter_model(), ack in raw_event()) {
        let ack = RawEvent { what: 0, ..ack };
        prop_assert_eq!(run(&compile(&model.filter()), &ack.datagram()), u32::MAX);
    }

    #[test]
    fn the_program_accepts_truncated_datagrams(
        model in filter_model(),
        event in raw_event(),
        len in 0..76usize,
    ) {
        let kept = run(&compile(&model.filter()), &event.datagram()[..len]);
        assert!(kept == 0 || len >= 40, "{kept} of {len}");
    }
}

/// An event of a task; an exit has status 0.
fn event(what: u32, pid: u32, tgid: u32) -> RawEvent {
    RawEvent { what, words: [pid, tgid, 0, 0, 0, 0] }
}

#[test]
fn each_option_selects_the_documented_events() {
    let fork_of_process = RawEvent { what: FORK, words: [10, 10, 20, 20, 0, 0] };
    let fork_of_thread = RawEvent { what: FORK, words: [1, 1, 11, 10, 0, 0] };
    let failure = RawEvent { what: EXIT, words: [10, 10, 256, 17, 1, 1] };
    let only = |tgids: &[u32]| Filter::default().only_tgids(tgids).expect("few");
    let except = |tgids: &[u32]| Filter::default().except_tgids(tgids).expect("few");
    let cases = vec![
        ("the default passes threads", Filter::default(), fork_of_thread, true),
        ("the default passes unknown kinds", Filter::default(), event(0x400, 0, 0), true),
        ("a new thread", Filter::default().processes_only(), fork_of_thread, false),
        ("a new process", Filter::default().processes_only(), fork_of_process, true),
        ("the exit of a thread", Filter::default().processes_only(), event(EXIT, 11, 10), false),
        ("the exit of a leader", Filter::default().processes_only(), event(EXIT, 10, 10), true),
        ("the name of a thread", Filter::default().processes_only(), event(COMM, 11, 10), false),
        (
            "the core dump of a thread",
            Filter::default().processes_only(),
            event(COREDUMP, 11, 10),
            true,
        ),
        ("the exec of a thread", Filter::default().processes_only(), event(EXEC, 11, 10), true),
        ("a successful exit", Filter::default().failures_only(), event(EXIT, 10, 10), false),
        ("a failed exit", Filter::default().failures_only(), failure, true),
        ("another kind than exit", Filter::default().failures_only(), event(UID, 10, 10), true),
        ("a new process, by its parent", only(&[10]), fork_of_process, true),
        ("a new process, by its own id", only(&[20]), fork_of_process, false),
        ("a new thread, by its process", only(&[10]), fork_of_thread, true),
        ("a new thread, by the parent of its process", only(&[1]), fork_of_thread, false),
        ("an empty set of ids to pass", only(&[]), failure, false),
        ("an empty set of ids to drop", except(&[]), failure, true),
        ("an id to drop", except(&[9, 10, 11]), failure, false),
        ("an unknown kind, whatever the ids", only(&[]), event(0x400, 0, 0), true),
        (
            "an id of four bytes",
            only(&[0x0100_0001, 0x0200_0001]),
            event(EXEC, 1, 0x0100_0001),
            true,
        ),
        (
            "an id with the same low bytes",
            only(&[0x0100_0001, 0x0200_0001]),
            event(EXEC, 1, 1),
            false,
        ),
    ];
    for (name, filter, event, expected) in cases {
        assert_eq!(matches(&filter, &event), expected, "{name}");
        assert_eq!(run(&compile(&filter), &event.datagram()) != 0, expected, "{name}, compiled");
    }
}

#[test]
fn a_set_holds_1024_ids_and_refuses_one_more() {
    // Ids of up to three bytes, and of four.
    for distance in [4093, 4_194_301] {
        let most: Vec<u32> = (0..1024).map(|n| n * distance).collect();
        for set in [TgidRule::Only, TgidRule::Except] {
            assert_finds_each(&FilterModel {
                mask: u32::MAX,
                processes_only: true,
                failures_only: true,
                tgids: Some((set, most.clone())),
            });
        }
    }
    let most: Vec<u32> = (0..1024).collect();
    let repeated = [most.clone(), most.clone()].concat();
    assert!(Filter::default().only_tgids(&repeated).is_ok(), "the same ids again");
    let more = [&most[..], &[1024]].concat();
    let error = Filter::default().only_tgids(&more).expect_err("one more");
    assert!(matches!(error, TooManyTgids { given: 1025, .. }), "{error}");
}

/// Asserts that the program decides correctly on each id of the set and on its neighbours.
fn assert_finds_each(model: &FilterModel) {
    let program = compile(&model.filter());
    // BPF_MAXINSNS of the kernel.
    assert!(program.len() <= MAX_PROGRAM_LEN && program.len() <= 4096, "{}", program.len());
    let (_, tgids) = model.tgids.as_ref().expect("a set");
    for tgid in tgids.iter().flat_map(|&id| [id.wrapping_sub(1), id, id + 1, id ^ 1 << 24]) {
        let event = RawEvent { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
        assert_eq!(run(&program, &event.datagram()) != 0, model.passes(&event), "{tgid}");
    }
}

#[test]
fn two_programs_of_any_length_fit_the_socket_memory_of_older_kernels() {
    // net.core.optmem_max before Linux 6.7.
    let longest = [NOTHING; MAX_PROGRAM_LEN];
    assert!(2 * size_of_val(&longest) <= 20_480, "{MAX_PROGRAM_LEN} instructions");
}

#[test]
fn ids_of_processes_are_never_compared_as_negative_numbers() {
    let negative = |filter: &Filter| {
        let comparisons = compile(filter).into_iter().filter(|i| [0x15, 0x35].contains(&i.code));
        comparisons.filter(|i| i.k >= 1 << 31).count()
    };
    // Valid ids are less than PID_MAX_LIMIT (2^22). Every program compares kinds, and some of them are
    // negative as it loads them.
    let ids: Vec<u32> = (0..1024).map(|n| n * 4093).collect();
    let set = Filter::default().only_tgids(&ids).expect("as many as fit");
    assert_eq!(negative(&set), negative(&Filter::default()));
}

#[test]
fn filters_that_select_the_same_events_are_equal() {
    let only = |tgids: &[u32]| Filter::default().only_tgids(tgids).expect("few");
    let except = |tgids: &[u32]| Filter::default().except_tgids(tgids).expect("few");
    assert_eq!(only(&[1, 2, 3]), only(&[3, 1, 2, 1]));
    assert_eq!(only(&[1, 2]).only_tgids(&[7]).expect("few"), only(&[7]), "the last call counts");
    let different = vec![
        Filter::default(),
        Filter::new(EventMask::EVENTS),
        Filter::default().processes_only(),
        Filter::default().failures_only(),
        only(&[]),
        only(&[1]),
        only(&[2]),
        only(&[1, 2]),
        except(&[1]),
    ];
    for (index, filter) in different.iter().enumerate() {
        for (other, another) in different.iter().enumerate() {
            assert_eq!(filter == another, index == other, "{filter:?}, {another:?}");
        }
    }
}

#[test]
fn a_buffer_too_short_for_the_program_is_refused() {
    let filter = Filter::default().only_tgids(&[1, 2, 3]).expect("few");
    let len = compile(&filter).len();
    assert!(filter.compile(&mut vec![NOTHING; len]).is_some());
    assert!(filter.compile(&mut vec![NOTHING; len - 1]).is_none());
    assert!(filter.compile(&mut []).is_none());
}

#[test]
fn debug_output_contains_the_ids() {
    let filter = Filter::default().only_tgids(&[7, 4711]).expect("few");
    let shown = format!("{filter:?}");
    assert!(shown.contains('7') && shown.contains("4711"), "{shown}");
    assert!(!filter.passes_everything() && Filter::default().passes_everything());
}
