//! Execs by other threads than the first: the thread takes over the id of the process.

use std::sync::atomic::AtomicU32;
use std::thread::{self, sleep};
use std::time::Duration;

use super::stage::Stage;
use super::sys::exit_thread;
use super::threads::{meet, running_threads, wait_forever};
use super::{Behaviour, Need::Programs, behaviours};

pub(crate) const WITH_PROGRAMS: &[Behaviour] = behaviours![&[Programs];
    another_thread_executes,
    one_of_many_threads_executes,
    the_first_of_many_threads_executes,
    another_thread_executes_after_the_first_ended,
    a_thread_executes_while_others_end,
    two_threads_execute_at_once,
];

/// A process with `idle` further threads, of which one executes a program.
fn executes(stage: &Stage, idle: u32) {
    let word = format!("{} threads", idle + 1);
    let words = ["chain", "3", &word];
    let truth = stage.fork(|| {
        for _ in 0..idle {
            thread::spawn(|| wait_forever());
        }
        thread::scope(|scope| {
            scope.spawn(|| match stage.exec(&words) {});
            wait_forever()
        });
    });
    truth.executes(stage.image(&words)).reap();
}

fn another_thread_executes(stage: &Stage) {
    executes(stage, 0);
}

fn one_of_many_threads_executes(stage: &Stage) {
    executes(stage, 10);
}

fn the_first_of_many_threads_executes(stage: &Stage) {
    let words = ["chain", "4", "the first thread"];
    let truth = stage.fork(|| {
        for _ in 0..10 {
            thread::spawn(|| wait_forever());
        }
        match stage.exec(&words) {}
    });
    truth.executes(stage.image(&words)).reap();
}

fn another_thread_executes_after_the_first_ended(stage: &Stage) {
    let words = ["chain", "5", "after the first ended"];
    let truth = stage.fork(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                while running_threads() > 1 {
                    thread::yield_now();
                }
                sleep(Duration::from_micros(500));
                match stage.exec(&words) {}
            });
            exit_thread(25)
        });
    });
    truth.executes(stage.image(&words)).reap();
}

/// One of them succeeds. It is not known which, so both execute the same.
fn two_threads_execute_at_once(stage: &Stage) {
    let words = ["chain", "7", "one of two"];
    let truth = stage.fork(|| {
        let arrived = AtomicU32::new(0);
        let execute = || {
            meet(&arrived, 2);
            match stage.exec(&words) {}
        };
        thread::scope(|scope| {
            scope.spawn(execute);
            scope.spawn(execute);
            wait_forever()
        });
    });
    truth.executes(stage.image(&words)).reap();
}

fn a_thread_executes_while_others_end(stage: &Stage) {
    let words = ["chain", "6", "among ends"];
    let truth = stage.fork(|| {
        for number in 0..10 {
            thread::spawn(move || {
                sleep(Duration::from_micros(20 * number));
                exit_thread(26)
            });
        }
        thread::scope(|scope| {
            scope.spawn(|| match stage.exec(&words) {});
            exit_thread(27)
        });
    });
    truth.executes(stage.image(&words)).reap();
}
