//! The program as users run it: its output, its exit status, and signals.

mod common;

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use common::helper_process::run_to_end;
use common::program::{Running, program, run, start_watch, text};
use common::scratch::ScratchFile;
use common::{load, named, transport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proc_connector::Transport;
use rustix::io::ioctl_fionread;
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![
        bad_usage_exits_with_2_and_suggests_valid_values,
        doctor_reports_each_check_in_both_formats,
    ];
    let live = named![
        json_has_the_documented_keys,
        the_process_is_described_on_request,
        a_failed_exit_is_described_in_words,
        only_the_selected_events_are_shown,
        ctrl_c_ends_with_a_summary,
        events_before_the_interrupt_are_shown,
        a_second_interrupt_stops_immediately,
        a_service_manager_is_notified_when_it_listens,
        a_closed_pipe_ends_quietly,
        a_loss_is_a_line_among_the_events,
    ];
    common::main_with(&named![exit_3, pause_forever], &everywhere, &live)
}

fn exit_3() {
    std::process::exit(3)
}

fn pause_forever() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Starts children that exit with 3 until a line about one of them matches.
fn line_of_exit_3(watch: &mut Running, is_wanted: impl Fn(&str, u32) -> bool) -> String {
    let failed = Mutex::new(Vec::new());
    // The program may not listen yet.
    let fail = || {
        let pid = run_to_end("exit_3");
        failed.lock().expect("no thread panicked").push(pid);
    };
    load::repeat_during(fail, || {
        loop {
            let line = watch.line();
            let failed = failed.lock().expect("no thread panicked");
            if failed.iter().any(|&pid| is_wanted(&line, pid)) {
                return line;
            }
        }
    })
}

fn bad_usage_exits_with_2_and_suggests_valid_values() {
    for (arguments, help) in [
        (&["watch", "--events", "exec,boot"][..], "coredump"),
        (&["watch", "--duration", "soon"], "10s"),
        (&["watch", "--pid", "init"], "--pid"),
        (&["listen"], "--help"),
        // An unknown option is not the command to run.
        (&["trace", "--outptu", "x.svg", "--", "true"], "--output"),
        (&[], "Usage"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(help), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    let too_many: Vec<String> = (1..=1025u32).map(|pid| pid.to_string()).collect();
    let output = run(&["watch", "--pid", &too_many.join(",")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("1024"), "{}", text(&output.stderr));
}

fn doctor_reports_each_check_in_both_formats() {
    let (lines, json) = (run(&["doctor"]), run(&["doctor", "--json"]));
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let findings = json["findings"].as_array().expect("a list");
    let checks = [
        "kernel",
        "connector",
        "pid namespace",
        "privileges",
        "filter",
        "ring",
        "task filter",
        "forgeries",
        "subscription",
    ];
    for check in checks {
        let finding = findings.iter().find(|finding| finding["check"] == check);
        let verdict = finding.expect(check)["verdict"].as_str().expect("a verdict");
        let of_check = |line: &&str| line[9..].starts_with(check);
        let line = text(&lines.stdout).lines().find(of_check).expect(check);
        assert!(line.starts_with(verdict), "{line}");
    }
    let has = |check| findings.iter().any(|finding| finding["check"] == check);
    let ring = findings.iter().find(|finding| finding["check"] == "ring");
    assert_eq!(has("context"), ring.is_some_and(|ring| ring["fact"] == "usable"), "{json}");
    let works = findings.iter().all(|finding| finding["verdict"] != "fails");
    assert_eq!(lines.status.code(), Some(i32::from(!works)));
}

fn json_has_the_documented_keys() {
    let mut watch = start_watch(&["--json", "--events", "exit"]);
    let line = line_of_exit_3(&mut watch, |line, pid| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["event"] == "exit" && event["pid"] == pid
    });
    let event: Value = serde_json::from_str(&line).expect("JSON");
    let mut keys: Vec<&str> =
        event.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let documented = [
        "code",
        "core_dumped",
        "cpu",
        "event",
        "exit_code",
        "exit_signal",
        "over",
        "parent_pid",
        "parent_tgid",
        "pid",
        "process_end",
        "seq",
        "signal",
        "tgid",
        "time",
        "timestamp_ns",
    ];
    // Without the table of processes, only the ring has the end of a process.
    let is_known = |key: &&&str| !matches!(**key, "over" | "process_end") || event["over"] == true;
    assert_eq!(keys, documented.iter().filter(is_known).copied().collect::<Vec<_>>());
    assert!(transport() == Transport::Ring || event.get("over").is_none(), "{event}");
    assert_eq!(event["exit_code"], 768);
    assert_eq!(event["code"], 3);
    assert_eq!(event["signal"], Value::Null);
    assert_eq!(event["core_dumped"], false);
    assert_eq!(event["parent_tgid"], std::process::id());
    assert!(event["time"].as_str().expect("text").starts_with("20"), "{event}");
    watch.end_by(Signal::SIGTERM);
}

fn the_process_is_described_on_request() {
    let mut watch = start_watch(&["--json", "--context", "--events", "exec,exit"]);
    let line = line_of_exit_3(&mut watch, |line, pid| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["event"] == "exec" && event["tgid"] == pid
    });
    let event: Value = serde_json::from_str(&line).expect("JSON");
    if transport() == Transport::Socket {
        assert_eq!(event.get("task"), None);
        let (_, output) = watch.end_by(Signal::SIGTERM);
        let errors = text(&output.stderr);
        assert!(errors.starts_with("proc-connector: no event has a `task`"), "{errors}");
        return;
    }
    let task = event["task"].as_object().expect("recorded context");
    let own = std::env::current_exe().expect("/proc is mounted");
    // A value is null if the kernel cannot provide it.
    let is = |key: &str, value: Value| {
        assert!(task[key] == value || task[key].is_null(), "{key} in {event}, not {value}");
    };
    is("tgid", event["tgid"].clone());
    is("pid", event["pid"].clone());
    is("ruid", nix::unistd::getuid().as_raw().into());
    is("rgid", nix::unistd::getgid().as_raw().into());
    if let Some(args) = task.get("args") {
        assert_eq!(args[0], own.to_str().expect("text"));
        assert_eq!(task["args_cut"], false);
    }
    let (_, output) = watch.end_by(Signal::SIGTERM);
    assert!(!text(&output.stderr).contains("task"), "{}", text(&output.stderr));
}

fn a_failed_exit_is_described_in_words() {
    let mut watch = start_watch(&["--failed"]);
    line_of_exit_3(&mut watch, |line, pid| {
        line.contains("exit 3") && line.contains(&pid.to_string())
    });
    watch.end_by(Signal::SIGTERM);
}

fn only_the_selected_events_are_shown() {
    let fail = || _ = run_to_end("exit_3");
    let output = load::repeat_during(fail, || {
        run(&["watch", "--json", "--events", "exec", "--count", "20", "--duration", "60s"])
    });
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line.starts_with(r#"{"event":"exec""#)), "{lines:?}");
    assert!(text(&output.stderr).starts_with("20 events, 0 lost"), "{}", text(&output.stderr));
}

fn ctrl_c_ends_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut watch = start_watch(&["--json"]);
        line_of_exit_3(&mut watch, |line, pid| line.contains(&format!(r#""pid":{pid},"#)));
        let (_, output) = watch.end_by(signal);
        assert_eq!(output.status.code(), Some(0), "{signal}");
        assert!(text(&output.stderr).contains("events/s"), "{}", text(&output.stderr));
    }
}

fn events_before_the_interrupt_are_shown() {
    let mut watch = start_watch(&["--json", "--events", "exec", "--coalesce", "2s"]);
    load::repeat_during(|| _ = run_to_end("exit_3"), || watch.line());
    // The program now collects events for up to two seconds.
    let ended: Vec<u32> = (0..20).map(|_| run_to_end("exit_3")).collect();
    let (rest, output) = watch.end_by(Signal::SIGINT);
    assert_eq!(output.status.code(), Some(0));
    let execs = |pid: &u32| {
        let pid = format!(r#""tgid":{pid},"#);
        rest.iter().filter(|line| line.contains(&pid)).count()
    };
    assert_eq!(ended.iter().map(execs).collect::<Vec<usize>>(), [1; 20], "{rest:#?}");
}

fn a_service_manager_is_notified_when_it_listens() {
    let scratch = ScratchFile::new("notify");
    let manager = UnixDatagram::bind(scratch.path()).expect("a socket");
    manager.set_read_timeout(Some(common::PATIENCE)).expect("a socket");
    let mut command = program(&["watch", "--json", "--events", "exec", "--duration", "60s"]);
    let child = command.env("NOTIFY_SOCKET", scratch.path()).spawn().expect("the program runs");
    let mut notification = [0; 100];
    let len = manager.recv(&mut notification).expect("a notification");
    assert_eq!(text(&notification[..len]).trim_end(), "READY=1");
    let ended: Vec<u32> = (0..5).map(|_| run_to_end("exit_3")).collect();
    kill(Pid::from_raw(child.id().try_into().expect("a pid")), Signal::SIGINT)
        .expect("a running process");
    let output = child.wait_with_output().expect("an exit status");
    for pid in ended {
        let pid = format!(r#""tgid":{pid},"#);
        assert!(text(&output.stdout).contains(&pid), "{}", text(&output.stdout));
    }
}

fn a_second_interrupt_stops_immediately() {
    let mut child =
        program(&["watch", "--json", "--duration", "60s"]).spawn().expect("a running process");
    let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
    let pipe = child.stdout.take().expect("a pipe");
    let (deadline, mut before) = (common::Deadline::new(), 0);
    // Until the pipe is full, so the program has input and cannot write more.
    loop {
        assert!(deadline.left().is_some(), "{before} bytes");
        common::load::threads(500);
        std::thread::sleep(Duration::from_millis(20));
        let now = ioctl_fionread(&pipe).expect("a pipe");
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    kill(pid, Signal::SIGTERM).expect("a child that runs");
    // One request can be two signals, as from timeout(1).
    kill(pid, Signal::SIGTERM).expect("a child that runs");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(child.try_wait().expect("its state"), None, "it waits for a reader");
    kill(pid, Signal::SIGTERM).expect("a child that runs");
    let status = child.wait().expect("an exit status");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    drop(pipe);
}

fn a_closed_pipe_ends_quietly() {
    let mut child = program(&["watch", "--json"]).spawn().expect("the program runs");
    drop(child.stdout.take());
    let mut status = None;
    for _ in 0..5_000 {
        // The program notices the closed pipe when it writes.
        run_to_end("exit_3");
        status = child.try_wait().expect("its state");
        if status.is_some() {
            break;
        }
    }
    let _ = child.kill();
    child.wait().expect("an exit status");
    assert_eq!(status.expect("an end of its own").code(), Some(0));
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    assert!(!errors.contains("pipe") && !errors.contains("panic"), "{errors}");
}

fn a_loss_is_a_line_among_the_events() {
    // The size of the ring is the next power of two in bytes, which holds 186 events.
    let mut watch = start_watch(&["--json", "--buffer", "100"]);
    line_of_exit_3(&mut watch, |line, pid| line.contains(&format!(r#""pid":{pid},"#)));
    let pid = watch.pid();
    kill(pid, Signal::SIGSTOP).expect("a child that runs");
    common::load::threads(1000);
    kill(pid, Signal::SIGCONT).expect("a child that is stopped");
    let lost = watch.lines.by_ref().map(|line| line.expect("text"));
    let lost = lost.into_iter().find(|line| line.starts_with(r#"{"event":"lost""#));
    let lost: Value = serde_json::from_str(&lost.expect("a loss")).expect("JSON");
    // Each thread causes two events; up to two hundred were queued. Other processes add to both.
    let count = lost["count"].as_u64().expect("a count");
    assert!(count >= 1_700, "{lost}");
    watch.end_by(Signal::SIGINT);
}
