//! Filters: the predicate against the numbers, the program against both, on a machine of its own.

use proc_connector_core::filter::MAX_PROGRAM_LEN;
use proc_connector_core::testing::filters::{Choice, Happening, Set};
use proc_connector_core::testing::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, UID};
use proc_connector_core::testing::machine::run;
use proc_connector_core::testing::strategies::{choice, happening};
use proc_connector_core::{EventMask, Filter, Notification, Notifications, TooManyTgids};
use proc_connector_sys::sock_filter;
use proptest::prelude::{prop_assert_eq, proptest};

const NOTHING: sock_filter = sock_filter { code: 0, jt: 0, jf: 0, k: 0 };

fn matches(filter: &Filter, event: &Happening) -> bool {
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
    fn predicate_and_program_agree_with_the_numbers(choice in choice(), event in happening()) {
        let filter = choice.filter();
        let kept = run(&compile(&filter), &event.datagram());
        prop_assert_eq!(matches(&filter, &event), choice.wants(&event));
        prop_assert_eq!(kept, if choice.wants(&event) { u32::MAX } else { 0 });
    }

    #[test]
    fn acknowledgements_pass_every_program(choice in choice(), ack in happening()) {
        let ack = Happening { what: 0, ..ack };
        prop_assert_eq!(run(&compile(&choice.filter()), &ack.datagram()), u32::MAX);
    }

    #[test]
    fn what_is_cut_short_is_dropped_or_kept_and_never_ends_badly(
        choice in choice(),
        event in happening(),
        len in 0..76usize,
    ) {
        let kept = run(&compile(&choice.filter()), &event.datagram()[..len]);
        assert!(kept == 0 || len >= 40, "{kept} of {len}");
    }
}

/// An event with a tgid of 20 where it has one and a success where it exits.
fn event(what: u32, pid: u32, tgid: u32) -> Happening {
    Happening { what, words: [pid, tgid, 0, 0, 0, 0] }
}

#[test]
fn each_choice_does_what_it_says() {
    let fork_of_process = Happening { what: FORK, words: [10, 10, 20, 20, 0, 0] };
    let fork_of_thread = Happening { what: FORK, words: [1, 1, 11, 10, 0, 0] };
    let failure = Happening { what: EXIT, words: [10, 10, 256, 17, 1, 1] };
    let only = |tgids: &[u32]| Filter::default().only_tgids(tgids).expect("few");
    let except = |tgids: &[u32]| Filter::default().except_tgids(tgids).expect("few");
    let cases = vec![
        ("everything passes", Filter::default(), fork_of_thread, true),
        ("unknown kinds too", Filter::default(), event(0x400, 0, 0), true),
        ("threads are no processes", Filter::default().processes_only(), fork_of_thread, false),
        ("processes are", Filter::default().processes_only(), fork_of_process, true),
        ("a thread's end", Filter::default().processes_only(), event(EXIT, 11, 10), false),
        ("a leader's end", Filter::default().processes_only(), event(EXIT, 10, 10), true),
        ("a thread's name", Filter::default().processes_only(), event(COMM, 11, 10), false),
        (
            "a thread's crash is all's",
            Filter::default().processes_only(),
            event(COREDUMP, 11, 10),
            true,
        ),
        ("so is its exec", Filter::default().processes_only(), event(EXEC, 11, 10), true),
        ("a success", Filter::default().failures_only(), event(EXIT, 10, 10), false),
        ("a failure", Filter::default().failures_only(), failure, true),
        ("not an exit", Filter::default().failures_only(), event(UID, 10, 10), true),
        ("a new process concerns its parent", only(&[10]), fork_of_process, true),
        ("and not itself", only(&[20]), fork_of_process, false),
        ("a new thread concerns its process", only(&[10]), fork_of_thread, true),
        ("and not that one's parent", only(&[1]), fork_of_thread, false),
        ("nobody at all", only(&[]), failure, false),
        ("nobody left out", except(&[]), failure, true),
        ("left out", except(&[9, 10, 11]), failure, false),
        ("unknown kinds concern nobody known", only(&[]), event(0x400, 0, 0), true),
        (
            "ids of four bytes alone",
            only(&[0x0100_0001, 0x0200_0001]),
            event(EXEC, 1, 0x0100_0001),
            true,
        ),
        (
            "and one that ends like them",
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
fn a_set_holds_1024_ids_and_says_no_to_one_more() {
    // Ids of three bytes, and of four.
    for distance in [4093, 4_194_301] {
        let most: Vec<u32> = (0..1024).map(|n| n * distance).collect();
        for set in [Set::Only, Set::Except] {
            assert_finds_each(&Choice {
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

/// Asserts of each id in the set and of its neighbours that the program knows whether it is there.
fn assert_finds_each(choice: &Choice) {
    let program = compile(&choice.filter());
    // BPF_MAXINSNS of the kernel.
    assert!(program.len() <= MAX_PROGRAM_LEN && program.len() <= 4096, "{}", program.len());
    let (_, tgids) = choice.tgids.as_ref().expect("a set");
    for tgid in tgids.iter().flat_map(|&id| [id.wrapping_sub(1), id, id + 1, id ^ 1 << 24]) {
        let event = Happening { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
        assert_eq!(run(&program, &event.datagram()) != 0, choice.wants(&event), "{tgid}");
    }
}

#[test]
fn two_programs_of_any_length_fit_what_older_kernels_give_a_socket() {
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
    // PID_MAX_LIMIT is 2^22. Of the numbers, some kinds are negative as a program loads them.
    let ids: Vec<u32> = (0..1024).map(|n| n * 4093).collect();
    let set = Filter::default().only_tgids(&ids).expect("as many as fit");
    assert_eq!(negative(&set), negative(&Filter::default()));
}

#[test]
fn filters_are_equal_if_they_want_the_same() {
    let only = |tgids: &[u32]| Filter::default().only_tgids(tgids).expect("few");
    let except = |tgids: &[u32]| Filter::default().except_tgids(tgids).expect("few");
    assert_eq!(only(&[1, 2, 3]), only(&[3, 1, 2, 1]));
    assert_eq!(only(&[1, 2]).only_tgids(&[7]).expect("few"), only(&[7]), "the last choice counts");
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
fn a_filter_can_be_looked_at() {
    let filter = Filter::default().only_tgids(&[7, 4711]).expect("few");
    let shown = format!("{filter:?}");
    assert!(shown.contains('7') && shown.contains("4711"), "{shown}");
    assert!(!filter.passes_everything() && Filter::default().passes_everything());
}
