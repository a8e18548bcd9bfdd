//! The cost of a listener that wants one tree of processes on a machine that forks continuously: the
//! kernel chooses the events of the tree, or the listener receives all of them.
//!
//! `cargo bench --bench choose [-- --quick | --emit]` in this directory; needs the connector and `CAP_BPF`. The
//! listeners take turns, round by round, and medians are printed. A second table has what an event costs
//! the process that causes it, if no listener wants it.

mod emit;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use proc_connector::parser::filter::TreeRoot;
use proc_connector::{EventMask, Filter, ProcConnector, Received, Transport};
use support::helper_process::{HelperProcess, wait_until_resumed};
use support::{Forkers, Table, fork_if_requested, median, spread, thread_time};

/// What a listener selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// There is no listener.
    Absent,
    Everything,
    Tree,
    User,
    Name,
    /// A kind that no process causes.
    Kind,
}

/// A listener and the size of its buffer.
#[derive(Clone, Copy, Debug)]
struct Listener {
    name: &'static str,
    choice: Choice,
    context: bool,
    buffer: usize,
}

const fn listener(name: &'static str, choice: Choice, context: bool, buffer: usize) -> Listener {
    Listener { name, choice, context, buffer }
}

/// The case without a listener comes first.
const LISTENERS: [Listener; 7] = [
    listener("no listener", Choice::Absent, false, 0),
    listener("everything, context", Choice::Everything, true, 32 << 20),
    listener("the tree, context", Choice::Tree, true, 8 << 20),
    listener("the tree, context, 1 MiB", Choice::Tree, true, 1 << 20),
    listener("another user", Choice::User, false, 8 << 20),
    listener("another name", Choice::Name, false, 8 << 20),
    listener("another kind", Choice::Kind, false, 8 << 20),
];

/// Processes that fork continuously beside the tree.
const FORKERS: usize = 8;

/// In the environment of the root of the tree: the number of its children.
const CHILDREN: &str = "PROC_CONNECTOR_BENCH_CHILDREN";

/// The time between two children.
const PAUSE: Duration = Duration::from_millis(4);

fn main() {
    if fork_if_requested() || is_root() {
        return;
    }
    if std::env::args().any(|argument| argument == "--emit") {
        return emit::print(15);
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, time) = if quick { (3, 1) } else { (9, 2) };
    let time = Duration::from_secs(time);
    let mut figures: Vec<Vec<Round>> = LISTENERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (listener, figures) in LISTENERS.iter().zip(&mut figures) {
            figures.push(round(*listener, time));
        }
    }
    print(&figures);
    emit::print(rounds);
}

/// Plays the root of the tree: starts short programs, one after the other.
fn is_root() -> bool {
    let Ok(children) = std::env::var(CHILDREN) else { return false };
    wait_until_resumed();
    for _ in 0..children.parse::<u32>().expect("a number") {
        // A fork, an exec and an exit.
        assert!(Command::new("/bin/true").env_clear().status().expect("a program").success());
        thread::sleep(PAUSE);
    }
    true
}

/// The results of a round.
#[derive(Debug)]
struct Round {
    /// Events per second of the forkers.
    rate: f64,
    /// CPU time of the forkers per event, in ns. Unlike the rate, it hardly depends on other processes.
    cost: f64,
    /// CPU time of the listener, of one core.
    cpu: f64,
    received: u64,
    /// The number of events that were lost or that no listener wanted.
    foreign: i64,
    lost: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn round(listener: Listener, time: Duration) -> Round {
    let children = u32::try_from(time.as_millis() / 10).expect("a short time");
    let mut root = HelperProcess::start(CHILDREN, &children.to_string());
    let forkers = Forkers::for_time(FORKERS, time);
    let (done, mut result) = (AtomicBool::new(false), (Duration::ZERO, 0, 0));
    let mut connector = listener.open(root.id());
    let before = children_time();
    let forks = thread::scope(|scope| {
        let listening =
            connector.as_mut().map(|connector| scope.spawn(|| listen(connector, &done)));
        root.resume();
        let forks = forkers.run();
        root.wait();
        // The last exit can be sent after the process was reaped.
        thread::sleep(Duration::from_millis(50));
        done.store(true, Relaxed);
        if let Some(listening) = listening {
            result = listening.join().expect("a listener");
        }
        forks
    });
    let (cpu, received, lost) = result;
    // A fork, an exec and an exit of each child, and the exit of the root.
    let expected = if listener.choice == Choice::Tree { i64::from(3 * children + 1) } else { 0 };
    let cost = children_time().saturating_sub(before).as_secs_f64() * 1e9 / (forks as f64 * 2.0);
    Round {
        cost,
        rate: forks as f64 * 2.0 / time.as_secs_f64(),
        cpu: cpu.as_secs_f64() / time.as_secs_f64(),
        received,
        foreign: i64::try_from(received).expect("few") - expected,
        lost,
    }
}

/// The CPU time of the children of this process that have ended.
fn children_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("this process");
    let microseconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .iter()
        .sum::<i64>();
    Duration::from_micros(microseconds.unsigned_abs())
}

impl Listener {
    fn open(self, root: u32) -> Option<ProcConnector> {
        let filter = Filter::default();
        let nobody = 65_534;
        let name = proc_connector::parser::filter::NamePattern::exact(b"nobody");
        let filter = match self.choice {
            Choice::Absent => return None,
            Choice::Everything => Ok(filter),
            Choice::Tree => filter.descendants_of(&[TreeRoot::new(root)]),
            Choice::User => filter.of_users(&[nobody]),
            Choice::Name => filter.named(&[name]),
            Choice::Kind => Ok(Filter::new(EventMask::SID)),
        };
        let builder = ProcConnector::builder().transport(Transport::Ring).context(self.context);
        let builder = builder.receive_buffer(self.buffer).filter(filter.expect("one alternative"));
        Some(builder.open().expect("a live connector"))
    }
}

/// Listens until the request to stop. Returns the CPU time, and the numbers of received and lost events.
fn listen(connector: &mut ProcConnector, done: &AtomicBool) -> (Duration, u64, u64) {
    let (start, mut events, mut lost) = (thread_time(), 0, 0);
    while !done.load(Relaxed) {
        let batch = connector.recv_batch_timeout(Duration::from_millis(50)).expect("a batch");
        for received in batch {
            match received {
                Received::Event(event) => {
                    std::hint::black_box(event.timestamp_ns());
                    events += 1;
                }
                Received::Lost(missing) => lost += missing.count.unwrap_or(1),
            }
        }
    }
    (thread_time().saturating_sub(start), events, lost)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn print(figures: &[Vec<Round>]) {
    let column = |index: usize, of: fn(&Round) -> f64| -> Vec<f64> {
        figures[index].iter().map(of).collect()
    };
    let cost = |index| median(&column(index, |round| round.cost));
    let mut table = Table::new([
        &format!("beside {FORKERS} forkers"),
        "events/s",
        "least to most",
        "of unwatched",
        "makers' CPU ns/event",
        "of unwatched",
        "CPU of a core",
        "received",
        "foreign",
        "lost",
    ]);
    let unwatched = median(&column(0, |round| round.rate));
    for (index, listener) in LISTENERS.iter().enumerate() {
        let rates = column(index, |round| round.rate);
        let ratios: Vec<f64> = figures[index]
            .iter()
            .zip(&figures[0])
            .map(|(round, unwatched)| round.rate / unwatched.rate)
            .collect();
        let foreign = match listener.choice {
            Choice::Absent | Choice::Everything => String::new(),
            _ => spread(&column(index, |round| round.foreign as f64)),
        };
        table.row([
            listener.name.to_owned(),
            format!("{:.0}", median(&rates)),
            spread(&rates),
            format!("{:.3} / {:.3}", median(&rates) / unwatched, median(&ratios)),
            format!("{:.0}", cost(index)),
            format!("{:.3}", cost(index) / cost(0)),
            format!("{:.2} %", median(&column(index, |round| round.cpu)) * 100.0),
            format!("{:.0}", median(&column(index, |round| round.received as f64))),
            foreign,
            spread(&column(index, |round| round.lost as f64)),
        ]);
    }
    table.print();
}
