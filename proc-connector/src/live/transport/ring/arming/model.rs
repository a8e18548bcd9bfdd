//! The protocol under every interleaving of two readers and the kernel, by loom.
//!
//! The readers run the real [`arm`]. What it works on is a model: the ring is a pair of counters, the
//! socket a number of datagrams. A reader that misses its wake-up waits for ever, which loom
//! reports as a deadlock.

use std::sync::Arc;

use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicUsize, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::{Sides, arm};

/// What is shared with the kernel.
struct Machine {
    armed: AtomicU32,
    written: AtomicUsize,
    descriptor: Mutex<Descriptor>,
    changed: Condvar,
}

/// What makes the descriptor readable.
#[derive(Default)]
struct Descriptor {
    datagrams: usize,
    announced: bool,
}

/// The reader's side, behind a lock as in the connector.
struct Reader {
    machine: Arc<Machine>,
    read: usize,
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            armed: AtomicU32::new(0),
            written: AtomicUsize::new(0),
            descriptor: Mutex::new(Descriptor::default()),
            changed: Condvar::new(),
        })
    }

    /// As the ring's program: submits a record, and wakes the reader if the shared words is armed.
    fn event(&self) {
        self.written.fetch_add(1, AcqRel);
        fence(SeqCst);
        if self.armed.load(Relaxed) != 0 {
            self.armed.store(0, Relaxed);
            self.descriptor.lock().expect("no panic").datagrams += 1;
            self.changed.notify_all();
        }
    }

    /// As `poll`: returns when the descriptor is readable.
    fn poll(&self) {
        let mut descriptor = self.descriptor.lock().expect("no panic");
        while descriptor.datagrams == 0 && !descriptor.announced {
            descriptor = self.changed.wait(descriptor).expect("no panic");
        }
    }
}

impl Sides for Reader {
    fn drain(&mut self) {
        self.machine.descriptor.lock().expect("no panic").datagrams = 0;
    }

    fn set_armed(&mut self, armed: bool) {
        self.machine.armed.store(armed.into(), Relaxed);
    }

    fn barrier(&self) {
        fence(SeqCst);
    }

    fn has_unread(&self) -> bool {
        self.machine.written.load(Acquire) != self.read
    }

    fn announce(&mut self, unread: bool) {
        self.machine.descriptor.lock().expect("no panic").announced = unread;
        self.machine.changed.notify_all();
    }
}

type Arm = fn(&mut Reader) -> bool;

/// The protocol before readers could share a ring: nothing announces what was found after arming.
fn arm_alone(reader: &mut Reader) -> bool {
    reader.drain();
    reader.set_armed(true);
    reader.barrier();
    let unread = reader.has_unread();
    if unread {
        reader.set_armed(false);
    }
    !unread
}

/// Takes one event, waiting for it.
fn receive(reader: &Mutex<Reader>, machine: &Machine, arm: Arm) {
    loop {
        {
            let mut reader = reader.lock().expect("no panic");
            if reader.has_unread() {
                reader.read += 1;
                return;
            }
            if !arm(&mut reader) {
                continue;
            }
        }
        machine.poll();
    }
}

/// Two threads that receive one event each, and the kernel, which sends two.
fn two_receives_of_two_events(arm: Arm) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let machine = Machine::new();
        let reader = Reader { machine: Arc::clone(&machine), read: 0 };
        let reader = Arc::new(Mutex::new(reader));
        let receivers = [(); 2].map(|()| {
            let (reader, machine) = (Arc::clone(&reader), Arc::clone(&machine));
            thread::spawn(move || receive(&reader, &machine, arm))
        });
        machine.event();
        machine.event();
        for receiver in receivers {
            receiver.join().expect("it received");
        }
    });
}

/// One thread that reads until nothing is left and polls, and the kernel.
fn poll_and_drain(arm: Arm) {
    loom::model(move || {
        let machine = Machine::new();
        let mut reader = Reader { machine: Arc::clone(&machine), read: 0 };
        arm(&mut reader);
        let kernel = {
            let machine = Arc::clone(&machine);
            thread::spawn(move || {
                machine.event();
                machine.event();
            })
        };
        // One event for each time that the descriptor is readable.
        while reader.read < 2 {
            machine.poll();
            if reader.has_unread() {
                reader.read += 1;
            } else {
                arm(&mut reader);
            }
        }
        kernel.join().expect("it sent");
    });
}

#[test]
fn no_thread_misses_an_event_that_another_was_woken_for() {
    two_receives_of_two_events(arm);
}

#[test]
fn a_caller_that_polls_and_reads_one_event_at_a_time_gets_all() {
    poll_and_drain(arm);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_announcement_a_thread_sleeps_beside_an_event() {
    two_receives_of_two_events(arm_alone);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_announcement_a_caller_that_polls_misses_an_event() {
    poll_and_drain(arm_alone);
}
