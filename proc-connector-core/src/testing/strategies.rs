//! Strategies of proptest for filters and events.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::filters::{FilterModel, RawEvent, TgidRule};
use super::kinds::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, PTRACE, SID, UID};

/// Ids that often repeat. The byte-swapped form of some is negative.
fn id() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 120..136u32, 2 => 1..2_000u32, 1 => any::<u32>()]
}

fn kind() -> impl Strategy<Value = u32> {
    let named = [FORK, EXEC, UID, GID, SID, PTRACE, COMM, COREDUMP, EXIT];
    let unknown = any::<u32>().prop_filter("0 is an acknowledgement", |what| *what != 0);
    prop_oneof![12 => proptest::sample::select(named.to_vec()), 1 => unknown]
}

pub fn raw_event() -> impl Strategy<Value = RawEvent> {
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
            RawEvent { what, words }
        },
    )
}

pub fn filter_model() -> impl Strategy<Value = FilterModel> {
    let mask = prop_oneof![Just(u32::MAX), any::<u32>(), kind()];
    let few = vec(id(), 0..40);
    let many = vec(1..2_000u32, 900..1024usize);
    let set = prop_oneof![Just(TgidRule::Only), Just(TgidRule::Except)];
    let tgids = prop_oneof![
        Just(None).boxed(),
        (set.clone(), few).prop_map(Some).boxed(),
        (set, many).prop_map(Some).boxed(),
    ];
    (mask, any::<bool>(), any::<bool>(), tgids).prop_map(
        |(mask, processes_only, failures_only, tgids)| FilterModel {
            mask,
            processes_only,
            failures_only,
            tgids,
        },
    )
}
