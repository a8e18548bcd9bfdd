//! Names of users, with lookups that the tests control.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::*;

/// Asks for a name until it is known, as a stream of events does.
fn at_last(users: &mut Users, uid: u32) -> String {
    let started = Instant::now();
    loop {
        if let Some(name) = users.name(uid) {
            return name.to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(60), "still no name");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Users whose lookups wait for the test, and the number of finished lookups.
fn slow() -> (Users, std::sync::mpsc::Sender<()>, Arc<AtomicUsize>) {
    let (go_on, gate) = channel::<()>();
    let (gate, lookups) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&lookups);
    let users = Users::with_lookup(move |uid| {
        let _ = gate.lock().expect("no test panicked").recv();
        counter.fetch_add(1, SeqCst);
        Some(format!("user{uid}").into())
    });
    (users, go_on, lookups)
}

#[test]
fn names_come_from_the_user_database() {
    let mut users = Users::default();
    let file = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    if let Some(root) = lines.find(|fields| fields.get(2) == Some(&"0")) {
        assert_eq!(at_last(&mut users, 0), root[0]);
    }
    // The last valid id, which is never assigned.
    assert_eq!(users.name(u32::MAX - 1), None);
}

#[test]
fn a_blocked_lookup_does_not_block_its_caller() {
    let (mut users, go_on, lookups) = slow();
    // Each call returns although the lookup is blocked.
    for uid in 0..10_000 {
        assert_eq!(users.name(uid), None);
    }
    assert_eq!(lookups.load(SeqCst), 0);
    drop(go_on);
    assert_eq!(at_last(&mut users, 9_999), "user9999");
}

#[test]
fn a_user_is_looked_up_once_for_many_events() {
    let (mut users, go_on, lookups) = slow();
    for _ in 0..1_000 {
        assert_eq!(users.name(7), None);
    }
    drop(go_on);
    assert_eq!(at_last(&mut users, 7), "user7");
    for _ in 0..1_000 {
        assert_eq!(users.name(7), Some("user7"));
    }
    assert_eq!(lookups.load(SeqCst), 1);
}

#[test]
fn the_cache_is_limited() {
    let mut users = Users::with_lookup(|uid| Some(uid.to_string().into()));
    for uid in 0..400_000 {
        users.name(uid);
        assert!(users.young.len() + users.old.len() <= MAX_CACHED);
    }
    // A name in constant use stays in the cache.
    let asked = Instant::now();
    users.keep(1, Known { name: Some("kept".into()), asked, is_pending: false });
    for uid in 10_000..30_000 {
        users.keep(uid, Known { name: None, asked, is_pending: false });
        assert_eq!(users.name(1), Some("kept"));
    }
    assert!(!users.young.contains_key(&10_000) && !users.old.contains_key(&10_000));
}

#[test]
fn names_are_looked_up_again_after_a_while() {
    let count = AtomicUsize::new(0);
    let mut users =
        Users::with_lookup(move |_| Some(format!("name{}", count.fetch_add(1, SeqCst)).into()));
    assert_eq!(at_last(&mut users, 1), "name0");
    let Some(then) = Instant::now().checked_sub(FRESH) else { return };
    users.young.get_mut(&1).expect("known").asked = then;
    // The old name is used until the lookup answers.
    assert!(matches!(users.name(1), Some("name0" | "name1")));
    let started = Instant::now();
    while users.name(1) != Some("name1") {
        assert!(started.elapsed() < Duration::from_secs(60), "still the old name");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn without_a_thread_users_have_no_names() {
    let mut users = Users { lookups: Lookups::Impossible, ..Users::default() };
    assert_eq!(users.name(0), None);
}
