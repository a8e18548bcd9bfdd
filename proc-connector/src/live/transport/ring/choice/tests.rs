//! Tests the conditions in the kernel. The test's process plays the acting task.

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt;

use proc_connector_core::filter::{NamePattern, TreeRoot};
use proc_connector_core::testing::filters::RawEvent;
use proc_connector_core::testing::kinds::{COMM, EXEC, EXIT, FORK, PTRACE, UID};
use proc_connector_core::{EventMask, Filter};

use super::super::context::{ContextPlan, Wants};
use super::super::tests::{Harness, TaskCheck, identity_only, memory};
use super::Since;
use crate::live::transport::item::Item;
use crate::live::transport::moderation::EventQueue;
use crate::stream::{LossCause, Lost};

/// An event of this process.
fn own(what: u32) -> [u8; 76] {
    let this = std::process::id();
    RawEvent { what, words: [this, this, 0, 0, 0, 0] }.datagram()
}

fn with_context() -> ContextPlan {
    let wants = Wants { args_len: 64, cwd: true, variables: vec![b"PATH".to_vec()] };
    ContextPlan::new(memory(), Some(&wants))
}

/// Whether the program keeps an event of this thread, with and without contexts. `None` without the
/// privilege to load programs.
fn keeps(filter: &Filter) -> Option<bool> {
    let kept = [identity_only(), with_context()].map(|plan| {
        let mut harness = Harness::new(0, filter, TaskCheck::Off, plan)?;
        harness.send(&own(UID));
        let kept = harness.drain();
        assert!(kept.is_empty() || kept == [Ok(own(UID))]);
        Some(!kept.is_empty())
    });
    assert_eq!(kept[0], kept[1]);
    kept[0]
}

#[test]
fn users_are_compared_with_both_ids() {
    let this = nix::unistd::getuid().as_raw();
    let others: Vec<u32> = (1..64).map(|n| this + n * 1000).collect();
    let all = [&others[..], &[this]].concat();
    for (users, expected) in [(&others, false), (&vec![this], true), (&all, true)] {
        let filter = Filter::default().of_users(users).expect("few users");
        let Some(kept) = keeps(&filter) else { return };
        assert_eq!(kept, expected, "{users:?}");
    }
}

#[test]
fn names_are_compared_as_a_whole_or_by_their_start() {
    let cases: [(&str, &[u8], bool, bool); 14] = [
        ("cc1plus", b"cc1plus", false, true),
        ("cc1plus", b"cc1plu", false, false),
        ("cc1plus", b"cc1pluss", false, false),
        ("cc1plus", b"cc1plu", true, true),
        ("cc1plus", b"cc1plus", true, true),
        ("cc1plus", b"cc1plusx", true, false),
        ("cc1plus", b"", true, true),
        ("cc1plus", b"cc2", true, false),
        ("abcd", b"abcd", false, true),
        ("abcdefgh", b"abcd", false, false),
        ("abcdefghijklmno", b"abcdefghijklmno", false, true),
        ("abcdefghijklmno", b"abcdefghijklmnopq", false, true),
        ("abcdefghijklmno", b"abcdefghijklmno", true, true),
        ("\u{fc}\u{fc}", "\u{fc}\u{fc}".as_bytes(), false, true),
    ];
    let check = |name: &str, pattern: &[u8], is_prefix, expected| {
        let exact = NamePattern::exact(pattern);
        let pattern = if is_prefix { NamePattern::prefix(pattern) } else { exact };
        assert_eq!(pattern.matches(name.as_bytes()), expected);
        let other = NamePattern::exact(b"no such name");
        let filter = Filter::default().named(&[other, pattern]).expect("few names");
        keeps(&filter).is_none_or(|kept| kept == expected)
    };
    for (name, pattern, is_prefix, expected) in cases {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let is_right = std::thread::scope(|scope| {
            let check = || check(name, pattern, is_prefix, expected);
            thread.spawn_scoped(scope, check).expect("a thread").join().expect("no panic")
        });
        assert!(is_right, "{name} {pattern:?} {is_prefix}");
    }
}

#[test]
fn a_cgroup_contains_those_below_it() {
    let cgroups = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (path, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| path.to_owned())
    });
    let Some(mount) = mount else {
        eprintln!("skipped: no version 2 cgroups are mounted");
        return;
    };
    let id = |path: &str| fs::metadata(format!("{mount}{path}")).expect("a cgroup").ino();
    let root = id("");
    let filter = |ids: &[u64]| Filter::default().in_cgroups(ids).expect("few cgroups");
    for (ids, expected) in
        [(&[root][..], true), (&[id(own)], true), (&[u64::MAX - 1], false), (&[7, id(own)], true)]
    {
        let Some(kept) = keeps(&filter(ids)) else { return };
        assert_eq!(kept, expected, "{ids:?}");
    }
}

/// This process's creation in clock ticks.
fn own_start() -> Since {
    let line = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
    let (_, rest) = line.rsplit_once(')').expect("a name");
    Since::Ticks(rest.split_whitespace().nth(19).expect("field 22").parse().expect("a number"))
}

fn of_root(tgid: u32) -> Filter {
    Filter::default().descendants_of(&[TreeRoot::new(tgid)]).expect("one root")
}

#[test]
fn events_of_followed_processes_pass() {
    let this = std::process::id();
    for plan in [identity_only(), with_context()] {
        let Some(mut harness) = Harness::new(0, &of_root(this), TaskCheck::Off, plan) else {
            return;
        };
        harness.send(&own(COMM));
        assert_eq!(harness.drain(), [], "not followed yet");
        let followed = harness.ring.followed().expect("a filter of descendants");
        let Since::Ticks(start) = own_start() else { panic!("ticks") };
        // Another process with the same id.
        assert!(followed.insert(this, Since::Ticks(start + 1)).expect("a table"));
        harness.send(&own(COMM));
        assert_eq!(harness.drain(), []);
        harness.ring.attach(&of_root(this)).expect("a new table");
        let followed = harness.ring.followed().expect("a filter of descendants");
        assert!(followed.insert(this, own_start()).expect("a table"));
        for what in [COMM, UID, EXEC, PTRACE] {
            harness.send(&own(what));
            assert_eq!(harness.drain(), [Ok(own(what))]);
        }
        // A fork of a process that does not exist: its child is followed, a thread is not.
        let fork = |pid, tgid| RawEvent { what: FORK, words: [this, this, pid, tgid, 0, 0] };
        harness.send(&fork(4_194_299, 4_194_299).datagram());
        harness.send(&fork(4_194_298, this).datagram());
        assert_eq!(harness.drain().len(), 2);
        let followed = harness.ring.followed().expect("a filter of descendants");
        assert!(followed.contains(4_194_299, None) && !followed.contains(4_194_298, None));
        // Whether the tracer is followed or the traced process. This process plays the tracer.
        let attach = |tgid| RawEvent { what: PTRACE, words: [tgid, tgid, this, this, 0, 0] };
        harness.send(&attach(4_194_298).datagram());
        assert_eq!(harness.drain().len(), 1);
        // The process still runs, so this exit does not end it.
        harness.send(&own(EXIT));
        assert_eq!(harness.drain(), [Ok(own(EXIT))]);
        assert!(harness.ring.followed().expect("a table").contains(this, None));
    }
}

#[test]
fn an_attach_to_a_followed_process_passes() {
    let Some(mut harness) = Harness::new(0, &of_root(1), TaskCheck::Off, identity_only()) else {
        return;
    };
    let followed = harness.ring.followed().expect("a filter of descendants");
    assert!(followed.insert(4_194_298, Since::Ticks(5)).expect("a table"));
    let attach = |tgid| RawEvent { what: PTRACE, words: [tgid, tgid, 3, 3, 0, 0] }.datagram();
    harness.send(&attach(4_194_298));
    harness.send(&attach(4_194_297));
    assert_eq!(harness.drain(), [Ok(attach(4_194_298))]);
}

#[test]
fn a_process_that_executes_a_program_of_a_name_is_followed() {
    for plan in [identity_only(), with_context()] {
        let names = [NamePattern::exact(b"no such name"), NamePattern::prefix(b"worker")];
        let filter = Filter::new(EventMask::UID).descendants_of_programs(&names).expect("few");
        let Some(mut harness) = Harness::new(0, &filter, TaskCheck::Off, plan) else { return };
        let send = |name: &str, what| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            std::thread::scope(|scope| {
                thread.spawn_scoped(scope, || harness.send(&own(what))).expect("a thread");
            });
        };
        send("worker", UID);
        send("other", EXEC);
        send("other", UID);
        // The filter drops the exec, which counts nevertheless.
        send("worker 1", EXEC);
        send("other", UID);
        assert_eq!(harness.drain(), [Ok(own(UID))]);
    }
}

#[test]
fn descendants_of_a_followed_process_are_found_while_seeding() {
    let parent = std::os::unix::process::parent_id();
    let Some(mut harness) = Harness::new(0, &of_root(parent), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let line = fs::read_to_string(format!("/proc/{parent}/stat")).expect("a parent");
    let (_, rest) = line.rsplit_once(')').expect("a name");
    let start = rest.split_whitespace().nth(19).expect("field 22").parse().expect("a number");
    let follow = |harness: &Harness| {
        let followed = harness.ring.followed().expect("a filter of descendants");
        assert!(followed.insert(parent, Since::Ticks(start)).expect("a table"));
    };
    follow(&harness);
    harness.send(&own(UID));
    assert_eq!(harness.drain(), []);
    harness.ring.set_seeding(true);
    harness.send(&own(UID));
    harness.ring.set_seeding(false);
    harness.send(&own(COMM));
    assert_eq!(harness.drain(), [Ok(own(UID)), Ok(own(COMM))]);
}

#[test]
fn the_events_of_a_cgroup_over_its_share_are_lost() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    harness.ring.limits.share = NonZeroU32::new(10);
    harness.ring.attach(&Filter::new(EventMask::UID)).expect("the kernel accepts the program");
    let (mut kept, mut lost) = (0, 0);
    for _ in 0..25 {
        harness.send(&own(UID));
        // Not chosen by the filter, so it does not count.
        harness.send(&own(COMM));
        while harness.ring.fetch().expect("a ring") {
            for item in harness.ring.records() {
                match item {
                    Item::Message(Ok(_)) => kept += 1,
                    Item::Lost(Lost { count: Some(count), cause }) => {
                        assert_eq!(cause, LossCause::ShareExceeded);
                        lost += count;
                    }
                    _ => panic!("neither an event nor a loss"),
                }
            }
        }
    }
    // If a new period begins meanwhile, the share of both can be used.
    assert!(kept == 10 || kept == 20 || (kept < 20 && lost == 25 - kept), "{kept}");
    assert_eq!(kept + lost, 25);
    let losses = harness.ring.share_losses();
    assert_eq!(losses.iter().map(|loss| loss.lost).sum::<u64>(), lost);
}

#[test]
fn processes_that_do_not_fit_the_table_are_reported() {
    let this = std::process::id();
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    harness.ring.limits.followed = 4;
    harness.ring.attach(&of_root(this)).expect("a table");
    assert!(harness.ring.followed().expect("a table").insert(this, own_start()).expect("a table"));
    for child in 4_194_000..4_194_010 {
        let words = [this, this, child, child, 0, 0];
        harness.send(&RawEvent { what: FORK, words }.datagram());
    }
    let (mut forks, mut unfollowed) = (0, 0);
    while harness.ring.fetch().expect("a ring") {
        for item in harness.ring.records() {
            match item {
                Item::Message(Ok(_)) => forks += 1,
                Item::Lost(Lost { count: Some(count), cause: LossCause::Unfollowed }) => {
                    unfollowed += count;
                }
                _ => panic!("neither a fork nor a loss"),
            }
        }
    }
    let followed = harness.ring.followed().expect("a table");
    let found = (4_194_000..4_194_010).filter(|&child| followed.contains(child, None)).count();
    assert_eq!((forks, found as u64 + unfollowed), (10, 10));
    assert!(unfollowed >= 6, "{unfollowed}");
}
