//! `replay`, `record` and `trace` in pipelines: when output is written, and the effect of a closed
//! output.

mod captures;
mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use captures::DEMO;
use captures::demo::until_event;
use common::helper_process::run_to_end;
use common::program::{RECORDING, REPLAY_JSON as JSON, Running, program, read_all, replay, text};
use common::scratch::Scratch;
use common::{named, transport_name};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo, pipe2};

fn main() -> ExitCode {
    let everywhere = named![
        an_event_is_shown_before_the_next_arrives,
        every_kind_of_pipe_is_shown_immediately,
        an_event_is_written_to_a_file_before_the_next_arrives,
        closing_the_output_ends_a_waiting_replay_quietly,
        closing_the_output_ends_a_chart_quietly,
    ];
    let live = named![
        a_closed_pipe_ends_every_command_quietly,
        events_pass_a_running_pipeline,
        ctrl_c_for_a_pipeline_loses_nothing,
        closing_the_output_of_a_trace_keeps_the_status,
    ];
    common::main_with(&named![exit_3], &everywhere, &live)
}

fn exit_3() {
    std::process::exit(3)
}

fn an_event_is_shown_before_the_next_arrives() {
    for format in [&JSON[..], &["replay", "-"], &["replay", "--json", "--who", "-"]] {
        let (mut replay, mut stdin) = replay(format);
        let mut fed = 0;
        for count in 1..=5 {
            let until = until_event(count);
            stdin.write_all(&DEMO[fed..until]).expect("it reads");
            fed = until;
            // This blocks if the line is not written immediately.
            let line = replay.line();
            assert!(
                line.contains("exec") || line.contains("fork") || line.contains("exit"),
                "{line}"
            );
        }
        drop(stdin);
        let (rest, output) = replay.end();
        assert_eq!((rest.len(), output.status.code()), (0, Some(0)));
    }
}

fn every_kind_of_pipe_is_shown_immediately() {
    let scratch = Scratch::new("fifo");
    let fifo = scratch.file("fifo");
    mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let mut replay = Running::start(&mut program(&["replay", "--json", &fifo]));
    let mut writer = fs::OpenOptions::new().write(true).open(&fifo).expect("it reads");
    writer.write_all(&DEMO[..until_event(1)]).expect("it reads");
    replay.line();
    drop(writer);
    assert_eq!(replay.end().1.status.code(), Some(0));
}

fn an_event_is_written_to_a_file_before_the_next_arrives() {
    let scratch = Scratch::new("lines");
    let file = scratch.file("x.jsonl");
    let (replay, mut stdin) = replay(&["replay", "-o", &file, "-"]);
    stdin.write_all(&DEMO[..until_event(3)]).expect("it reads");
    let deadline = common::Deadline::new();
    while fs::read_to_string(&file).map_or(0, |lines| lines.lines().count()) < 3 {
        assert!(deadline.left().is_some());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(stdin);
    assert_eq!(replay.end().1.status.code(), Some(0));
}

fn closing_the_output_ends_a_waiting_replay_quietly() {
    let (mut replay, mut stdin) = replay(&JSON);
    stdin.write_all(&DEMO[..until_event(1)]).expect("it reads");
    let _ = replay.line();
    // The output is closed from here on.
    let Running { mut child, lines } = replay;
    drop(lines);
    stdin.write_all(&DEMO[until_event(1)..until_event(2)]).expect("it reads");
    let status = child.wait().expect("an exit status");
    assert_eq!(status.code(), Some(0));
    assert_eq!(read_all(child.stderr.as_mut().expect("a pipe")), "");
}

fn closing_the_output_ends_a_chart_quietly() {
    let scratch = Scratch::new("drawings");
    for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
        let fifo = scratch.file(name);
        mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        let (replay, mut stdin) = replay(&["replay", "-o", &fifo, "-"]);
        stdin.write_all(&DEMO[..until_event(1)]).expect("it reads");
        drop(fs::File::open(&fifo).expect("it writes"));
        // The program may close its input early.
        let _ = stdin.write_all(&DEMO[until_event(1)..]);
        drop(stdin);
        let (_, output) = replay.end();
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("pipe"), "{name}: {}", text(&output.stderr));
    }
}

fn a_closed_pipe_ends_every_command_quietly() {
    let commands: [&[&str]; 9] = [
        &["watch"],
        &["watch", "--json", "--who"],
        &["record", "-"],
        &["stats", "--json", "--interval", "10ms"],
        &["stats", "--interval", "10ms"],
        &["doctor"],
        &["doctor", "--json"],
        &["replay", RECORDING],
        &["watch", "--help"],
    ];
    for arguments in commands {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let listens = matches!(arguments[0], "watch" | "record" | "stats") && arguments.len() != 2;
        let options: &[&str] =
            if listens { &["--transport", transport_name(), "--duration", "60s"] } else { &[] };
        let mut command = program(&[arguments, options].concat());
        drop(reader);
        let mut child = command.stdout(writer).spawn().expect("a running process");
        drop(command);
        let deadline = common::Deadline::new();
        let status = loop {
            if let Some(status) = child.try_wait().expect("its state") {
                break status;
            }
            assert!(deadline.left().is_some(), "{arguments:?}");
            // The program notices the closed pipe when it writes.
            run_to_end("exit_3");
        };
        let errors = read_all(child.stderr.as_mut().expect("a pipe"));
        assert_eq!((status.code(), &*errors), (Some(0), ""), "{arguments:?}");
    }
}

/// `record -` piped into `replay -`, in one process group.
fn pipeline(choice: &[&str]) -> (Running, Child) {
    let options = ["record", "-", "--transport", transport_name(), "--duration", "60s"];
    let mut recorder = program(&[&options, choice].concat());
    let mut recorder = recorder.process_group(0).spawn().expect("the program runs");
    let pipe = recorder.stdout.take().expect("a pipe");
    let group = recorder.id().try_into().expect("a pid");
    let mut replay = program(&JSON);
    replay.stdin(Stdio::from(pipe)).process_group(group);
    (Running::start(&mut replay), recorder)
}

fn exit_of(line: &str, pid: u32) -> bool {
    line.contains(r#""event":"exit""#) && line.contains(&format!(r#""tgid":{pid},"#))
}

/// Starts children that exit with 3 until one of their exits is shown.
fn wait_for_an_exit(replay: &mut Running) {
    let is_shown = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_shown.load(Relaxed) {
                run_to_end("exit_3");
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        while !replay.line().contains(r#""code":3,"#) {}
        is_shown.store(true, Relaxed);
    });
}

fn events_pass_a_running_pipeline() {
    let (mut replay, mut recorder) = pipeline(&["--failed", "--processes"]);
    wait_for_an_exit(&mut replay);
    assert_eq!(recorder.try_wait().expect("its state"), None, "it still records");
    interrupt(&recorder);
    recorder.wait().expect("an exit status");
    assert_eq!(replay.end().1.status.code(), Some(0));
}

fn ctrl_c_for_a_pipeline_loses_nothing() {
    let (mut replay, mut recorder) = pipeline(&["--events", "exit", "--processes"]);
    wait_for_an_exit(&mut replay);
    let ended: Vec<u32> = (0..20).map(|_| run_to_end("exit_3")).collect();
    interrupt(&recorder);
    let (rest, output) = replay.end();
    assert_eq!(recorder.wait().expect("an exit status").code(), Some(0));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for pid in ended {
        let exits = rest.iter().filter(|line| exit_of(line, pid)).count();
        assert_eq!(exits, 1, "{pid} in {rest:#?}");
    }
}

/// Sends SIGINT to the whole group, as Ctrl-C does.
fn interrupt(leader: &Child) {
    let group = Pid::from_raw(leader.id().try_into().expect("a pid"));
    killpg(group, Signal::SIGINT).expect("a group");
}

fn closing_the_output_of_a_trace_keeps_the_status() {
    let scratch = Scratch::new("left");
    let fifo = scratch.file("x.jsonl");
    mkfifo(&*fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let command = "read go; sh -c true; sh -c true; exit 7";
    let arguments =
        ["trace", "-o", &fifo, "--transport", transport_name(), "--", "sh", "-c", command];
    let mut traced = program(&arguments).stdin(Stdio::piped()).spawn().expect("a running process");
    drop(fs::File::open(&fifo).expect("it writes"));
    traced.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
    let status = traced.wait().expect("an exit status");
    assert_eq!(status.code(), Some(7), "{}", read_all(traced.stderr.as_mut().expect("a pipe")));
}
