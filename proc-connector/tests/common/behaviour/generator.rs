//! The process that creates all others: it has one thread, and inherits nothing from the listener.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::possible;
use super::stage::Stage;
use super::sys;
use super::truth::Truth;
use crate::common::helper_process::command;

/// A running generator.
#[derive(Debug)]
pub(crate) struct Generator {
    child: Child,
}

impl Generator {
    /// Starts a process with the role [`generate`], which creates `count` times the processes of a
    /// behaviour. Generators of different `seed` begin with different behaviours.
    pub(crate) fn start(programs: &Path, count: u32, seed: u32) -> Self {
        let mut command = command("generate");
        command.arg(programs).args([count.to_string(), seed.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self { child: child.expect("this binary can be started") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads all records, and waits for the end of the generator and of all of its processes.
    pub(crate) fn truths(mut self) -> Vec<Truth> {
        let lines = BufReader::new(self.child.stdout.take().expect("a pipe")).lines();
        let truths = lines
            .map(|line| {
                let line = line.expect("text");
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        assert!(self.child.wait().expect("a child").success(), "the generator failed");
        truths
    }
}

/// The role of the generator.
pub(crate) fn generate() {
    let words: Vec<String> = std::env::args().collect();
    let [_, programs, count, seed] = &words[..] else { panic!("{words:?}") };
    let (count, seed): (u32, u32) = (count.parse().expect("a number"), seed.parse().expect("one"));
    let behaviours = possible();
    let only = std::env::var("PROC_CONNECTOR_BEHAVIOUR").ok();
    let behaviours: Vec<_> = behaviours
        .into_iter()
        .filter(|behaviour| only.as_ref().is_none_or(|only| behaviour.name.contains(only)))
        .collect();
    // A job of a shell without job control ignores these, and its children with it.
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        sys::default_action(signal);
    }
    let mut stage = Stage::new(Path::new(programs));
    for number in 0..count {
        let place = (number + seed.wrapping_mul(7919)) as usize % behaviours.len();
        stage.behaviour = behaviours[place].name;
        stage.number = number.wrapping_add(seed.wrapping_mul(101));
        (behaviours[place].run)(&stage);
    }
}
