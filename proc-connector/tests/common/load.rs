//! Creates events.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, getpid, gettid};

use super::watch::Task;

/// The calling thread.
pub(crate) fn this_task() -> Task {
    (number(gettid()), number(getpid()))
}

/// Creates threads one after the other, which exit immediately and cause two events each. Returns
/// their ids.
pub(crate) fn threads(count: usize) -> Vec<u32> {
    let thread = |_| thread::spawn(|| number(gettid())).join().expect("a thread that ends");
    (0..count).map(thread).collect()
}

fn number(id: Pid) -> u32 {
    id.as_raw().try_into().expect("ids are positive")
}

/// The CPUs that this process may use.
pub(crate) fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("a set of CPUs");
    (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu) == Ok(true)).collect()
}

/// Creates a thread that exits on the given CPU, so that its exit is sent from there.
pub(crate) fn thread_on(cpu: usize) -> u32 {
    let on_cpu = move || {
        stay_on(cpu);
        number(gettid())
    };
    thread::spawn(on_cpu).join().expect("a thread that ends")
}

/// Restricts the calling thread, and the threads it creates, to a CPU.
pub(crate) fn stay_on(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu).expect("a CPU that exists");
    sched_setaffinity(Pid::from_raw(0), &only).expect("a CPU of the allowed");
}

/// Calls a function when dropped, also after a panic: stops a thread that a scope would wait for.
pub(crate) struct OnDrop<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Repeats an action in another thread while a function runs, which may take any time until it sees the
/// first result.
pub(crate) fn repeat_during<T>(mut action: impl FnMut() + Send, run: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = OnDrop(|| is_over.store(true, Relaxed));
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                action();
            }
        });
        run()
    })
}
