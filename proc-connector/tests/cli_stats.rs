//! `stats`, compared with the events that the tests cause.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Output};

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::program::program;
use common::scratch::Scratch;
use common::{named, transport, transport_name};
use nix::pty::{Winsize, openpty};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use proc_connector::Transport;
use proc_connector::testing::behaviour as sys;
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![bad_usage_exits_with_2];
    let live = named![
        events_are_counted_by_name_and_user,
        forks_right_after_an_exec_are_named,
        processes_that_no_longer_match_are_not_running,
        what_short_processes_used_adds_up,
        intervals_add_up_to_the_summary,
        losses_are_reported_and_counting_continues,
        a_terminal_display_is_redrawn_in_place,
        blocks_are_plain_without_a_terminal,
    ];
    let roles = named![end, nap, fork_50_and_nap_10, fork_1000_short];
    common::main_with(&roles, &everywhere, &live)
}

/// The name that the forking process sets.
const NAME: &str = "busy-forker";

fn end() {}

fn nap() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

/// Creates fifty processes on request. Ten of them live for some time.
fn fork_50_and_nap_10() {
    fs::write("/proc/self/comm", NAME).expect("one's own name");
    print_number(0);
    pause();
    for child in 0..50 {
        let role = if child % 5 == 0 { "nap" } else { "end" };
        command(role).status().expect("this binary can be started");
    }
}

/// The name of the processes that [`fork_1000_short`] creates, unlike those of another test run.
fn short_name(parent: u32) -> String {
    format!("short-{parent}")
}

/// Creates a thousand processes that live for a fraction of a millisecond, of which 100 fail. Prints
/// the CPU time in microseconds and the peak memory in KiB that the kernel counted of them.
fn fork_1000_short() {
    fs::write("/proc/self/comm", short_name(std::process::id())).expect("one's own name");
    for number in 0_u64..1_000 {
        let child = sys::fork(|| {
            (0..number * 100).for_each(|number| _ = std::hint::black_box(number));
            sys::exit(i32::from(number % 10 == 0));
        });
        sys::wait4(child).expect("a child");
    }
    // This process is not among those of the name.
    fs::write("/proc/self/comm", "parent").expect("one's own name");
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a usage");
    let cpu = used.user_time() + used.system_time();
    print_number(cpu.num_microseconds().try_into().expect("less than an hour"));
    print_number(used.max_rss().try_into().expect("less than 4 TiB"));
}

/// Requests the fifty processes, and waits until they ended.
fn fork_50() {
    let mut helper = HelperProcess::start("fork_50_and_nap_10");
    helper.read_number();
    helper.resume();
    assert!(helper.wait().success());
}

/// `stats` over the transport of this test. The duration limits a test that fails.
fn stats(arguments: &[&str]) -> Command {
    program(&[&["stats", "--duration", "60s", "--transport", transport_name()], arguments].concat())
}

/// A running `stats --json`, and its reports so far.
struct Stats {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    reports: Vec<Value>,
}

impl Stats {
    /// Starts the program, and waits until it listens.
    fn start(arguments: &[&str]) -> Self {
        let common = ["--json", "--interval", "100ms", "--top", "1000"];
        let mut child = stats(&[&common, arguments].concat()).spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut stats = Self { child, lines, reports: Vec::new() };
        stats.read();
        stats
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid"))
    }

    fn read(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        self.reports.push(serde_json::from_str(&line.expect("text")).expect("JSON"));
        true
    }

    /// Reads reports until they satisfy a condition.
    fn read_until(&mut self, is_enough: impl Fn(&[Value]) -> bool) {
        while !is_enough(&self.reports) {
            assert!(self.read(), "it ended after {:#?}", self.reports);
        }
    }

    /// Ends the program as Ctrl-C does.
    fn end(mut self) -> (Vec<Value>, Output) {
        kill(self.pid(), Signal::SIGINT).expect("a child that runs");
        while self.read() {}
        (self.reports, self.child.wait_with_output().expect("an exit status"))
    }
}

fn sum(reports: &[Value], key: &str) -> u64 {
    reports.iter().map(|report| report[key].as_u64().expect(key)).sum()
}

/// The counts in all rows of a list in which a key has this value.
fn listed(reports: &[Value], list: &str, key: &str, value: &Value) -> u64 {
    let rows = reports.iter().flat_map(|report| report[list].as_array().expect(list));
    rows.filter(|row| row[key] == *value).map(|row| row["count"].as_u64().expect("a count")).sum()
}

fn bad_usage_exits_with_2() {
    for arguments in [["--interval", "0"], ["--interval", "1ms"], ["--count", "0"], ["--top", "-1"]]
    {
        let output = stats(&arguments).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

fn events_are_counted_by_name_and_user() {
    let mut stats = Stats::start(&[]);
    fork_50();
    stats.read_until(|reports| {
        let forks = listed(reports, "forks_by_name", "name", &NAME.into());
        forks >= 50 && sum(reports, "ended") >= 50
    });
    let (reports, _) = stats.end();
    assert_eq!(listed(&reports, "forks_by_name", "name", &NAME.into()), 50);
    let user = nix::unistd::geteuid().as_raw();
    assert!(listed(&reports, "forks_by_user", "uid", &user.into()) >= 50);
    assert!(listed(&reports, "execs_by_user", "uid", &user.into()) >= 50);
    // Each process is this program, named after its file. Over the socket, some end before their
    // names can be read.
    let own = fs::read_to_string("/proc/self/comm").expect("/proc is mounted");
    let named = listed(&reports, "execs_by_name", "name", &own.trim_end().into());
    let nameless = listed(&reports, "execs_by_name", "name", &Value::Null);
    assert!(named + nameless >= 50, "{named} of this name, {nameless} without one");
    assert!(named >= 1, "no process with this name");
    let (ended, short) = (sum(&reports, "ended"), sum(&reports, "short_lived"));
    assert!(ended >= 50, "{ended}");
    assert!(short <= ended - 10, "{short} of {ended}, of which ten slept for 50 ms");
}

/// Over the socket, the name of the shell is certain only after its first forks. It waits at the end, so that
/// the name can be read.
fn forks_right_after_an_exec_are_named() {
    const SCRIPT: &str = "(exit 3); (exit 4); sleep 0.1; :";
    const FORKS: u64 = 3;
    const SHELLS: u64 = 30;
    let scratch = Scratch::new("shell");
    let name = format!("shell-{}", std::process::id());
    let shell = scratch.file(&name);
    fs::copy("/bin/sh", &shell).expect("a shell");
    let mut stats = Stats::start(&[]);
    for _ in 0..SHELLS {
        Command::new(&shell).args(["-c", SCRIPT]).status().expect("a shell");
    }
    let of_name = |reports: &[Value], list: &str, name: Value| listed(reports, list, "name", &name);
    stats.read_until(|reports| {
        let [named, others] =
            [name.as_str().into(), Value::Null].map(|name| of_name(reports, "forks_by_name", name));
        named + others >= FORKS * SHELLS && sum(reports, "ended") >= SHELLS * (1 + FORKS)
    });
    let (reports, _) = stats.end();
    let forks = of_name(&reports, "forks_by_name", name.as_str().into());
    let execs = of_name(&reports, "execs_by_name", name.as_str().into());
    // A shell whose name could not be read has no name at its forks, either.
    let least = if transport() == Transport::Socket { execs } else { SHELLS };
    assert!(
        execs > SHELLS / 2 && (FORKS * least..=FORKS * SHELLS).contains(&forks),
        "{forks} of {execs}"
    );
}

fn processes_that_no_longer_match_are_not_running() {
    // Only the forks are events of this name: the children then execute a program of another one.
    let mut stats = Stats::start(&["--comm", NAME]);
    fork_50();
    let forks = |reports: &[Value], name: Value| listed(reports, "forks_by_name", "name", &name);
    stats.read_until(|reports| {
        forks(reports, NAME.into()) + forks(reports, Value::Null) >= 50
            && reports.last().is_some_and(|report| report["processes"] == 0)
    });
    let (reports, _) = stats.end();
    let named = forks(&reports, NAME.into());
    // Over the socket, a name that was read from `/proc` can be unproven at first.
    let least = if transport() == Transport::Socket { 45 } else { 50 };
    assert!((least..=50).contains(&named), "{named}");
    assert_eq!(reports.last().expect("a report")["processes"], 0);
}

fn what_short_processes_used_adds_up() {
    if transport() == Transport::Socket {
        common::skip("only the ring transport reports usage");
    }
    let mut stats = Stats::start(&[]);
    let mut helper = HelperProcess::start("fork_1000_short");
    let name = short_name(helper.pid());
    let [cpu_us, max_rss_kib] = [helper.read_number(), helper.read_number()].map(u64::from);
    assert!(helper.wait().success());
    stats.read_until(|reports| {
        let ended = listed(reports, "ended_by_name", "name", &name.as_str().into());
        ended >= 1_000 || sum(reports, "losses") > 0
    });
    let (reports, _) = stats.end();
    assert_eq!(sum(&reports, "losses"), 0, "the buffer is too small");
    let rows: Vec<&Value> = reports
        .iter()
        .flat_map(|report| report["ended_by_name"].as_array().expect("a list"))
        .filter(|row| row["name"] == name.as_str())
        .collect();
    let sum = |key: &str| rows.iter().map(|row| row[key].as_u64().expect(key)).sum::<u64>();
    assert_eq!((sum("count"), sum("failed")), (1_000, 100));
    let used = |key: &'static str| rows.iter().filter_map(move |row| row["usage"][key].as_u64());
    assert_eq!(sum("measured"), 1_000);
    let (found, expected) = (used("cpu_ns").sum::<u64>(), cpu_us * 1_000);
    // The kernel adds CPU time to its counter at ticks, switches and wake-ups (`update_curr`). The
    // time between the last of these and the exit is missing: 5 to 30 us of a process on average.
    let missing = 1_000 * 30_000;
    let least = expected - expected / 100 - 1_000_000 - missing;
    let most = expected + expected / 100 + 1_000_000;
    assert!((least..=most).contains(&found), "{found} ns, not {expected} ns");
    assert_eq!(used("max_rss").max(), Some(max_rss_kib << 10));
    // Other processes may end at the same time, but none of these is missing from the other sums.
    for list in ["ended_by_user", "ended_by_cgroup"] {
        let all = reports.iter().flat_map(|report| report[list].as_array().expect("a list"));
        let all = all.filter_map(|row| row["usage"]["cpu_ns"].as_u64()).sum::<u64>();
        assert!(all >= found, "{list}: {all} ns, at least {found} ns");
    }
}

fn intervals_add_up_to_the_summary() {
    let mut stats = Stats::start(&[]);
    fork_50();
    // Each process causes a fork, an exec and an exit.
    stats.read_until(|reports| sum(reports, "events") >= 150);
    let (reports, output) = stats.end();
    assert_eq!(output.status.code(), Some(0));
    let (events, summary) = (sum(&reports, "events"), String::from_utf8_lossy(&output.stderr));
    assert!(summary.starts_with(&format!("{events} events, ")), "{events}: {summary}");
    for report in &reports {
        let counts = report["counts"].as_object().expect("an object");
        let all: u64 = counts.values().map(|count| count.as_u64().expect("a count")).sum();
        assert_eq!(report["events"], all, "{report}");
        let (fork, seconds) = (&report["counts"]["fork"], report["interval"].as_f64());
        let rate = report["rate"]["fork"].as_f64().expect("a rate");
        for list in ["ended_by_name", "ended_by_user", "ended_by_cgroup"] {
            for (key, total) in [("count", "ended"), ("failed", "failed"), ("measured", "measured")]
            {
                let rows = report[list].as_array().expect("a list").iter();
                let all: u64 = rows.map(|row| row[key].as_u64().expect("a count")).sum();
                assert_eq!(report[total], all, "{list}: {report}");
            }
        }
        let counted = rate * seconds.expect("seconds");
        assert!((counted - fork.as_f64().expect("a count")).abs() < 1e-6, "{report}");
    }
}

fn losses_are_reported_and_counting_continues() {
    let mut stats = Stats::start(&["--buffer", "100"]);
    kill(stats.pid(), Signal::SIGSTOP).expect("a child that runs");
    // Six thousand events exceed the buffer by far, on a busy machine too.
    common::load::threads(3000);
    // The events that identify the process are among the lost ones.
    let mut helper = HelperProcess::start("fork_50_and_nap_10");
    helper.read_number();
    kill(stats.pid(), Signal::SIGCONT).expect("a child that is stopped");
    stats.read_until(|reports| sum(reports, "lost") >= 4_000);
    assert!(sum(&stats.reports, "losses") >= 1);
    let before = sum(&stats.reports, "lost");
    let forks = |reports: &[Value]| listed(reports, "forks_by_name", "name", &NAME.into());
    helper.resume();
    assert!(helper.wait().success());
    stats.read_until(|reports| forks(reports) + sum(reports, "lost") - before >= 50);
    let (reports, _) = stats.end();
    assert!(forks(&reports) <= 50, "{}", forks(&reports));
}

fn a_terminal_display_is_redrawn_in_place() {
    let size = Winsize { ws_row: 12, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).expect("a terminal");
    for has_color in [true, false] {
        let mut stats = stats(&["--interval", "100ms", "--count", "3"]);
        stats.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CLICOLOR");
        if !has_color {
            stats.env("NO_COLOR", "1");
        }
        stats.stdout(terminal.slave.try_clone().expect("a descriptor"));
        let output = stats.output().expect("the program runs");
        assert!(output.status.success());
        // The output is smaller than a terminal's buffer, but a single read may return only a part.
        let mut slave = fs::File::from(terminal.slave.try_clone().expect("a descriptor"));
        slave.write_all(b"END").expect("a writable terminal");
        let mut master = fs::File::from(terminal.master.try_clone().expect("a descriptor"));
        let (mut drawn, mut bytes) = (String::new(), [0; 1024]);
        while !drawn.ends_with("END") {
            let len = master.read(&mut bytes).expect("the output");
            drawn.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
        assert!(drawn.contains("events/s"), "{drawn:?}");
        assert_eq!(drawn.contains("\x1b[1m"), has_color, "{drawn:?}");
        let ups = drawn.split("\x1b[").filter_map(|text| text.split_once('A'));
        let ups: Vec<usize> = ups.filter_map(|(number, _)| number.parse().ok()).collect();
        assert_eq!(ups.len(), 2, "{drawn:?}");
        // The cursor moves up by the lines of the last report; the numbers of lines may differ.
        let lines = drawn.matches('\n').count();
        assert!(ups.iter().all(|&up| (5..=11).contains(&up)), "{ups:?}");
        assert!(lines > ups.iter().sum() && lines <= ups.iter().sum::<usize>() + 11, "{drawn:?}");
    }
}

fn blocks_are_plain_without_a_terminal() {
    let output =
        stats(&["--interval", "100ms", "--count", "2"]).output().expect("a running process");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains('\x1b'), "{text}");
    assert_eq!(text.matches("events/s in 0.").count(), 2, "{text}");
    assert_eq!(text.matches("\n\n").count(), 6, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
