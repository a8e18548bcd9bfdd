//! Who creates a process, whose child it becomes, and who adopts it.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::{sleep, yield_now};
use std::time::Duration;

use nix::sys::prctl::set_child_subreaper;
use nix::unistd::setsid;

use super::line::Line;
use super::programs::{c_string, c_strings};
use super::stage::{Stage, parent, this};
use super::sys::{self, Creation, Plan};
use super::truth::{Image, Truth, now_ns};
use super::{Behaviour, Need::Programs, Need::Root, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    creates_a_sibling,
    a_sibling_outlives_its_creator,
    waits_for_the_end_of_its_child_to_continue,
    creates_a_chain_of_children,
    becomes_a_daemon,
    an_orphan_is_adopted_by_a_subreaper,
    an_orphan_is_adopted_by_the_nearest_subreaper,
    ignores_the_ends_of_its_children,
    ends_before_its_zombies_are_reaped,
];
pub(crate) const WITH_PROGRAMS: &[Behaviour] = behaviours![&[Programs];
    shares_memory_until_it_executes,
    shares_memory_twice,
    is_spawned,
    an_orphan_executes,
];
pub(crate) const AS_ROOT: &[Behaviour] =
    behaviours![&[Root]; is_first_in_a_namespace, is_in_a_user_namespace];

/// Sends the creation of a process through a pipe.
pub(crate) fn send(line: &Line, truth: &Truth) {
    line.send(&[truth.tgid.into(), truth.created_ns.0, truth.created_ns.1]);
}

/// Receives a creation by another process, which behaves as this one so far.
pub(crate) fn receive(stage: &Stage, line: &Line, creator: u32) -> Truth {
    let tgid = line.receive_pid();
    Truth { creator, ..stage.truth(tgid, (line.receive(), line.receive())) }
}

/// `CLONE_PARENT`: the new process is a child of its creator's parent.
pub(crate) fn sibling(stage: &Stage, creation: Creation, end: impl FnOnce()) -> Truth {
    stage.created(|| sys::clone(creation, end).expect("a sibling"))
}

pub(crate) const SIBLING: Creation =
    Creation { flags: libc::CLONE_PARENT, exit_signal: 0, pid: None };

fn creates_a_sibling(stage: &Stage) {
    let line = Line::new();
    let creator = stage.fork(|| {
        send(&line, &sibling(stage, SIBLING, || sys::exit(41)));
        line.send(&[0]);
        sys::exit(42)
    });
    let sibling = receive(stage, &line, creator.tgid);
    line.receive();
    sibling.reap();
    creator.reap();
}

fn a_sibling_outlives_its_creator(stage: &Stage) {
    let (line, go) = (Line::new(), Line::new());
    let creator = stage.fork(|| {
        let end = || {
            go.receive();
            sys::exit(43)
        };
        send(&line, &sibling(stage, SIBLING, end));
        sys::exit(44)
    });
    let sibling = receive(stage, &line, creator.tgid);
    creator.reap();
    let sibling = sibling.alive();
    go.send(&[0]);
    sibling.reap();
}

/// `CLONE_VFORK` without shared memory.
fn waits_for_the_end_of_its_child_to_continue(stage: &Stage) {
    let creation = Creation { flags: libc::CLONE_VFORK, ..Creation::default() };
    let child = || {
        sleep(Duration::from_micros(300));
        sys::exit(45)
    };
    stage.created(|| sys::clone(creation, child).expect("a child")).reap();
}

fn creates_a_chain_of_children(stage: &Stage) {
    descend(stage, 5);
}

fn descend(stage: &Stage, depth: i32) {
    let truth = stage.fork(|| {
        if depth > 0 {
            descend(stage, depth - 1);
        }
        sys::exit(50 + depth)
    });
    if depth > 0 { truth.reap_parent() } else { truth.reap() }
}

/// A process twice removed from this one, which ends after its creator. It prints its own record,
/// because the process that adopts it is not part of the test.
fn daemon(stage: &Stage, end: impl FnOnce(&Truth)) {
    let creator = this();
    let before = now_ns();
    sys::fork(|| {
        let created = (before, now_ns());
        while parent() == creator {
            yield_now();
        }
        let truth = stage.truth(this(), created);
        end(&Truth { creator, parent: creator, last_parent: None, ..truth });
    });
}

fn becomes_a_daemon(stage: &Stage) {
    let line = Line::new();
    let truth = stage.fork(|| {
        setsid().expect("no leader of a group");
        daemon(stage, |truth| {
            sleep(Duration::from_millis(1));
            let truth = Truth { last_parent: Some(parent()), ..truth.clone() };
            truth.alive().exits(46).print();
            sys::exit(46)
        });
        sys::exit(47)
    });
    let session = Some(truth.tgid);
    (Truth { session, ..truth }).reap();
    line.wait_for_writers();
}

fn an_orphan_executes(stage: &Stage) {
    let line = Line::new();
    let words = ["chain", "7", "an orphan"];
    let truth = stage.fork(|| {
        daemon(stage, |truth| {
            let truth = Truth { last_parent: Some(parent()), ..truth.clone() };
            truth.executes(stage.image(&words)).exits(7).print();
            match stage.exec(&words) {}
        });
        sys::exit(47)
    });
    truth.reap();
    line.wait_for_writers();
}

fn an_orphan_is_adopted_by_a_subreaper(stage: &Stage) {
    set_child_subreaper(true).expect("Linux 3.4");
    let line = Line::new();
    let subreaper = this();
    let creator = stage.fork(|| {
        let orphan = stage.fork(|| {
            while parent() != subreaper {
                yield_now();
            }
            sys::exit(48)
        });
        send(&line, &orphan);
        sys::exit(49)
    });
    let orphan = receive(stage, &line, creator.tgid);
    let orphan = Truth { parent: creator.tgid, ..orphan };
    creator.reap();
    orphan.reap();
    set_child_subreaper(false).expect("Linux 3.4");
}

fn an_orphan_is_adopted_by_the_nearest_subreaper(stage: &Stage) {
    let truth = stage.fork(|| {
        // Inherited by no child, and kept until the end.
        an_orphan_is_adopted_by_a_subreaper(stage);
        sys::exit(54)
    });
    truth.reap_parent();
}

/// The kernel reaps the children itself.
fn ignores_the_ends_of_its_children(stage: &Stage) {
    let truth = stage.fork(|| {
        sys::ignore(libc::SIGCHLD);
        for code in [55, 56] {
            let child = stage.fork(|| sys::exit(code));
            sys::wait4(child.tgid).expect_err("no zombie");
            (Truth { over_ns: Some(now_ns()), ..child }.exits(code)).print();
        }
        sys::exit(57)
    });
    truth.reap();
}

/// The children are zombies when their parent ends, and another process reaps them.
fn ends_before_its_zombies_are_reaped(stage: &Stage) {
    let line = Line::new();
    let truth = stage.fork(|| {
        for code in [58, 59] {
            let child = Truth { last_parent: None, ..stage.fork(|| sys::exit(code)) };
            child.exits(code).print();
        }
        sleep(Duration::from_micros(300));
        sys::exit(60)
    });
    truth.reap();
    line.wait_for_writers();
}

/// Creates a child with `vfork`, which executes a program.
fn shares_memory_until_it_executes(stage: &Stage) {
    let words = ["chain", "1", "vfork"];
    let mut plan = Plan::new(&c_string(&stage.chain()), &c_strings(&words), None);
    let truth = stage.created(|| sys::vfork(&mut plan));
    truth.executes(stage.image(&words)).reap();
}

/// The child also calls `vfork` before it executes its program, and does not reap its child.
fn shares_memory_twice(stage: &Stage) {
    set_child_subreaper(true).expect("Linux 3.4");
    let (words, inner_words) = (["chain", "2", "outer"], ["chain", "3", "inner"]);
    let chain = c_string(&stage.chain());
    let inner = Plan::new(&chain, &c_strings(&inner_words), None);
    let mut plan = Plan::new(&chain, &c_strings(&words), Some(inner));
    let outer = stage.created(|| sys::vfork(&mut plan));
    let inner = stage.truth(plan.inner_pids()[0], outer.created_ns);
    let parent = outer.tgid;
    let inner = Truth { creator: parent, parent, last_parent: None, ..inner };
    // The order is that of the ends: the inner process becomes a child of this one.
    outer.executes(stage.image(&words)).reap();
    inner.executes(stage.image(&inner_words)).reap();
    set_child_subreaper(false).expect("Linux 3.4");
}

/// The standard library calls `posix_spawn`.
fn is_spawned(stage: &Stage) {
    let words = ["spawned", "4"];
    let path = stage.chain();
    let mut command = Command::new(&path);
    command.arg0(words[0]).args(&words[1..]);
    let truth = stage.created(|| command.spawn().expect("a program").id());
    let image = Image { args: super::truth::joined(words), ..stage.image(&["chain"]) };
    truth.executes(image).reap();
}

/// The process id of the record is that of the outer namespace.
fn is_first_in_a_namespace(stage: &Stage) {
    let creation = Creation { flags: libc::CLONE_NEWPID, ..Creation::default() };
    let child = || {
        assert_eq!(this(), 1);
        sys::exit(61)
    };
    let truth = stage.created(|| sys::clone(creation, child).expect("CAP_SYS_ADMIN"));
    Truth { ns_tgid: 1, ..truth }.reap();
}

/// The user ids of the record are those of the outer namespace.
fn is_in_a_user_namespace(stage: &Stage) {
    let creation = Creation { flags: libc::CLONE_NEWUSER, ..Creation::default() };
    stage.created(|| sys::clone(creation, || sys::exit(62)).expect("CAP_SYS_ADMIN")).reap();
}
