//! Processes under ptrace.

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pause};

use super::line::Line;
use super::stage::Stage;
use super::sys;
use super::truth::now_ns;
use super::{Behaviour, Need::Programs, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    lets_its_parent_trace_it,
    is_attached_and_detached,
    ends_while_another_traces_it,
];
pub(crate) const WITH_PROGRAMS: &[Behaviour] = behaviours![&[Programs]; executes_while_traced];

fn pid(tgid: u32) -> Pid {
    Pid::from_raw(tgid.try_into().expect("a pid"))
}

fn lets_its_parent_trace_it(stage: &Stage) {
    let truth = stage.fork(|| {
        ptrace::traceme().expect("an untraced process");
        sys::default_action(libc::SIGUSR1);
        raise(Signal::SIGUSR1).expect("a signal");
        sys::exit(90)
    });
    waitpid(pid(truth.tgid), None).expect("a child that stops");
    let truth = truth.alive();
    ptrace::cont(pid(truth.tgid), None).expect("a stopped child");
    truth.reap();
}

fn executes_while_traced(stage: &Stage) {
    let words = ["chain", "9", "traced"];
    let truth = stage.fork(|| {
        ptrace::traceme().expect("an untraced process");
        match stage.exec(&words) {}
    });
    let truth = truth.executes(stage.image(&words));
    waitpid(pid(truth.tgid), None).expect("a child that stops after the exec");
    ptrace::cont(pid(truth.tgid), None).expect("a stopped child");
    truth.reap();
}

/// Forks a process that waits, and another that traces it and ends one of them. The tracer sends
/// the time at which the other was alive.
fn traced(stage: &Stage, trace: impl FnOnce(Pid, &Line)) {
    let line = Line::new();
    let mut truth = stage.fork(|| {
        loop {
            pause();
        }
    });
    let traced = pid(truth.tgid);
    let other = stage.fork(|| {
        ptrace::attach(traced).expect("the right to trace it");
        let stopped = waitpid(traced, None).expect("a tracee");
        assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
        trace(traced, &line);
    });
    truth.alive_ns = line.receive();
    other.reap();
    // Without effect if it has ended.
    sys::kill(truth.tgid, libc::SIGKILL);
    truth.reap();
}

fn is_attached_and_detached(stage: &Stage) {
    traced(stage, |tracee, line| {
        ptrace::detach(tracee, None).expect("a stopped tracee");
        line.send(&[now_ns()]);
    });
}

/// The tracer is the first to see the end. The parent then reaps the process.
fn ends_while_another_traces_it(stage: &Stage) {
    traced(stage, |tracee, line| {
        line.send(&[now_ns()]);
        kill(tracee, Signal::SIGKILL).expect("a tracee");
        waitpid(tracee, None).expect("a tracee that ends");
    });
}
