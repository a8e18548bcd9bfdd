//! What listeners cost for each process life. A shell loop starts a short program 2,000 times, while
//! each listener runs alone: this crate's program, and those that Debian packages.
//!
//! `cargo bench --bench lives [-- --quick] [--only NAME]` in this directory; needs root. It builds
//! the program, or measures the file that `PROC_CONNECTOR_PROGRAM` names. Absent programs are left
//! out. execsnoop and exitsnoop need a mounted tracefs, and `/proc/PID/schedstat` is required.

mod listeners;
mod opens;
mod run;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use listeners::Listener;
use run::{Loop, Running, Scratch};
use support::{Table, median, spread};

/// The time between the start of a listener and that of the loop. exitsnoop needs a second to load
/// its programs.
const STARTUP: Duration = Duration::from_millis(1500);

/// The time for which a listener may still be busy after the loop.
const SETTLE: Duration = Duration::from_millis(300);

/// The results of a round.
struct Round {
    loop_time: Duration,
    /// CPU time of the listener per life, in microseconds. Lives of other processes count as well.
    cost: f64,
    /// The number of lives that the listener's output misses.
    missed: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = if arguments.iter().any(|argument| argument == "--quick") { 2 } else { 9 };
    let only = arguments.iter().skip_while(|argument| *argument != "--only").nth(1);
    let program = run::program();
    let scratch = Scratch::new();
    let mut listeners = listeners::all(&program);
    listeners.retain(|listener| {
        let chosen = only.is_none_or(|only| listener.name.contains(only.as_str()));
        chosen && run::is_installed(listener)
    });
    let mut unwatched = Vec::new();
    let mut figures: Vec<Vec<Round>> = listeners.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        unwatched.push(Loop::start(&scratch).run().as_secs_f64());
        for (listener, figures) in listeners.iter().zip(&mut figures) {
            figures.push(round(listener, &scratch));
        }
    }
    print(&listeners, &figures, &unwatched);
    opens::print(&program, &scratch);
}

fn round(listener: &Listener, scratch: &Scratch) -> Round {
    let shell_loop = Loop::start(scratch);
    let running = Running::start(listener, shell_loop.pid(), scratch);
    std::thread::sleep(STARTUP);
    let (before, forks_before) = (running.cpu_time(), run::forks());
    let loop_time = shell_loop.run();
    std::thread::sleep(SETTLE);
    let cpu = running.cpu_time().saturating_sub(before);
    let forks = run::forks() - forks_before;
    let seen = running.stop();
    Round {
        loop_time,
        cost: cpu.as_secs_f64() * 1e6 / forks,
        missed: u64::from(run::LIVES).saturating_sub(seen),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn print(listeners: &[Listener], figures: &[Vec<Round>], unwatched: &[f64]) {
    let title = format!("{} process lives", run::LIVES);
    let mut table =
        Table::new([&title, "CPU us/life", "least to most", "speed of unwatched", "missed"]);
    let time = median(unwatched) * 1e6 / f64::from(run::LIVES);
    println!("\nUnwatched, a life takes {time:.0} us.");
    for (listener, rounds) in listeners.iter().zip(figures) {
        let costs: Vec<f64> = rounds.iter().map(|round| round.cost).collect();
        let speeds: Vec<f64> = rounds
            .iter()
            .zip(unwatched)
            .map(|(round, unwatched)| unwatched / round.loop_time.as_secs_f64())
            .collect();
        let missed: Vec<f64> = rounds.iter().map(|round| round.missed as f64).collect();
        table.row([
            listener.name.to_owned(),
            format!("{:.1}", median(&costs)),
            spread(&costs),
            format!("{:.2}", median(&speeds)),
            format!("{:.1} %", median(&missed) / f64::from(run::LIVES) * 100.0),
        ]);
    }
    table.print();
}
