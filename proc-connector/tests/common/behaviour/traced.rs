//! Processes under ptrace.

use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, gettid, pause};

use super::line::Line;
use super::stage::Stage;
use super::sys;
use super::truth::now_ns;
use super::{Behaviour, Need::Programs, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    lets_its_parent_trace_it,
    is_attached_and_detached,
    ends_while_another_traces_it,
    ends_while_a_tracer_keeps_its_threads,
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

/// The threads end one after the other and stay zombies, because the tracer waits for none of them
/// before it ends.
fn ends_while_a_tracer_keeps_its_threads(stage: &Stage) {
    let ready = Line::new();
    let truth = stage.fork(|| {
        thread::scope(|scope| {
            for code in 1..4 {
                let ready = &ready;
                scope.spawn(move || {
                    ready.send(&[gettid().as_raw().try_into().expect("an id")]);
                    sleep(Duration::from_millis(5 * code));
                    sys::exit_thread(code.try_into().expect("small"))
                });
            }
            sleep(Duration::from_millis(10));
            sys::exit_thread(5)
        });
    });
    let threads = [ready.receive(), ready.receive(), ready.receive()];
    let tracer = stage.fork(|| {
        for thread in threads {
            let thread = pid(thread.try_into().expect("an id"));
            // A thread that has ended already cannot be traced.
            let _ = ptrace::seize(thread, ptrace::Options::empty());
        }
        sleep(Duration::from_millis(25));
    });
    tracer.reap();
    truth.reap();
}
