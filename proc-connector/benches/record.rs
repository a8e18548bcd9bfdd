//! Records with everything noted, and records bare datagrams (`record --raw`): what the first costs
//! relative to the second.
//!
//! `cargo bench --bench record --all-features` writes events to memory, then, as root, runs the program
//! under a load, and prints the CPU time that its threads used meanwhile. The start and the end of the
//! program are not included. `-- memory` leaves the load out. `-- bare` and `-- noted` write one form once,
//! so that `valgrind --tool=callgrind` can count the instructions.

#![allow(missing_docs, reason = "a bench has no API")]

#[path = "common/compiler.rs"]
mod compiler;

use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};
use proc_connector::Received;
use proc_connector::capture::{Origin, Reader, Writer};
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{Event, EventData, EventRecord, Notification, Notifications};

const START: u64 = 354_711_123_456_789;

/// The number of processes in memory. Each has three events: a fork, an exec and an exit.
const PROCESSES: u32 = 100_000;

/// The loads, in events a second.
const RATES: [u32; 3] = [1_200, 5_000, 15_000];

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);

/// The datagram of an event, and its context.
type Item = (Vec<u8>, Vec<u8>);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wants = |word: &str| arguments.iter().any(|argument| argument == word);
    let lives: Vec<_> = life().into();
    if wants("bare") {
        black_box(write_bare(&lives));
    } else if wants("noted") {
        black_box(write_noted(&lives));
    } else {
        in_memory(&lives);
        if !wants("memory") {
            for rate in RATES {
                under_load(rate);
            }
        }
    }
}

/// Compares the writers alone, by the CPU time of this thread.
fn in_memory(life: &[Item]) {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
        Duration::from(time)
    };
    let measure = |write: fn(&[Item]) -> u64| {
        let started = now();
        let bytes = black_box(write(life));
        (now().saturating_sub(started), bytes)
    };
    let (mut bare, mut noted) = (Vec::new(), Vec::new());
    for _ in 0..2 * ROUNDS {
        bare.push(measure(write_bare));
        noted.push(measure(write_noted));
    }
    let events = u64::from(PROCESSES) * life.len() as u64;
    for (name, runs) in [("bare", &mut bare), ("noted", &mut noted)] {
        runs.sort_unstable();
        let bytes = runs[0].1 / events;
        let [least, median] = [0, ROUNDS].map(|run| runs[run].0.as_nanos() / u128::from(events));
        println!("in memory, {name}: {median} ns/event (at least {least}), {bytes} bytes/event");
    }
}

/// The length of the written bytes.
struct Length(u64);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += black_box(bytes).len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes events as `record --raw` does.
fn write_bare(life: &[Item]) -> u64 {
    const BUFFER: usize = 64 << 10;
    let mut written = 0;
    let mut messages = Vec::with_capacity(BUFFER);
    for _ in 0..PROCESSES {
        for (datagram, _) in life {
            let event = event(black_box(datagram));
            let start = messages.len();
            messages.resize(start + event.encoded_len(), 0);
            event.encode(&mut messages[start..]).expect("capacity");
            if messages.len() >= BUFFER {
                written += black_box(&messages).len() as u64;
                messages.clear();
            }
        }
    }
    written + messages.len() as u64
}

fn write_noted(life: &[Item]) -> u64 {
    let mut length = Length(0);
    let mut writer = Writer::with_origin(&mut length, &Origin::default()).expect("memory");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for _ in 0..PROCESSES {
        for (datagram, context) in life {
            let event = event(black_box(datagram)).with_context(black_box(context));
            writer.write(&Received::Event(event), time).expect("memory");
        }
    }
    writer.finish().expect("memory");
    length.0
}

fn event(datagram: &[u8]) -> Event<'_> {
    match Notifications::new(datagram).next() {
        Some(Ok(Notification::Event(event))) => event,
        _ => panic!("an event"),
    }
}

/// The fork, the exec and the exit of a compiler, each with its context.
fn life() -> [Item; 3] {
    let (make, gcc) = ((120_000, START - 7_000_000_000), (123_456, START));
    let fork = EventData::Fork {
        parent_pid: make.0,
        parent_tgid: make.0,
        child_pid: gcc.0,
        child_tgid: gcc.0,
    };
    let of_fork = RawContext::of_process(make, (1, 10_000_000)).with_child_start(START);
    let exec = EventData::Exec { process_pid: gcc.0, process_tgid: gcc.0 };
    let args = b"gcc\0-O2\0-Wall\0-Iinclude\0-c\0src/main.c\0-o\0build/main.o\0";
    let exit = EventData::Exit {
        process_pid: gcc.0,
        process_tgid: gcc.0,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: make.0,
        parent_tgid: make.0,
    };
    let of_gcc = RawContext::of_process(gcc, make);
    [
        (fork, of_fork.with_extension(task(make.0, b"make"))),
        (exec, of_gcc.clone().with_extension(compiler::executed(task(gcc.0, b"gcc"), args))),
        (exit, of_gcc.with_end(Some(0)).with_extension(compiler::ended(task(gcc.0, b"gcc")))),
    ]
    .map(|(data, context)| {
        let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: START, data };
        let mut datagram = vec![0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("a known kind");
        datagram.truncate(len);
        (datagram, context.bytes())
    })
}

/// What the ring records of a task, as on a machine without logins and terminals.
fn task(tgid: u32, comm: &[u8]) -> RawExtension {
    let mut extension = compiler::task(tgid, comm);
    let task = &mut extension.task;
    task.boot_ns = (START + 5_000).into();
    task.tty = 0.into();
    (task.login_uid, task.audit_session) = (u32::MAX.into(), u32::MAX.into());
    extension
}

/// Runs both forms of the program in turn under the same load.
fn under_load(rate: u32) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("record.capture");
    let (mut bare, mut noted) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (runs, options) in [(&mut bare, &["--raw"][..]), (&mut noted, &[])] {
            let Some(cpu) = record(&file, options, rate) else {
                println!("{rate} events/s: the ring cannot be used");
                return;
            };
            runs.push(cpu);
        }
    }
    bare.sort_unstable();
    noted.sort_unstable();
    let quartiles = |runs: &[u64]| [1, 2, 3].map(|quarter| runs[ROUNDS * quarter / 4]);
    let ([bare_low, bare, bare_high], [low, noted, high]) = (quartiles(&bare), quartiles(&noted));
    let percent = noted * 100 / bare;
    println!(
        "{rate} events/s: bare {bare} ns/event ({bare_low} to {bare_high}), \
         noted {noted} ({low} to {high}), {percent} %"
    );
}

/// The CPU time for each event of a load, in nanoseconds. `None` without a ring.
fn record(file: &Path, options: &[&str], rate: u32) -> Option<u64> {
    const SETTLE: Duration = Duration::from_millis(300);
    let _ = std::fs::remove_file(file);
    let mut program = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    program.arg("record").args(options).args(["--transport", "ring"]).arg(file);
    let mut child = program.stderr(Stdio::null()).spawn().expect("the program");
    while !file.exists() {
        if child.try_wait().expect("a child").is_some() {
            return None;
        }
        std::thread::sleep(SETTLE / 10);
    }
    std::thread::sleep(SETTLE);
    let (cpu_before, events_before) = (cpu_ns(&child), events(file));
    load(rate);
    std::thread::sleep(SETTLE);
    let (cpu, events) = (cpu_ns(&child) - cpu_before, events(file) - events_before);
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().expect("a process id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a child");
    assert!(child.wait().expect("a child").success());
    std::fs::remove_file(file).expect("it was written");
    Some(cpu / events)
}

/// The number of recorded events: those of the load, and of other programs.
fn events(file: &Path) -> u64 {
    let file = std::fs::File::open(file).expect("a recording");
    // A file without events has no format yet.
    let Ok(mut reader) = Reader::new(file) else { return 0 };
    let mut events = 0;
    while let Ok(Some(recorded)) = reader.next() {
        events += u64::from(matches!(recorded.received, Received::Event(_)));
    }
    events
}

/// The CPU time that all threads of a process have used.
fn cpu_ns(child: &Child) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("threads");
    let used = threads.map(|thread| {
        let path = thread.expect("a thread").path().join("schedstat");
        let text = std::fs::read_to_string(path).expect("a thread");
        text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("a number")
    });
    used.sum()
}

/// Causes events at this rate: every 20 ms two processes that execute a program, and threads that end at
/// once.
fn load(rate: u32) {
    const TICK: Duration = Duration::from_millis(20);
    let a_tick = rate / 50;
    let (execs, mut next) = (2, Instant::now());
    let end = next + ROUND;
    while next < end {
        let mut left = a_tick;
        for _ in 0..execs {
            assert!(Command::new("/bin/true").status().expect("a program").success());
            left = left.saturating_sub(3);
        }
        for _ in 0..left / 2 {
            std::thread::spawn(|| ()).join().expect("a thread");
        }
        next += TICK;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
