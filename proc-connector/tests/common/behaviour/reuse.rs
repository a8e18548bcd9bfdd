//! Process ids that are given out again at once.

use std::ops::Range;
use std::thread;

use super::line::Line;
use super::stage::Stage;
use super::sys::exit_thread;
use super::sys::{self, Creation};
use super::truth::Truth;
use super::{Behaviour, Need::Programs, Need::Root, behaviours};
use crate::common::load::{cpus, stay_on, this_task};

pub(crate) const AS_ROOT: &[Behaviour] = behaviours![&[Root];
    an_id_is_reused_at_once,
    an_id_with_threads_is_reused_at_once,
    an_id_is_reused_by_the_child_of_another,
    the_id_of_a_thread_becomes_that_of_a_process,
    the_id_of_a_process_with_threads_is_reused,
];
pub(crate) const AS_ROOT_WITH_PROGRAMS: &[Behaviour] = behaviours![&[Root, Programs];
    an_id_is_reused_after_an_exec,
    an_id_is_reused_for_an_exec,
];

/// Creates a process with a given id. `None` if another process has it meanwhile.
fn with_id(stage: &Stage, pid: u32, child: impl FnOnce()) -> Option<Truth> {
    let creation = Creation { pid: Some(pid), ..Creation::default() };
    let mut created = true;
    let truth = stage.created(|| {
        sys::clone(creation, child).unwrap_or_else(|error| {
            assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
            created = false;
            pid
        })
    });
    created.then_some(truth)
}

/// Creates processes with the same id, which end with these codes. Each is created in the moment in
/// which its predecessor is reaped, and several within a tick of 10 ms.
///
/// All share a CPU, on which the parent has precedence: a preemptible kernel runs it as soon as a
/// child is a zombie, before the exit of the child is sent.
fn follow_each_other(stage: &Stage, codes: Range<i32>, end: fn(i32)) {
    let parent = stage.fork(|| {
        stay_on(cpus()[stage.number as usize % cpus().len()]);
        let end = |code| {
            sys::yield_to_others();
            end(code);
        };
        let mut last = stage.fork(|| end(codes.start));
        let mut ended = Vec::new();
        for code in codes.clone().skip(1) {
            last.wait();
            let next = with_id(stage, last.tgid, || end(code));
            ended.push(last);
            let Some(next) = next else { return ended.iter().for_each(Truth::print) };
            last = next;
        }
        last.wait();
        ended.push(last);
        ended.iter().for_each(Truth::print);
    });
    parent.reap_parent();
}

fn an_id_is_reused_at_once(stage: &Stage) {
    follow_each_other(stage, 70..76, |code| sys::exit(code));
}

/// The threads of each end one by one.
fn an_id_with_threads_is_reused_at_once(stage: &Stage) {
    follow_each_other(stage, 86..90, |code| {
        thread::spawn(move || exit_thread(code));
        exit_thread(code)
    });
}

fn an_id_is_reused_by_the_child_of_another(stage: &Stage) {
    let first = stage.fork(|| sys::exit(76));
    let pid = first.tgid;
    first.reap();
    let creator = stage.fork(|| {
        if let Some(truth) = with_id(stage, pid, || sys::exit(77)) {
            truth.reap();
        }
        sys::exit(78)
    });
    creator.reap_parent();
}

fn the_id_of_a_thread_becomes_that_of_a_process(stage: &Stage) {
    let line = Line::new();
    let first = stage.fork(|| {
        let report = || {
            line.send(&[u64::from(this_task().0)]);
            exit_thread(0)
        };
        thread::scope(|scope| {
            scope.spawn(report);
            exit_thread(79)
        });
    });
    let pid = line.receive_pid();
    first.reap();
    let Some(truth) = with_id(stage, pid, || sys::exit(80)) else { return };
    truth.reap();
}

fn the_id_of_a_process_with_threads_is_reused(stage: &Stage) {
    let first = stage.fork(|| {
        for code in 0..4 {
            thread::spawn(move || exit_thread(code));
        }
        exit_thread(81)
    });
    let pid = first.tgid;
    first.reap();
    let Some(truth) = with_id(stage, pid, || sys::exit(82)) else { return };
    truth.reap();
}

/// The second process must not appear with the arguments of the first.
fn an_id_is_reused_after_an_exec(stage: &Stage) {
    let words = ["chain", "1", "the first owner"];
    let first = stage.fork(|| match stage.exec(&words) {}).executes(stage.image(&words));
    let pid = first.tgid;
    first.reap();
    let Some(truth) = with_id(stage, pid, || sys::exit(83)) else { return };
    truth.reap();
}

/// The first process must not appear with the arguments of the second.
fn an_id_is_reused_for_an_exec(stage: &Stage) {
    let first = stage.fork(|| sys::exit(84));
    let pid = first.tgid;
    first.reap();
    for words in [["chain", "2", "the second owner"], ["chain", "3", "the third owner"]] {
        let Some(truth) = with_id(stage, pid, || match stage.exec(&words) {}) else { return };
        truth.executes(stage.image(&words)).reap();
    }
}
