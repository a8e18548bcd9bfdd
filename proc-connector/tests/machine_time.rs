//! Time namespaces, whose clocks differ from the kernel's.

mod common;

use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use common::helper_process::command;
use common::namespaces::{listening, require_namespaces, run_role, shift_clocks, test_transport};
use common::scratch::ScratchFile;
use common::{Deadline, named, skip};
use proc_connector::process::{ChangeKind, Process, ProcessTable};
use proc_connector::{ProcConnector, Received, Verdict, WallClock, diagnose};
use serde_json::Value;

fn main() -> ExitCode {
    let roles = named![
        is_ahead,
        is_behind,
        sends_children_ahead,
        hides_its_offsets,
        reports_correct_times,
        rejects_unreadable_offsets,
        ends,
    ];
    let live = named![
        clocks_ahead_are_converted,
        clocks_behind_are_converted,
        the_offsets_for_children_are_not_used,
        unreadable_offsets_are_an_error,
    ];
    common::main_with(&roles, &[], &live)
}

fn checked(role: &str) {
    require_namespaces();
    if !fs::exists("/proc/self/timens_offsets").expect("/proc is mounted") {
        skip("this kernel has no time namespaces");
    }
    run_role(role);
}

fn clocks_ahead_are_converted() {
    checked("is_ahead");
}

fn clocks_behind_are_converted() {
    checked("is_behind");
}

fn the_offsets_for_children_are_not_used() {
    checked("sends_children_ahead");
}

fn unreadable_offsets_are_an_error() {
    checked("hides_its_offsets");
}

fn ends() {}

const HOUR: i64 = 3600;

fn is_ahead() {
    shift_clocks(1000 * HOUR, 5000 * HOUR);
    checked_by_child("reports_correct_times");
}

/// Sets the clocks back: `CLOCK_BOOTTIME` to about zero, the earliest possible time.
fn is_behind() {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc is mounted");
    let uptime: i64 = uptime.split('.').next().expect("seconds").parse().expect("a number");
    shift_clocks(-(uptime / 2), -uptime);
    checked_by_child("reports_correct_times");
}

/// A role in a time namespace whose children are in another one.
fn sends_children_ahead() {
    shift_clocks(1000 * HOUR, 5000 * HOUR);
    reports_correct_times_of(|| Command::new("/bin/true"));
}

fn hides_its_offsets() {
    shift_clocks(1000 * HOUR, 5000 * HOUR);
    checked_by_child("rejects_unreadable_offsets");
}

/// A role in the time namespace that the test's process created.
fn checked_by_child(role: &str) {
    let status = command(role).stdin(Stdio::null()).status().expect("this binary can be started");
    assert!(status.success(), "{role}: {status}");
}

/// In one time namespace with children in another, so that its own offsets cannot be determined.
fn rejects_unreadable_offsets() {
    shift_clocks(2000 * HOUR, 6000 * HOUR);
    let error = WallClock::try_new().expect_err("no clock");
    assert!(error.to_string().contains("time namespace"), "{error}");
    assert_eq!(ProcessTable::new().expect_err("no times").kind(), error.kind());
    let finding = diagnose().findings.into_iter().find(|finding| finding.check == "time namespace");
    let finding = finding.expect("a check of this name");
    assert_eq!(finding.verdict, Verdict::Limited);
    assert!(finding.remedy.is_some());
}

fn reports_correct_times() {
    reports_correct_times_of(|| command("ends"));
    the_program_reports_correct_times();
}

/// The maximum delay of any step on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn reports_correct_times_of(child: impl Fn() -> Command) {
    let transport = test_transport();
    let mut connector =
        ProcConnector::builder().transport(transport).context(true).open().expect("a connector");
    let mut table = ProcessTable::new().expect("/proc is mounted");
    let before = SystemTime::now();
    let mut child = child().stdin(Stdio::null()).spawn().expect("a child");
    let mut ended: Option<Process> = None;
    let deadline = Deadline::new();
    let mut times = Vec::new();
    while ended.is_none() {
        let left = deadline.left().expect("events of the child");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = &received else { continue };
            let time = WallClock::new().time(event.timestamp_ns());
            for change in table.apply(&received) {
                if change.process.tgid() == child.id() {
                    times.push(time);
                    if change.kind == ChangeKind::Ended {
                        ended = Some(change.process.clone());
                    }
                }
            }
        }
    }
    child.wait().expect("a child");
    let after = SystemTime::now();
    assert!(times.len() >= 2, "a fork and an exit");
    let slack = Duration::from_secs(1);
    for time in times {
        assert!(before - slack <= time && time <= after + slack, "{before:?} {time:?} {after:?}");
    }
    let ended = ended.expect("a process");
    assert!(u128::from(ended.lifetime_ns().expect("both")) < LONG.as_nanos());
    // The start of this process is known from `/proc` only, and precedes the creation of the child.
    // The start of the first process is earlier.
    let own = table.get(std::process::id()).and_then(Process::start_ns).expect("a start");
    let made = ended.start_ns().expect("a fork");
    assert!(own <= made && u128::from(made - own) < LONG.as_nanos(), "{own} {made}");
    let first = table.get(1).and_then(Process::start_ns).expect("a start");
    assert!(first <= own, "{first} {own}");
    // Later reads recognise the same processes, in spite of the different clocks.
    let serials = |table: &ProcessTable| table.get(std::process::id()).map(Process::serial);
    let known = serials(&table);
    table.rescan().expect("a scan");
    assert_eq!(serials(&table), known);
    assert!(table.at(std::process::id(), made).is_some());
}

fn the_program_reports_correct_times() {
    let program = env!("CARGO_BIN_EXE_proc-connector");
    let before = SystemTime::now();
    // The program ends when its duration is over, and has recorded everything until then.
    let file = ScratchFile::new("lines");
    let lines = fs::File::create(file.path()).expect("a file");
    let mut watch = listening(program, "watch");
    let mut watch = watch
        .args(["--json", "--duration", "2s", "--events", "exit"])
        .stdout(lines)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    while watch.try_wait().expect("a child").is_none() {
        assert!(before.elapsed().is_ok_and(|time| time < LONG), "the program does not end");
        command("ends").status().expect("this binary can be started");
    }
    let lines = fs::read_to_string(file.path()).expect("UTF-8");
    let (slack, after) = (Duration::from_secs(1), SystemTime::now());
    let times = lines.lines().map(time_of);
    assert!(times.clone().count() > 2, "{lines}");
    for time in times {
        assert!(before - slack <= time && time <= after + slack, "{before:?} {time:?} {after:?}");
    }
    // The tree contains the lifetime of each process.
    let output = listening(program, "trace").args(["--", "/bin/true"]).output();
    let output = output.expect("the program runs");
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{errors}");
    let (_, total) = errors.rsplit_once("1 process, 0 failed, ").expect("a sum");
    let lifetime = total.split([',', ';']).next().unwrap_or_default().trim_end();
    assert!([" ms", " s", " µs"].iter().any(|unit| lifetime.ends_with(unit)), "{errors}");
}

fn time_of(line: &str) -> SystemTime {
    let event: Value = serde_json::from_str(line).expect("JSON");
    let time: jiff::Timestamp = event["time"].as_str().expect("text").parse().expect("a time");
    time.into()
}
