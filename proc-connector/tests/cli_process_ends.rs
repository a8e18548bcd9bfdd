//! The ends of processes in the output: when the last thread is gone, with the status of `waitpid`.

mod common;

use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use common::ending::{KeptThread, keeps_a_thread};
use common::helper_process::command;
use common::listening::listening;
use common::program::{json_lines, program, run, text};
use common::scratch::ScratchFile;
use common::wire::{EXIT, FORK};
use common::{named, transport, transport_name};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proc_connector::Transport;
use proc_connector::parser::testing::wire::{Head, Order};
use proc_connector::testing::behaviour::exit_thread;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let roles = named![
        first_thread_exits_with_0_and_another_fails,
        first_thread_fails_and_another_exits_with_0,
        fifty_threads_are_killed,
        burns_and_allocates,
        keeps_a_thread,
    ];
    let everywhere = named![
        a_recorded_process_ends_with_its_last_thread,
        a_recorded_status_that_is_not_certain_is_left_out,
        a_recorded_id_that_is_reused_ends_its_process,
    ];
    let live = named![
        a_first_thread_that_exits_is_not_the_end,
        json_and_lines_choose_the_same_failed_processes,
        threads_and_ends_are_distinguished_on_request,
        an_end_has_the_usage_that_the_kernel_recorded,
        an_end_is_shown_while_a_tracer_keeps_a_thread,
    ];
    common::main_with(&roles, &everywhere, &live)
}

/// Starts a thread that ends the process after the first thread has exited.
fn exit_after_first(first: i32, end: impl FnOnce() + Send + 'static) -> ! {
    thread::spawn(move || {
        while !has_ended_first_thread() {
            thread::sleep(Duration::from_millis(1));
        }
        // The end must be distinct from the exit in every clock.
        thread::sleep(Duration::from_millis(20));
        end();
    });
    exit_thread(first)
}

fn has_ended_first_thread() -> bool {
    let pid = std::process::id();
    let stat = std::fs::read_to_string(format!("/proc/self/task/{pid}/stat"));
    let stat = stat.expect("/proc is mounted");
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

fn first_thread_exits_with_0_and_another_fails() {
    exit_after_first(0, || std::process::exit(3))
}

fn first_thread_fails_and_another_exits_with_0() {
    exit_after_first(5, || exit_thread(0))
}

fn fifty_threads_are_killed() {
    for _ in 0..49 {
        thread::spawn(|| thread::sleep(Duration::from_secs(60)));
    }
    kill(Pid::this(), Signal::SIGKILL).expect("this process");
}

/// The memory that a process of this role uses, in bytes.
const MEMORY: usize = 64 << 20;

fn burns_and_allocates() {
    let mut memory = vec![0_u8; MEMORY];
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(30) {
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = byte.wrapping_add(1));
    }
    std::hint::black_box(memory);
}

/// A recording of events, one each millisecond.
fn recording(events: &[(u32, &[u32])]) -> ScratchFile {
    let datagrams = (1..).zip(events).flat_map(|(ms, (what, words))| {
        let head = Head { timestamp_ns: 1_000_000 * ms, ..Head::default() };
        Order::Native.datagram(head, *what, &Order::Native.union(words))
    });
    ScratchFile::containing("recorded", &datagrams.collect::<Vec<u8>>())
}

/// The kind, the id and the detail of each line. Unlike the name of a user, a detail has a space.
fn lines(output: &[u8]) -> Vec<(String, u32, String)> {
    let line = |line: &str| {
        let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        let mut next = || columns.next().unwrap_or_default().to_owned();
        let (_, kind, id) = (next(), next(), next());
        let detail = columns.find(|column| column.contains(' ')).unwrap_or_default();
        (kind, id.parse().expect("an id"), detail.to_owned())
    };
    text(output).lines().map(line).collect()
}

/// Process 10 starts the thread 11, which exits after the first thread.
fn recording_of_exits(first: u32, last: u32) -> ScratchFile {
    recording(&[
        (FORK, &[1, 1, 10, 10]),
        (FORK, &[1, 1, 11, 10]),
        (EXIT, &[10, 10, first, 17, 1, 1]),
        (EXIT, &[11, 10, last, u32::MAX, 1, 1]),
    ])
}

fn replay(file: &ScratchFile, options: &[&str]) -> Vec<u8> {
    let output = run(&[&["replay", file.path()], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output.stdout
}

/// The exits in a replay without JSON.
fn replayed_exits(file: &ScratchFile, options: &[&str]) -> Vec<(String, u32, String)> {
    let lines = lines(&replay(file, options)).into_iter();
    lines.filter(|(kind, ..)| kind == "exit").collect()
}

fn exit(id: u32, detail: &str) -> (String, u32, String) {
    ("exit".to_owned(), id, detail.to_owned())
}

fn a_recorded_process_ends_with_its_last_thread() {
    let file = recording_of_exits(0x300, 0x300);
    let end = exit(10, "exit 3 after 3.0 ms");
    for options in [&[][..], &["--failed"], &["--failed", "--events", "exit"], &["--processes"]] {
        assert_eq!(replayed_exits(&file, options), std::slice::from_ref(&end), "{options:?}");
    }
    let threads = [exit(10, "exit 3 (first thread)"), exit(11, "exit 3 (thread of 10)")];
    let all = [threads[0].clone(), threads[1].clone(), end.clone()];
    assert_eq!(replayed_exits(&file, &["--threads"]), all);
    assert_eq!(replayed_exits(&file, &["--threads", "--failed"]), all[1..]);
    let process_end =
        json!({"code": 3, "signal": null, "core_dumped": false, "lifetime_ns": 3_000_000});
    for options in [&["--json", "--failed"][..], &["--json", "--processes", "--who"]] {
        let objects = json_lines(&replay(&file, &[options, &["--events", "exit"]].concat()));
        assert_eq!(objects.len(), 1, "{options:?}: {objects:#?}");
        assert_eq!((&objects[0]["pid"], &objects[0]["tgid"]), (&json!(11), &json!(10)));
        assert_eq!(objects[0]["process_end"], process_end);
        assert_eq!(objects[0]["over"], true);
    }
    let objects = json_lines(&replay(&file, &["--json", "--who", "--events", "exit"]));
    assert_eq!((&objects[0]["over"], &objects[1]["over"]), (&json!(false), &json!(true)));
    assert!(objects[0].get("process_end").is_none(), "{objects:#?}");
    // The first thread returns, and another thread ends the process with a failure.
    let file = recording_of_exits(0, 0x300);
    assert_eq!(replayed_exits(&file, &["--failed"]), std::slice::from_ref(&end));
    assert_eq!(replayed_exits(&file, &[]), [end]);
}

fn a_recorded_status_that_is_not_certain_is_left_out() {
    // Which of the two is the status of the process depends on the kernel's version.
    for (first, last) in [(0x500, 0), (0x500, 0x700)] {
        let file = recording_of_exits(first, last);
        assert_eq!(replayed_exits(&file, &[]), [exit(10, "ended after 3.0 ms")]);
        assert_eq!(replayed_exits(&file, &["--failed"]), []);
        assert!(json_lines(&replay(&file, &["--json", "--failed", "--events", "exit"])).is_empty());
        let objects = json_lines(&replay(&file, &["--json", "--who", "--events", "exit"]));
        let expected = json!({
            "code": null, "signal": null, "core_dumped": null, "lifetime_ns": 3_000_000,
        });
        assert_eq!(objects[1]["process_end"], expected, "{objects:#?}");
    }
}

fn a_recorded_id_that_is_reused_ends_its_process() {
    let file = recording(&[
        (FORK, &[1, 1, 10, 10]),
        (FORK, &[1, 1, 10, 10]),
        (EXIT, &[10, 10, 0x300, 17, 1, 1]),
    ]);
    let output = run(&["replay", file.path()]);
    let lines = lines(&output.stdout);
    let details: Vec<&str> = lines.iter().map(|(_, _, detail)| detail.as_str()).collect();
    // Its status is not known when its id is found to be reused, and the exit may be of either.
    assert_eq!(details[..3], ["by 1", "ended after 1.0 ms", "by 1"], "{lines:#?}");
}

/// A tracer keeps a thread of an ended process as a zombie, and `watch` ends before the tracer does.
fn an_end_is_shown_while_a_tracer_keeps_a_thread() {
    for options in [&[][..], &["--json", "--who"], &["--json"]] {
        let is_known = transport() == Transport::Ring || options != ["--json"];
        // Without the forks of threads, the socket cannot know the last exit.
        let common = ["watch", "--transport", transport_name(), "--events", "fork,exit"];
        let watch = listening(program(&[&common, options].concat()));
        let (mut helper, kept) = KeptThread::start();
        let pid = helper.pid();
        helper.resume();
        kept.until_ended();
        let output = interrupt(watch);
        if options.is_empty() {
            let lines = lines(&output);
            let [end] = exits_of(&lines, pid)[..] else { panic!("{lines:#?}") };
            assert!(end.starts_with("exit 0 after "), "{end}");
        } else {
            let objects = json_lines(&output);
            let ends = objects.iter().filter(|line| line["tgid"] == pid && line["over"] == true);
            let codes: Vec<Option<u64>> =
                ends.map(|line| line["process_end"]["code"].as_u64()).collect();
            assert_eq!(codes, if is_known { vec![Some(0)] } else { vec![] }, "{objects:#?}");
        }
    }
}

/// Runs a `watch` with these options while a process plays each of the roles. Returns the output, and
/// the ids of the processes.
fn watch_roles(options: &[&str], roles: &[&str]) -> (Vec<u8>, Vec<u32>) {
    let common = ["watch", "--transport", transport_name(), "--duration", "60s"];
    let watch = listening(program(&[&common, options].concat()));
    let pids = roles.iter().map(|role| {
        let mut child = command(role).stdout(Stdio::null()).spawn().expect("a child");
        child.wait().expect("an exit status");
        child.id()
    });
    let pids = pids.collect();
    (interrupt(watch), pids)
}

/// Ends a `watch` after the exits of all processes that have ended. Returns its output.
fn interrupt(watch: Child) -> Vec<u8> {
    // The kernel wakes the parent before it sends the exit.
    thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(watch.id().try_into().expect("a pid")), Signal::SIGINT).expect("a child");
    let output = watch.wait_with_output().expect("an exit status");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(", 0 lost, "), "{}", text(&output.stderr));
    output.stdout
}

const ROLES: [&str; 3] = [
    "first_thread_exits_with_0_and_another_fails",
    "first_thread_fails_and_another_exits_with_0",
    "fifty_threads_are_killed",
];

/// The details of the exits of a process.
fn exits_of(lines: &[(String, u32, String)], pid: u32) -> Vec<&str> {
    let exits = lines.iter().filter(|(kind, id, _)| kind == "exit" && *id == pid);
    exits.map(|(_, _, detail)| detail.as_str()).collect()
}

/// Whether the end of a process is as expected. Over the socket the status may be unknown.
fn is_right(end: &str, expected: &str) -> bool {
    let is_unknown = transport() == Transport::Socket && end.starts_with("ended after ");
    end.starts_with(expected) || is_unknown
}

/// Whether the processes of [`ROLES`] were chosen as failed as often as expected. Over the socket a
/// failure may be unknown.
fn are_right(chosen: &[usize]) -> bool {
    chosen == [1, 0, 1] || (transport() == Transport::Socket && chosen == [0, 0, 1])
}

fn a_first_thread_that_exits_is_not_the_end() {
    let (output, pids) = watch_roles(&["--events", "exit"], &ROLES);
    let lines = lines(&output);
    let ends = ["exit 3 after ", "exit 0 after ", "killed by SIGKILL after "];
    for (pid, expected) in pids.into_iter().zip(ends) {
        let [end] = exits_of(&lines, pid)[..] else { panic!("{pid}: {lines:#?}") };
        assert!(is_right(end, expected), "{end}");
    }
}

fn json_and_lines_choose_the_same_failed_processes() {
    let (output, pids) = watch_roles(&["--failed", "--events", "exit"], &ROLES);
    let lines = lines(&output);
    let shown: Vec<usize> = pids.iter().map(|&pid| exits_of(&lines, pid).len()).collect();
    assert!(are_right(&shown), "{lines:#?}");
    for who in [&[][..], &["--who"]] {
        let options = [&["--json", "--failed", "--events", "exit"], who].concat();
        let (output, pids) = watch_roles(&options, &ROLES);
        let objects = json_lines(&output);
        let of = |pid: u32| objects.iter().filter(move |line| line["tgid"] == pid);
        let ends: Vec<Vec<&Value>> =
            pids.iter().map(|&pid| of(pid).map(|line| &line["process_end"]).collect()).collect();
        let counts: Vec<usize> = ends.iter().map(Vec::len).collect();
        assert!(are_right(&counts), "{objects:#?}");
        assert_eq!(counts, shown, "both formats choose the same");
        if let [end] = ends[0][..] {
            assert_eq!((&end["code"], &end["signal"]), (&json!(3), &json!(null)));
        }
        assert_eq!((&ends[2][0]["code"], &ends[2][0]["signal"]), (&json!(null), &json!(9)));
    }
}

fn threads_and_ends_are_distinguished_on_request() {
    let (output, pids) = watch_roles(&["--threads", "--events", "exit"], &ROLES[..2]);
    let lines = lines(&output);
    for (pid, first, end) in [(pids[0], 0, "exit 3 after "), (pids[1], 5, "exit 0 after ")] {
        let exits = exits_of(&lines, pid);
        assert_eq!(exits[0], format!("exit {first} (first thread)"), "{lines:#?}");
        assert!(exits.len() == 2 && is_right(exits[1], end), "{lines:#?}");
        let of_thread = format!(" (thread of {pid})");
        assert!(lines.iter().any(|(.., detail)| detail.ends_with(&of_thread)), "{lines:#?}");
    }
}

fn an_end_has_the_usage_that_the_kernel_recorded() {
    for options in [&["--json", "--events", "exit"][..], &["--json", "--who", "--events", "exit"]] {
        let (output, pids) = watch_roles(options, &["burns_and_allocates"]);
        let objects = json_lines(&output);
        let of_process = |line: &&Value| line["tgid"] == pids[0] && line["over"] == true;
        let ends: Vec<&Value> = objects.iter().filter(of_process).collect();
        if transport() == Transport::Socket {
            assert!(ends.iter().all(|line| line["process_end"].get("usage").is_none()));
            continue;
        }
        let [end] = ends[..] else { panic!("{objects:#?}") };
        let has_table = options.contains(&"--who");
        assert_eq!(end["process_end"]["lifetime_ns"].is_u64(), has_table, "{end}");
        if !has_table {
            // The usage is recorded with the context, which `--json` alone does not request.
            continue;
        }
        let usage = &end["process_end"]["usage"];
        let number = |key: &str| usage[key].as_u64().unwrap_or_else(|| panic!("{key}: {end}"));
        assert!(number("max_rss") >= MEMORY as u64, "{end}");
        assert!(number("min_flt") >= (MEMORY / 4096) as u64, "{end}");
        let cpu = number("cpu_ns");
        assert!((10_000_000..10_000_000_000).contains(&cpu), "{end}");
        assert_eq!(number("user_ns") + number("system_ns"), cpu, "{end}");
    }
}
