//! Signals that end the program: what it still prints after one, and its exit status.

mod captures;
mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use captures::DEMO;
use captures::demo::{packets, until_event};
use common::program::{REPLAY_JSON as JSON, Running, program, replay, text};
use common::scratch::{Scratch, ScratchFile};
use common::{named, transport_name};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

fn main() -> ExitCode {
    let everywhere = named![
        an_interrupt_ends_the_wait_for_a_writer_of_a_pipe,
        after_ctrl_c_the_rest_of_the_pipe_is_shown,
        sigterm_ends_a_replay_whose_writer_continues,
        a_block_cut_by_ctrl_c_is_not_reported_as_damage,
        a_block_cut_by_sigterm_is_not_reported_as_damage,
        sigterm_before_any_input_is_not_an_error,
        a_slow_reader_gets_everything_after_sigterm,
        an_interrupted_replay_of_a_file_is_killed_by_the_signal,
        a_second_signal_ends_immediately,
    ];
    let live = named![a_trace_blocked_on_its_output_can_be_interrupted,];
    common::main_with(&[], &everywhere, &live)
}

fn an_interrupt_ends_the_wait_for_a_writer_of_a_pipe() {
    let scratch = Scratch::new("alone");
    let fifo = scratch.file("fifo");
    mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    for command in ["replay", "record"] {
        let running = Running::start(&mut program(&[command, &fifo]));
        std::thread::sleep(Duration::from_millis(300));
        running.send(Signal::SIGINT);
        assert_eq!(running.end().1.status.signal(), Some(Signal::SIGINT as i32), "{command}");
    }
}

fn after_ctrl_c_the_rest_of_the_pipe_is_shown() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (mut replay, mut stdin) = replay(&JSON);
        stdin.write_all(&DEMO[..until_event(1)]).expect("it reads");
        replay.line();
        replay.send(signal);
        // A recorder that received the same signal still writes its last events.
        std::thread::sleep(Duration::from_millis(100));
        stdin.write_all(&DEMO[until_event(1)..]).expect("it reads");
        drop(stdin);
        let (rest, output) = replay.end();
        assert_eq!(rest.len() + 1, packets().count(), "{signal}");
        assert_eq!(output.status.code(), Some(0), "{signal}");
        assert!(text(&output.stderr).contains("events/s"), "{}", text(&output.stderr));
    }
}

fn sigterm_ends_a_replay_whose_writer_continues() {
    for pause in [10, 0].map(Duration::from_millis) {
        let (mut replay, mut stdin) = replay(&JSON);
        let writer = std::thread::spawn(move || {
            // Until the pipe is full.
            let (start, packet) =
                DEMO[..until_event(1)].split_at(packets().next().expect("one").start);
            let mut written = stdin.write_all(start);
            while written.is_ok() {
                written = stdin.write_all(packet);
                std::thread::sleep(pause);
            }
        });
        replay.line();
        replay.send(Signal::SIGTERM);
        let (_, output) = replay.end();
        assert_eq!(output.status.code(), Some(0), "{pause:?}");
        writer.join().expect("a thread without a panic");
    }
}

fn a_block_cut_by_ctrl_c_is_not_reported_as_damage() {
    for (until, lines) in [(until_event(1) + 10, 1), (10, 0), (0, 0)] {
        let (mut replay, mut stdin) = replay(&JSON);
        replay.wait_until(|status| status.handles(Signal::SIGHUP));
        stdin.write_all(&DEMO[..until]).expect("it reads");
        if lines > 0 {
            replay.line();
        }
        replay.send(Signal::SIGINT);
        drop(stdin);
        let (_, output) = replay.end();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    // Without Ctrl-C, this is an error.
    let (mut replay, mut stdin) = replay(&JSON);
    stdin.write_all(&DEMO[..until_event(1) + 10]).expect("it reads");
    replay.line();
    drop(stdin);
    assert_eq!(replay.end().1.status.code(), Some(1));
}

fn a_block_cut_by_sigterm_is_not_reported_as_damage() {
    let (mut replay, mut stdin) = replay(&JSON);
    stdin.write_all(&DEMO[..until_event(1) + 10]).expect("it reads");
    replay.line();
    replay.send(Signal::SIGTERM);
    let (rest, output) = replay.end();
    assert_eq!((rest.len(), output.status.code()), (0, Some(0)));
    assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    drop(stdin);
}

fn sigterm_before_any_input_is_not_an_error() {
    let (replay, stdin) = replay(&JSON);
    replay.wait_until(|status| status.handles(Signal::SIGHUP));
    replay.send(Signal::SIGINT);
    let (rest, output) = replay.end();
    assert_eq!((rest.len(), output.status.code()), (0, Some(0)));
    drop(stdin);
}

fn a_slow_reader_gets_everything_after_sigterm() {
    let (mut replay, mut stdin) = replay(&["replay", "--json", "--who", "-"]);
    // More than the capacity of the pipes, so that the writer blocks too.
    let writer = std::thread::spawn(move || stdin.write_all(&DEMO.repeat(60)));
    replay.line();
    replay.send(Signal::SIGINT);
    // Longer than the program continues to read while the writer continues.
    std::thread::sleep(Duration::from_millis(4_500));
    let (rest, output) = replay.end();
    assert_eq!((rest.len() + 1, output.status.code()), (60 * packets().count(), Some(0)));
    assert!(rest.iter().map(String::len).sum::<usize>() > 1 << 16, "it had nothing to wait for");
    writer.join().expect("a thread without a panic").expect("it reads");
}

fn an_interrupted_replay_of_a_file_is_killed_by_the_signal() {
    let file = ScratchFile::containing("long.pcapng", &DEMO.repeat(200));
    let mut replay = Running::start(&mut program(&["replay", "--json", file.path()]));
    replay.line();
    replay.send(Signal::SIGINT);
    let (rest, output) = replay.end();
    assert_eq!(output.status.signal(), Some(Signal::SIGINT as i32));
    assert!(rest.len() < 200 * packets().count(), "it went on to its end");
    let last = rest.last().expect("a line");
    serde_json::from_str::<serde_json::Value>(last).expect("a whole line");
    assert!(text(&output.stderr).contains("events/s"), "{}", text(&output.stderr));
}

fn a_second_signal_ends_immediately() {
    let file = ScratchFile::containing("long.pcapng", &DEMO.repeat(200));
    let mut replay = Running::start(&mut program(&["replay", "--json", file.path()]));
    replay.line();
    wait_until_asleep(replay.child.id());
    // The program now waits for a reader.
    replay.send(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(replay.child.try_wait().expect("its state"), None);
    replay.send(Signal::SIGTERM);
    let status = replay.child.wait().expect("an exit status");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
}

/// Waits until a process has slept for a moment, without any wake-up.
fn wait_until_asleep(pid: u32) {
    let deadline = common::Deadline::new();
    let mut before = None;
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        let now = switches.filter(|_| status.contains("State:\tS")).map(str::to_owned);
        if now.is_some() && now == before {
            return;
        }
        assert!(deadline.left().is_some(), "it runs");
        before = now;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn a_trace_blocked_on_its_output_can_be_interrupted() {
    let scratch = Scratch::new("stuck");
    let fifo = scratch.file("x.jsonl");
    mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let script = "read go; for i in $(seq 500); do /bin/true; done";
    let arguments =
        ["trace", "-o", &fifo, "--transport", transport_name(), "--", "sh", "-c", script];
    let mut traced = program(&arguments).stdin(Stdio::piped()).spawn().expect("a running process");
    // The pipe is open, but not read.
    let reader = fs::File::open(&fifo).expect("it writes");
    traced.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
    let pid = Pid::from_raw(traced.id().try_into().expect("a pid"));
    let deadline = common::Deadline::new();
    let status = loop {
        std::thread::sleep(Duration::from_millis(1_500));
        if let Some(status) = traced.try_wait().expect("its state") {
            break status;
        }
        assert!(deadline.left().is_some());
        // While the command runs, the signal is passed to it; afterwards it ends the trace.
        nix::sys::signal::kill(pid, Signal::SIGTERM).expect("a running process");
    };
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    drop(reader);
}
