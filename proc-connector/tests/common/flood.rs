//! A flood of events of processes that a test does not observe.

use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use proc_connector::testing::behaviour::{fork, wait4};

use super::helper_process::{HelperProcess, print_number};
use super::load;

/// A process that creates threads and processes until this value is dropped.
#[derive(Debug)]
pub(crate) struct Flood {
    _process: HelperProcess,
}

impl Flood {
    /// Starts the role [`floods`].
    pub(crate) fn start() -> Self {
        Self::start_role("floods")
    }

    /// Starts the role [`floods_with_pauses`].
    pub(crate) fn start_with_pauses() -> Self {
        Self::start_role("floods_with_pauses")
    }

    fn start_role(role: &str) -> Self {
        let mut process = HelperProcess::start(role);
        process.read_number();
        Self { _process: process }
    }
}

/// A role: creates threads and processes until it is killed.
pub(crate) fn floods() {
    flood(Duration::ZERO)
}

/// The same with pauses, for a test that must receive all events.
pub(crate) fn floods_with_pauses() {
    flood(Duration::from_micros(500))
}

fn flood(pause: Duration) -> ! {
    // A test that is killed drops nothing.
    set_pdeathsig(Signal::SIGKILL).expect("a signal");
    print_number(1);
    loop {
        load::threads(20);
        for _ in 0..10 {
            wait4(fork(|| ())).expect("a child");
        }
        std::thread::sleep(pause);
    }
}
