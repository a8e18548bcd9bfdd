//! Processes of several threads, and which of them ends last.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread::{self, Builder, sleep};
use std::time::Duration;

use nix::unistd::pause;

use super::ends::burn;
use super::families::{SIBLING, receive, send, sibling};
use super::line::Line;
use super::stage::Stage;
use super::sys;
use super::sys::exit_thread;
use super::truth::now_ns;
use super::{Behaviour, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    first_thread_ends_first,
    first_thread_ends_first_of_many,
    another_thread_ends_the_process,
    another_thread_ends_it_after_the_first_ended,
    is_killed_after_its_first_thread_ended,
    two_threads_end_at_once,
    fifty_threads_burn_and_end_at_once,
    fifty_threads_burn_and_one_ends_all,
    creates_many_threads,
    threads_rename_themselves,
    a_thread_creates_a_child_and_ends,
    a_thread_creates_a_sibling,
    a_thread_panics_while_the_first_waits,
    dumps_core_with_threads,
];

pub(crate) fn wait_forever() -> ! {
    loop {
        pause();
    }
}

/// Ends the calling thread when it is certain that all others have ended.
fn exit_last(line: &Line, code: i32) -> ! {
    while running_threads() > 1 {
        sleep(Duration::from_micros(200));
    }
    // Long enough that an end reported too early has an earlier time stamp.
    sleep(Duration::from_micros(500));
    line.send(&[now_ns()]);
    exit_thread(code)
}

/// The number of threads of this process that have not ended.
pub(crate) fn running_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let state = |path: std::path::PathBuf| {
        let status = std::fs::read_to_string(path.join("stat")).ok()?;
        status.rsplit(") ").next()?.chars().next()
    };
    let states = threads.filter_map(|thread| state(thread.ok()?.path()));
    states.filter(|state| !"ZX".contains(*state)).count()
}

fn first_thread_ends_first(stage: &Stage) {
    let line = Line::new();
    let code = [0, 7, 255][stage.number as usize % 3];
    let mut truth = stage.fork(|| {
        thread::scope(|scope| {
            scope.spawn(|| exit_last(&line, code));
            exit_thread(5)
        });
    });
    truth.alive_ns = line.receive();
    truth.reap();
}

fn first_thread_ends_first_of_many(stage: &Stage) {
    let line = Line::new();
    let mut truth = stage.fork(|| {
        thread::scope(|scope| {
            for code in 1..9 {
                scope.spawn(move || exit_thread(code));
            }
            scope.spawn(|| exit_last(&line, 17));
            exit_thread(0)
        });
    });
    truth.alive_ns = line.receive();
    truth.reap();
}

fn another_thread_ends_the_process(stage: &Stage) {
    let code = i32::try_from(1 + stage.number % 200).expect("small");
    stage.run(|| {
        for _ in 0..3 {
            thread::spawn(|| wait_forever());
        }
        thread::spawn(move || sys::exit(code));
        wait_forever()
    });
}

fn another_thread_ends_it_after_the_first_ended(stage: &Stage) {
    let line = Line::new();
    let mut truth = stage.fork(|| {
        thread::scope(|scope| {
            scope.spawn(|| wait_forever());
            scope.spawn(|| {
                while running_threads() > 2 {
                    thread::yield_now();
                }
                sleep(Duration::from_millis(1));
                line.send(&[now_ns()]);
                sys::exit(9)
            });
            exit_thread(5)
        });
    });
    truth.alive_ns = line.receive();
    truth.reap();
}

fn is_killed_after_its_first_thread_ended(stage: &Stage) {
    let line = Line::new();
    let truth = stage.fork(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                while running_threads() > 1 {
                    thread::yield_now();
                }
                line.send(&[0]);
                wait_forever()
            });
            exit_thread(5)
        });
    });
    line.receive();
    sleep(Duration::from_millis(1));
    let truth = truth.alive();
    sys::kill(truth.tgid, libc::SIGINT);
    truth.reap();
}

/// Returns when `threads` threads have called this function, all at the same time.
pub(crate) fn meet(arrived: &AtomicU32, threads: u32) {
    arrived.fetch_add(1, SeqCst);
    while arrived.load(SeqCst) < threads {
        thread::yield_now();
    }
}

fn two_threads_end_at_once(stage: &Stage) {
    stage.run(|| {
        let arrived = Arc::new(AtomicU32::new(0));
        let others = Arc::clone(&arrived);
        thread::spawn(move || {
            meet(&others, 2);
            exit_thread(3)
        });
        meet(&arrived, 2);
        exit_thread(4)
    });
}

/// Starts 50 threads that burn CPU and then call a function at once.
fn fifty_threads(end: fn(i32) -> !) {
    let barrier = Arc::new(Barrier::new(51));
    for number in 0..50 {
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            burn(Duration::from_micros(500));
            barrier.wait();
            end(number)
        });
    }
    barrier.wait();
    end(60)
}

fn fifty_threads_burn_and_end_at_once(stage: &Stage) {
    stage.run(|| fifty_threads(|code| exit_thread(code)));
}

fn fifty_threads_burn_and_one_ends_all(stage: &Stage) {
    stage.run(|| fifty_threads(|code| sys::exit(code)));
}

fn creates_many_threads(stage: &Stage) {
    stage.run(|| {
        for _ in 0..20 {
            let threads: Vec<_> = (0..5).map(|_| thread::spawn(|| ())).collect();
            for thread in threads {
                thread.join().expect("no panic");
            }
        }
        sys::exit(21)
    });
}

fn threads_rename_themselves(stage: &Stage) {
    stage.run(|| {
        for number in 0..3 {
            let named = Builder::new().name(format!("worker {number}"));
            let thread = named.spawn(|| ()).expect("a thread");
            thread.join().expect("no panic");
        }
    });
}

/// The child outlives the thread, and its parent is the process.
fn a_thread_creates_a_child_and_ends(stage: &Stage) {
    let truth = stage.fork(|| {
        let line = Line::new();
        let child = thread::scope(|scope| {
            let create = || {
                // The child calls nothing that needs a lock of another thread.
                stage.fork(|| {
                    line.receive();
                    sys::exit(22)
                })
            };
            scope.spawn(create).join().expect("no panic")
        });
        line.send(&[0]);
        child.reap();
        sys::exit(23)
    });
    truth.reap_parent();
}

/// The creator is neither the parent nor the first thread of a process.
fn a_thread_creates_a_sibling(stage: &Stage) {
    let line = Line::new();
    let creator = stage.fork(|| {
        let create = || send(&line, &sibling(stage, SIBLING, || sys::exit(28)));
        thread::scope(|scope| {
            scope.spawn(create);
        });
        sys::exit(29)
    });
    let sibling = receive(stage, &line, creator.tgid);
    sibling.reap();
    creator.reap();
}

fn dumps_core_with_threads(stage: &Stage) {
    stage.run(|| {
        for _ in 0..5 {
            thread::spawn(|| wait_forever());
        }
        sys::default_action(libc::SIGTRAP);
        thread::scope(|scope| {
            scope.spawn(|| sys::kill(std::process::id(), libc::SIGTRAP));
            wait_forever()
        });
    });
}

fn a_thread_panics_while_the_first_waits(stage: &Stage) {
    stage.run(|| {
        thread::spawn(|| std::panic::resume_unwind(Box::new(()))).join().expect_err("a panic");
        sys::exit(24)
    });
}
