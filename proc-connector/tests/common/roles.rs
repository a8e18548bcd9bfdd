//! Roles of several tests that trace commands.

use std::fs;
use std::io::Read;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::getppid;

use super::helper_process::command;

pub(crate) fn exit_0() {}

pub(crate) fn exit_3() {
    std::process::exit(3)
}

pub(crate) fn die_by_9() {
    raise(Signal::SIGKILL).expect("a signal");
}

/// Two children: one whose own child fails, one that is killed. Prints their process ids.
pub(crate) fn family() {
    for role in ["die_by_9", "have_a_failing_child"] {
        let mut child = command(role).spawn().expect("a child");
        println!("{role} {}", child.id());
        child.wait().expect("an exit status");
    }
    println!("own {}", std::process::id());
    // The kernel reports an exit after the parent can reap the process. On a busy machine, that is late.
    std::thread::sleep(Duration::from_millis(200));
    std::process::exit(7)
}

pub(crate) fn have_a_failing_child() {
    let mut failing = command("exit_3").spawn().expect("a child");
    println!("failing {}", failing.id());
    failing.wait().expect("an exit status");
}

/// Waits until the standard input ends.
pub(crate) fn pause() {
    let _ = std::io::stdin().read(&mut [0]);
}

pub(crate) fn stop_the_tracer() {
    kill(getppid(), Signal::SIGSTOP).expect("a parent");
    // A process that runs on another CPU stops later.
    let stat = format!("/proc/{}/stat", getppid());
    while !fs::read_to_string(&stat).expect("a parent").contains(") T ") {
        std::thread::yield_now();
    }
}

pub(crate) fn continue_the_tracer() {
    kill(getppid(), Signal::SIGCONT).expect("a parent");
}
