//! Processes of one thread, and how they end.

use std::fs;
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, chdir, pause};

use super::stage::{Stage, this};
use super::sys::{self, Creation};
use super::truth::now_ns;
use super::{Behaviour, Need::Programs, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    exits_with_each_code,
    is_killed_by_each_signal,
    is_killed_by_its_parent,
    dumps_core,
    is_stopped_and_continued,
    is_reaped_late,
    sends_no_signal_at_its_end,
    sends_another_signal_at_its_end,
    uses_memory,
    burns_cpu,
    sleeps_often,
];
pub(crate) const WITH_PROGRAMS: &[Behaviour] = behaviours![&[Programs];
    faults,
    is_killed_after_an_exec,
];

fn exits_with_each_code(stage: &Stage) {
    let code = (stage.number % 256).try_into().expect("small");
    stage.run(|| sys::exit(code));
}

/// All signals that end a process by default, except those for core dumps and stops.
const DEADLY: [i32; 13] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGKILL,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    // A real-time signal.
    40,
];

fn is_killed_by_each_signal(stage: &Stage) {
    let signal = DEADLY[stage.number as usize % DEADLY.len()];
    stage.run(|| {
        sys::default_action(signal);
        sys::kill(this(), signal);
    });
}

fn is_killed_by_its_parent(stage: &Stage) {
    let truth = stage.fork(|| {
        loop {
            pause();
        }
    });
    sleep(Duration::from_micros(u64::from(stage.number % 3) * 500));
    let truth = truth.alive();
    sys::kill(truth.tgid, libc::SIGKILL);
    truth.reap();
}

/// Writes a core file to a directory of its own.
fn dumps_core(stage: &Stage) {
    let directory = stage.programs.directory().join(format!("core-{}", this()));
    fs::create_dir_all(&directory).expect("a writable directory");
    let signals = [libc::SIGABRT, libc::SIGQUIT, libc::SIGSEGV, libc::SIGSYS];
    let signal = signals[stage.number as usize % signals.len()];
    stage.run(|| {
        chdir(&directory).expect("a directory");
        let (_, most) = getrlimit(Resource::RLIMIT_CORE).expect("a limit");
        setrlimit(Resource::RLIMIT_CORE, most, most).expect("within the limit");
        sys::default_action(signal);
        sys::kill(this(), signal);
    });
    let _ = fs::remove_dir_all(&directory);
}

fn is_stopped_and_continued(stage: &Stage) {
    let truth = stage.fork(|| {
        loop {
            pause();
        }
    });
    let child = Pid::from_raw(truth.tgid.try_into().expect("a pid"));
    for _ in 0..2 {
        kill(child, Signal::SIGSTOP).expect("a child");
        waitpid(child, Some(WaitPidFlag::WUNTRACED)).expect("a child that stops");
        kill(child, Signal::SIGCONT).expect("a child");
        waitpid(child, Some(WaitPidFlag::WCONTINUED)).expect("a child that continues");
    }
    let truth = truth.alive();
    kill(child, Signal::SIGTERM).expect("a child");
    truth.reap();
}

fn is_reaped_late(stage: &Stage) {
    let late = stage.fork(|| sys::exit(11));
    for code in 0..3 {
        stage.run(|| sys::exit(code));
    }
    sleep(Duration::from_millis(5));
    late.reap();
}

fn sends_no_signal_at_its_end(stage: &Stage) {
    create(stage, Creation { exit_signal: 0, ..Creation::default() });
}

fn sends_another_signal_at_its_end(stage: &Stage) {
    sys::ignore(libc::SIGUSR2);
    create(stage, Creation { exit_signal: libc::SIGUSR2, ..Creation::default() });
}

fn create(stage: &Stage, creation: Creation) {
    stage.created(|| sys::clone(creation, || sys::exit(12)).expect("a child")).reap();
}

fn uses_memory(stage: &Stage) {
    let len = (1 + stage.number as usize % 5) << 22;
    stage.run(|| {
        black_box(vec![1_u8; len]);
    });
}

fn burns_cpu(stage: &Stage) {
    let time = Duration::from_millis(u64::from(5 + stage.number % 20));
    stage.run(|| burn(time));
}

/// Computes for a time, or for as long as that takes beside other processes.
pub(crate) fn burn(time: Duration) {
    let start = Instant::now();
    let mut sum = 0_u64;
    while start.elapsed() < time {
        (0..1_000).for_each(|number| sum = black_box(sum.wrapping_mul(3) + number));
    }
}

fn sleeps_often(stage: &Stage) {
    let truth = stage.fork(|| (0..20).for_each(|_| sleep(Duration::from_micros(50))));
    truth.reap();
}

fn faults(stage: &Stage) {
    let words = ["fault"];
    stage.fork(|| match stage.exec(&words) {}).executes(stage.image(&words)).reap();
}

fn is_killed_after_an_exec(stage: &Stage) {
    let words = ["wait", "for a signal"];
    let mut truth = stage.fork(|| match stage.exec(&words) {}).executes(stage.image(&words));
    let exe = format!("/proc/{}/exe", truth.tgid);
    // The path of its program changes when the exec is done.
    let path = stage.programs.path("wait");
    while fs::read_link(&exe).is_ok_and(|exe| exe.to_str() != Some(&path)) {
        std::thread::yield_now();
    }
    truth.alive_ns = now_ns();
    sys::kill(truth.tgid, libc::SIGTERM);
    truth.reap();
}
