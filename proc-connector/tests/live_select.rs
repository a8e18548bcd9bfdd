//! Filters with conditions on the acting task: exactly the events of the selected processes are
//! delivered beside a flood of others.

mod common;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use common::flood::{Flood, floods};
use common::helper_process::{HelperProcess, command, pause, print_number, with_role};
use common::scratch::Scratch;
use common::{
    CAP_SETUID, Deadline, NOBODY, large_buffer, named, open_filtered, require_capability, skip,
    transport,
};
use nix::sys::prctl::set_name;
use nix::unistd::{Uid, setresuid};
use proc_connector::parser::filter::{NamePattern, TreeRoot};
use proc_connector::testing::behaviour::{Creation, clone, exit, fork, wait4};
use proc_connector::{
    Error, EventMask, Filter, OwnedEvent, OwnedReceived, Payload, ProcConnector, Transport,
};

fn main() -> ExitCode {
    let roles = named![family, floods, gets_the_id, forks_once, forks_later, acts, makes_trees];
    let tests = named![
        a_tree_has_all_its_events_and_no_others,
        many_short_trees_are_complete,
        programs_of_a_name_start_trees,
        users_are_those_at_the_event,
        names_are_those_at_the_event,
        cgroups_include_those_below,
        the_kinds_of_a_filter_do_not_change_its_trees,
        a_new_filter_follows_another_tree,
        a_missing_process_is_an_error,
    ];
    common::main(&roles, &tests)
}

/// What an event is about: its kind, the process that it concerns, and the child of a fork.
type Sign = (EventMask, u32, u32);

fn sign(event: &OwnedEvent) -> Sign {
    let tgid = event.process().map_or(0, |process| process.tgid);
    match event.payload() {
        Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
            (EventMask::FORK, fork.parent_tgid(), fork.child_tgid())
        }
        _ => (event.mask(), tgid, 0),
    }
}

fn tree(tgid: u32) -> Filter {
    Filter::default().descendants_of(&[TreeRoot::new(tgid)]).expect("one")
}

/// Receives events up to the exit of a process.
fn receive(connector: &mut ProcConnector, last: u32) -> Vec<OwnedEvent> {
    receive_until(
        connector,
        |event| matches!(event.payload(), Payload::Exit(exit) if exit.process_pid() == last),
    )
}

/// Receives events up to the batch with the last one.
fn receive_until(
    connector: &mut ProcConnector,
    is_last: impl Fn(&OwnedEvent) -> bool,
) -> Vec<OwnedEvent> {
    let deadline = Deadline::new();
    let mut events: Vec<OwnedEvent> = Vec::new();
    let mut searched = 0;
    while !events[searched..].iter().any(&is_last) {
        searched = events.len();
        let left = deadline.left().expect("the last event");
        let batch = connector.recv_batch_timeout(left).expect("a batch");
        for received in batch {
            match OwnedReceived::from(received) {
                OwnedReceived::Event(event) => events.push(event),
                OwnedReceived::Lost(lost) => panic!("{lost}"),
            }
        }
    }
    events
}

/// Creates processes in many ways, prints their ids, and ends.
fn family() {
    pause();
    // An orphan, whose parent ends first. The end of a pipe shows the end of the orphan.
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let parent = fork(|| {
        let orphan = fork(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let child = fork(|| exit(0));
            wait4(child).expect("a child");
            print_number(child);
            exit(0)
        });
        print_number(orphan);
        exit(0)
    });
    drop(writer);
    wait4(parent).expect("a child");
    std::io::copy(&mut fs::File::from(reader), &mut std::io::sink()).expect("the end");
    print_number(parent);
    // A sibling: a child of this process that another child created.
    let creator = fork(|| {
        let creation = Creation { flags: nix::libc::CLONE_PARENT, exit_signal: 0, pid: None };
        print_number(clone(creation, || exit(0)).expect("a sibling"));
        exit(0)
    });
    wait4(creator).expect("a child");
    print_number(creator);
    // `posix_spawn`, which is `vfork` and `exec`.
    let mut spawned = command("forks_once").spawn().expect("this binary");
    spawned.wait().expect("an exit status");
    print_number(spawned.id());
    // From another thread.
    let thread = std::thread::spawn(|| {
        let mut spawned = command("forks_once").spawn().expect("this binary");
        spawned.wait().expect("an exit status");
        spawned.id()
    });
    print_number(thread.join().expect("a thread"));
    pause();
}

/// Forks once, and prints the child.
fn forks_once() {
    let child = fork(|| exit(0));
    wait4(child).expect("a child");
    print_number(child);
}

/// The same after a pause.
fn forks_later() {
    pause();
    forks_once();
}

/// Creates a process with the id that it reads.
fn gets_the_id() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    let pid = line.trim().parse().expect("an id");
    let creation = Creation { pid: Some(pid), ..Creation::default() };
    match clone(creation, || exit(0)) {
        Ok(child) => {
            wait4(child).expect("a child");
            print_number(child);
        }
        Err(_) => print_number(0),
    }
    pause();
}

fn a_tree_has_all_its_events_and_no_others() {
    const CREATED: usize = 9;
    let mut family = HelperProcess::start_paused("family");
    let mut helper = HelperProcess::start_paused("gets_the_id");
    let mut all = open_filtered(&Filter::default());
    let mut chosen = open_filtered(&tree(family.pid()));
    assert_eq!(chosen.stats().user_space_filter, transport() == Transport::Socket);
    let flood = [Flood::start(), Flood::start()];
    family.resume();
    let mut ids: BTreeSet<u32> = (0..CREATED).map(|_| family.read_number()).collect();
    assert_eq!(ids.len(), CREATED);
    let reused = *ids.iter().next().expect("an id");
    helper.write_number(reused);
    let is_reused = helper.read_number() == reused;
    if !is_reused {
        eprintln!("skipped: the reuse of an id needs CAP_CHECKPOINT_RESTORE, or the id is in use");
    }
    ids.insert(family.pid());
    let creator = helper.pid();
    family.resume();
    let all = receive(&mut all, family.pid());
    let events = receive(&mut chosen, family.pid());
    drop(flood);
    // The truth: all events of the processes that the family printed, up to the reuse.
    let is_reuse = |event: &OwnedEvent| sign(event) == (EventMask::FORK, creator, reused);
    let reuse = all.iter().position(is_reuse);
    assert_eq!(reuse.is_some(), is_reused);
    let expected: Vec<&OwnedEvent> = all
        .iter()
        .enumerate()
        .filter(|(place, event)| {
            let (_, tgid, _) = sign(event);
            ids.contains(&tgid) && (tgid != reused || reuse.is_none_or(|reuse| *place < reuse))
        })
        .map(|(_, event)| event)
        .collect();
    let signs: Vec<Sign> = events.iter().map(sign).collect();
    assert_eq!(signs, expected.into_iter().map(sign).collect::<Vec<_>>());
    assert!(all.len() > 2 * events.len(), "a flood: {} of {}", events.len(), all.len());
    for &id in ids.iter().filter(|&&id| id != family.pid()) {
        let count =
            |wanted: &dyn Fn(&Sign) -> bool| signs.iter().filter(|sign| wanted(sign)).count();
        assert_eq!(count(&|&(kind, _, child)| kind == EventMask::FORK && child == id), 1, "{id}");
        assert!(count(&|&(kind, tgid, _)| kind == EventMask::EXIT && tgid == id) >= 1, "{id}");
    }
}

fn many_short_trees_are_complete() {
    let mut root = HelperProcess::start_paused("makes_trees");
    let mut chosen = open_filtered(&tree(root.pid()));
    let flood = [Flood::start(), Flood::start()];
    root.resume();
    let (trees, each) = (root.read_number() as usize, 3);
    root.resume();
    let events = receive(&mut chosen, root.pid());
    drop(flood);
    let count = |kind| events.iter().filter(|event| event.mask() == kind).count();
    assert_eq!(count(EventMask::FORK), trees * each);
    assert_eq!(count(EventMask::EXIT), trees * each + 1);
    assert_eq!(events.len(), 2 * trees * each + 1, "nothing else");
}

/// Makes trees of three processes each, whose roots end first.
fn makes_trees() {
    const TREES: u32 = 300;
    nix::sys::prctl::set_child_subreaper(true).expect("Linux 3.4");
    pause();
    for _ in 0..TREES {
        fork(|| {
            fork(|| {
                fork(|| exit(0));
                exit(0)
            });
            exit(0)
        });
        for _ in 0..3 {
            nix::sys::wait::wait().expect("a child");
        }
    }
    print_number(TREES);
    pause();
}

/// Creates a child that acts as variables of the environment demand, and forks.
fn acts() {
    pause();
    let child = fork(|| {
        if let Ok(user) = std::env::var("SELECT_USER") {
            let user = Uid::from_raw(user.parse().expect("an id"));
            setresuid(user, user, user).expect("CAP_SETUID");
        }
        if let Ok(name) = std::env::var("SELECT_NAME") {
            set_name(&CString::new(name).expect("a name")).expect("a name");
        }
        if let Ok(cgroup) = std::env::var("SELECT_CGROUP") {
            fs::write(Path::new(&cgroup).join("cgroup.procs"), "0").expect("a cgroup");
        }
        if let Some(program) = std::env::var_os("SELECT_PROGRAM") {
            let error = with_role("forks_later", Command::new(program)).exec();
            panic!("{error}");
        }
        forks_once();
        exit(0)
    });
    wait4(child).expect("a child");
    print_number(child);
    pause();
}

/// What a child of [`acts`] does, with its events under a filter.
fn events_of_acts(filter: &Filter, settings: &[(&str, &str)]) -> (Vec<Sign>, u32, u32) {
    let mut role = command("acts");
    role.envs(settings.iter().copied());
    let mut acting = HelperProcess::spawn(role).paused();
    let mut chosen = open_filtered(filter);
    let mut all = open_filtered(&Filter::default());
    let flood = [Flood::start(), Flood::start()];
    acting.resume();
    let mut events = Vec::new();
    if settings.iter().any(|(name, _)| *name == "SELECT_PROGRAM") {
        // Over the socket, the properties are read from `/proc` while the program runs.
        events = receive_until(&mut chosen, |event| event.mask() == EventMask::EXEC);
        acting.resume();
    }
    let grandchild = acting.read_number();
    let child = acting.read_number();
    receive(&mut all, child);
    drop(flood);
    events.extend(receive(&mut chosen, child));
    (events.iter().map(sign).collect(), child, grandchild)
}

/// The last three events of a process that forks once, and waits for its child.
fn forks_and_exits(child: u32, grandchild: u32) -> [Sign; 3] {
    [
        (EventMask::FORK, child, grandchild),
        (EventMask::EXIT, grandchild, 0),
        (EventMask::EXIT, child, 0),
    ]
}

/// This binary under another name.
fn program(scratch: &Scratch, name: &str) -> PathBuf {
    let path = PathBuf::from(scratch.file(name));
    std::os::unix::fs::symlink(std::env::current_exe().expect("/proc"), &path).expect("a link");
    path
}

fn programs_of_a_name_start_trees() {
    let scratch = Scratch::new("select-program");
    let path = program(&scratch, "select-me-by-na");
    for pattern in [NamePattern::exact(b"select-me-by-name"), NamePattern::prefix(b"select-me")] {
        let filter = Filter::default().descendants_of_programs(&[pattern]).expect("one");
        let path = path.to_str().expect("UTF-8");
        let (events, child, grandchild) = events_of_acts(&filter, &[("SELECT_PROGRAM", path)]);
        let exec = (EventMask::EXEC, child, 0);
        assert_eq!(events, [&[exec][..], &forks_and_exits(child, grandchild)].concat());
    }
}

fn users_are_those_at_the_event() {
    const USER: u32 = 54_321;
    require_capability(CAP_SETUID, "CAP_SETUID");
    let filter = Filter::default().of_users(&[USER, NOBODY - 7]).expect("two");
    let (events, child, grandchild) = events_of_acts(&filter, &[("SELECT_USER", "54321")]);
    let changed = (EventMask::UID, child, 0);
    assert_eq!(events, [&[changed][..], &forks_and_exits(child, grandchild)].concat());
}

fn names_are_those_at_the_event() {
    for pattern in [NamePattern::exact(b"select-name"), NamePattern::prefix(b"select-")] {
        let filter = Filter::default().named(&[pattern]).expect("one");
        let (events, child, grandchild) =
            events_of_acts(&filter, &[("SELECT_NAME", "select-name")]);
        let renamed = (EventMask::COMM, child, 0);
        assert_eq!(events, [&[renamed][..], &forks_and_exits(child, grandchild)].concat());
    }
}

/// The mount point of the version 2 hierarchy.
fn cgroup_root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let Some(mount) = mount else { skip("no version 2 hierarchy is mounted") };
    mount.split(' ').nth(1).expect("a path").into()
}

fn cgroups_include_those_below() {
    let outer = cgroup_root().join(format!("select-{}", std::process::id()));
    let inner = outer.join("below");
    if let Err(error) = fs::create_dir_all(&inner) {
        skip(&format!("cannot make a cgroup: {error}"));
    }
    let id = fs::metadata(&outer).expect("a cgroup").ino();
    let filter = Filter::default().in_cgroups(&[id]).expect("one");
    let path = std::env::current_exe().expect("/proc");
    let settings = [
        ("SELECT_CGROUP", inner.to_str().expect("UTF-8")),
        ("SELECT_PROGRAM", path.to_str().expect("UTF-8")),
    ];
    let (events, child, grandchild) = events_of_acts(&filter, &settings);
    let exec = (EventMask::EXEC, child, 0);
    assert_eq!(events, [&[exec][..], &forks_and_exits(child, grandchild)].concat());
    fs::remove_dir(&inner).and_then(|()| fs::remove_dir(&outer)).expect("empty cgroups");
}

fn the_kinds_of_a_filter_do_not_change_its_trees() {
    let mut root = HelperProcess::start_paused("family");
    let filter = Filter::new(EventMask::EXIT).descendants_of(&[TreeRoot::new(root.pid())]);
    let mut chosen = open_filtered(&filter.expect("one"));
    let flood = [Flood::start(), Flood::start()];
    root.resume();
    let ids: BTreeSet<u32> = (0..9).map(|_| root.read_number()).collect();
    root.resume();
    let events = receive(&mut chosen, root.pid());
    drop(flood);
    assert!(events.iter().all(|event| event.mask() == EventMask::EXIT));
    let mut exited: BTreeSet<u32> = events.iter().map(|event| sign(event).1).collect();
    assert!(exited.remove(&root.pid()));
    assert_eq!(exited, ids);
}

fn a_new_filter_follows_another_tree() {
    let [mut first, mut second] = ["acts", "acts"].map(HelperProcess::start_paused);
    let mut chosen = open_filtered(&tree(first.pid()));
    first.resume();
    let ids = [first.read_number(), first.read_number()];
    // Its events are queued, and have passed the first filter.
    chosen.set_filter(&tree(second.pid())).expect("the second tree");
    second.resume();
    let others = [second.read_number(), second.read_number()];
    first.resume();
    second.resume();
    let events = receive(&mut chosen, second.pid());
    let expected: Vec<Sign> = [(first.pid(), ids), (second.pid(), others)]
        .into_iter()
        .flat_map(|(root, [grandchild, child])| {
            let fork = (EventMask::FORK, root, child);
            [&[fork][..], &forks_and_exits(child, grandchild)].concat()
        })
        .chain([(EventMask::EXIT, second.pid(), 0)])
        .collect();
    let signs: Vec<Sign> = events.iter().map(sign).collect();
    assert_eq!(signs, expected);
    let error = chosen.set_filter(&tree(4_190_000)).expect_err("no such process");
    assert!(matches!(error, Error::NoSuchProcess { tgid: 4_190_000 }), "{error}");
}

fn a_missing_process_is_an_error() {
    let gone = common::helper_process::run_to_end("forks_once");
    let own = std::process::id();
    for root in [TreeRoot::new(gone), TreeRoot::with_start(own, 5)] {
        let filter = Filter::default().descendants_of(&[root]).expect("one");
        let error = large_buffer().filter(filter).open().expect_err("no such process");
        let tgid = root.tgid;
        assert!(matches!(error, Error::NoSuchProcess { tgid: found } if found == tgid), "{error}");
    }
}
