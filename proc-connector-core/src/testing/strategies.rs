//! Strategies of proptest: filters and events at random.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::filters::{Choice, Happening, Set};
use super::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, PTRACE, SID, UID};

/// Ids that are often the same, some of which have their high bit set once their bytes are swapped.
fn id() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 120..136u32, 2 => 1..2_000u32, 1 => any::<u32>()]
}

fn kind() -> impl Strategy<Value = u32> {
    let named = [FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT];
    let unknown = any::<u32>().prop_filter("0 is an acknowledgement", |what| *what != 0);
    prop_oneof![12 => proptest::sample::select(named.to_vec()), 1 => unknown]
}

pub fn happening() -> impl Strategy<Value = Happening> {
    let code = prop_oneof![Just(0), id()];
    (kind(), [id(), id(), id(), id(), id(), id()], any::<bool>(), code).prop_map(
        |(what, mut words, same, code)| {
            if same {
                words[1] = words[0];
                words[3] = words[2];
            }
            if what == EXIT {
                words[2] = code;
            }
            Happening { what, words }
        },
    )
}

pub fn choice() -> impl Strategy<Value = Choice> {
    let mask = prop_oneof![Just(u32::MAX), any::<u32>(), kind()];
    let few = vec(id(), 0..40);
    let many = vec(1..2_000u32, 900..1024usize);
    let set = prop_oneof![Just(Set::Only), Just(Set::Except)];
    let tgids = prop_oneof![
        Just(None).boxed(),
        (set.clone(), few).prop_map(Some).boxed(),
        (set, many).prop_map(Some).boxed(),
    ];
    (mask, any::<bool>(), any::<bool>(), tgids).prop_map(
        |(mask, processes_only, failures_only, tgids)| Choice {
            mask,
            processes_only,
            failures_only,
            tgids,
        },
    )
}
