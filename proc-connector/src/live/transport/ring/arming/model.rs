//! Checks the arming protocol under every interleaving of two readers and the kernel, with loom.
//!
//! The readers run the real [`arm`] on a model: the ring is a pair of counters, and the socket is a
//! number of datagrams. A reader that misses its wake-up waits forever, which loom reports as a
//! deadlock.

use std::sync::Arc;

use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicUsize, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::{ArmingSteps, arm};

/// The state shared by the readers and the kernel.
struct Machine {
    armed: AtomicU32,
    /// How many events were written. Stands for the producers' position.
    written: AtomicUsize,
    descriptor: Mutex<Descriptor>,
    changed: Condvar,
}

/// The descriptor is readable if a datagram is queued or the notice is raised.
#[derive(Default)]
struct Descriptor {
    datagrams: usize,
    notice: bool,
}

/// The reader, which is behind a lock as in the connector.
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

    /// The program's half: submits a record, and wakes the reader if the ring is armed.
    fn event(&self) {
        self.written.fetch_add(1, AcqRel);
        fence(SeqCst);
        if self.armed.load(Relaxed) != 0 {
            self.armed.store(0, Relaxed);
            self.descriptor.lock().expect("no panic").datagrams += 1;
            self.changed.notify_all();
        }
    }

    /// Like `poll(2)`: returns when the descriptor is readable.
    fn poll(&self) {
        let mut descriptor = self.descriptor.lock().expect("no panic");
        while descriptor.datagrams == 0 && !descriptor.notice {
            descriptor = self.changed.wait(descriptor).expect("no panic");
        }
    }
}

impl ArmingSteps for Reader {
    fn drain_socket(&mut self) {
        self.machine.descriptor.lock().expect("no panic").datagrams = 0;
    }

    fn set_armed(&mut self, armed: bool) {
        self.machine.armed.store(armed.into(), Relaxed);
    }

    fn full_barrier(&self) {
        fence(SeqCst);
    }

    fn has_unread(&self) -> bool {
        self.machine.written.load(Acquire) != self.read
    }

    fn set_notice(&mut self, unread: bool) {
        self.machine.descriptor.lock().expect("no panic").notice = unread;
        self.machine.changed.notify_all();
    }
}

type Arm = fn(&mut Reader) -> bool;

/// A faulty protocol, which raises no notice for a record found after arming. It suffices for a
/// single reader.
fn arm_without_notice(reader: &mut Reader) -> bool {
    reader.drain_socket();
    reader.set_armed(true);
    reader.full_barrier();
    let unread = reader.has_unread();
    if unread {
        reader.set_armed(false);
    }
    !unread
}

/// Waits for one event and takes it.
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

/// Two threads receive one event each while the kernel sends two.
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

/// One thread polls, and takes one event each time, while the kernel sends two.
fn poll_and_take_one(arm: Arm) {
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
fn no_thread_misses_an_event_whose_wake_up_another_thread_consumed() {
    two_receives_of_two_events(arm);
}

#[test]
fn a_caller_that_polls_and_reads_one_event_at_a_time_gets_all_events() {
    poll_and_take_one(arm);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_notice_a_thread_sleeps_although_an_event_is_unread() {
    two_receives_of_two_events(arm_without_notice);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_notice_a_caller_that_polls_misses_an_event() {
    poll_and_take_one(arm_without_notice);
}
