//! `export prometheus`, compared with what the tests do, and read by a plain client, by `promtool` and
//! by a Prometheus server.

#![allow(clippy::float_cmp, reason = "counts are exact")]

mod common;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use common::helper_process::{HelperProcess, pause, print_number};
use common::hostile::{HOSTILE, assert_seen};
use common::program::Status;
use common::prometheus::{Prometheus, check_with_promtool, has_prometheus};
use common::scrape::{Exporter, Samples};
use common::scratch::ScratchFile;
use common::{named, transport};
use nix::sys::prctl::set_name;
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use proc_connector::Transport;
use proc_connector::testing::behaviour as sys;

fn main() -> ExitCode {
    let live = named![
        processes_and_their_usage_are_counted,
        processes_that_run_are_counted,
        what_threads_write_is_counted,
        labels_are_bounded_and_no_counter_decreases,
        hostile_names_are_escaped,
        losses_are_counted,
        an_idle_exporter_does_not_wake_up,
        its_own_cpu_time_is_that_of_the_kernel,
        prometheus_reads_every_metric,
    ];
    let roles = named![
        makes_processes,
        sleeps_with_children,
        writes_files,
        makes_names,
        makes_hostile_names,
    ];
    common::main(&roles, &live)
}

fn name(text: &[u8]) {
    set_name(&CString::new(text).expect("no zero")).expect("a name");
}

/// The name of a helper and of its children, unlike those of another test run.
fn name_of(process: u32) -> String {
    format!("made-by-{process}")
}

/// The processes of [`makes_processes`], and those among them that fail and that a signal kills.
const MADE: u32 = 300;
const FAILED: u32 = MADE / 10;
const KILLED: u32 = MADE / 10;

/// On request, creates processes that use CPU time. Prints what `wait4` reports about them: the CPU
/// time in microseconds, the peak memory in KiB, page faults, and context switches.
fn makes_processes() {
    print_number(0);
    pause();
    name(name_of(std::process::id()).as_bytes());
    let (mut cpu, mut memory, mut minor, mut major, mut switches) = (0, 0, 0, 0, 0);
    for number in 0..MADE {
        let child = sys::fork(|| {
            (0..u64::from(number) * 2_000).for_each(|number| _ = std::hint::black_box(number));
            match number % 10 {
                0 => sys::exit(3),
                1 => sys::kill(std::process::id(), 9),
                _ => sys::exit(0),
            }
        });
        let (_, used) = sys::wait4(child).expect("a child");
        cpu += used.cpu_ns / 1_000;
        memory = used.max_rss_kib.max(memory);
        minor += used.minor_faults;
        major += used.major_faults;
        switches += used.voluntary_switches + used.involuntary_switches;
    }
    for number in [cpu, memory, minor, major, switches] {
        print_number(number.try_into().expect("a small number"));
    }
    pause();
}

fn sleeps_with_children() {
    let children: Vec<u32> = (0..5).map(|_| sys::fork(std::thread::park)).collect();
    print_number(0);
    pause();
    for &child in &children {
        sys::kill(child, 9);
        sys::wait4(child).expect("a child");
    }
    print_number(0);
    pause();
}

/// On request, creates processes that write files. Each prints the bytes that it wrote to storage, as
/// the kernel counts them, in KiB.
fn writes_files() {
    print_number(0);
    pause();
    for size in [1 << 20, 3 << 20] {
        let child = sys::fork(|| {
            let file = ScratchFile::containing("written", &vec![1; size]);
            let io = fs::read_to_string("/proc/thread-self/io").expect("/proc is mounted");
            let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
            let bytes: u32 = written.expect("a line").parse().expect("a number");
            drop(file);
            print_number(bytes / 1024);
            sys::exit(0);
        });
        sys::wait4(child).expect("a child");
    }
    pause();
}

/// The programs of [`makes_names`], and how often each runs.
const NAMES: u32 = 2_000;
const RUNS: u32 = 2;

/// On request, creates processes of many names.
fn makes_names() {
    print_number(0);
    pause();
    for number in 0..NAMES * RUNS {
        let child = sys::fork(|| {
            name(format!("name-{}", number % NAMES).as_bytes());
            sys::exit(0);
        });
        sys::wait4(child).expect("a child");
    }
    pause();
}

/// Names with a meaning in the text formats, and their labels.
const FORMATTED: [(&[u8], &str); 4] =
    [(b"a\"b", "a\"b"), (b"{a=\"b\"} 1", "{a=\"b\"} 1"), (b"# EOF", "# EOF"), (b"other", "other")];

/// On request, creates processes of hostile names.
fn makes_hostile_names() {
    print_number(0);
    pause();
    for (bytes, _) in HOSTILE.into_iter().chain(FORMATTED) {
        let child = sys::fork(|| {
            name(bytes);
            sys::exit(0);
        });
        sys::wait4(child).expect("a child");
    }
    pause();
}

/// A helper that waits, and an exporter of its tree only.
fn watched(role: &str, arguments: &[&str]) -> (HelperProcess, Exporter) {
    let mut helper = HelperProcess::start(role);
    helper.read_number();
    let tree = helper.pid().to_string();
    let exporter = Exporter::start(&[&["--tree", &tree], arguments].concat());
    (helper, exporter)
}

fn ended(samples: &Samples) -> f64 {
    samples.sum("proc_connector_exits_total", &[])
}

fn lost(samples: &Samples) -> f64 {
    samples.sum("proc_connector_losses_total", &[])
}

fn processes_and_their_usage_are_counted() {
    let (mut helper, exporter) = watched("makes_processes", &[]);
    helper.resume();
    let [cpu_us, memory_kib, minor, major, switches] =
        [(); 5].map(|()| f64::from(helper.read_number()));
    let made = f64::from(MADE);
    let samples = exporter.scrape_until(|samples| ended(samples) >= made || lost(samples) > 0.0);
    assert!(lost(&samples) < 1.0, "the buffer is too small");
    let sum = |name: &str, labels: &[(&str, &str)]| {
        samples.sum(&format!("proc_connector_{name}"), labels)
    };
    let program = name_of(helper.pid());
    let own = ("program", &*program);
    assert_eq!(sum("events_total", &[("event", "fork")]), made);
    assert_eq!(sum("forks_total", &[own]), made);
    assert_eq!(sum("thread_starts_total", &[]), 0.0);
    assert_eq!(sum("execs_total", &[]), 0.0);
    for (status, outcome, expected) in [
        ("0", "success", MADE - FAILED - KILLED),
        ("3-125", "failure", FAILED),
        ("SIGKILL", "signal", KILLED),
    ] {
        let expected = f64::from(expected);
        assert_eq!(sum("exits_total", &[("status", status)]), expected, "{status}");
        let outcome = ("outcome", outcome);
        assert_eq!(sum("ended_processes_total", &[own, outcome]), expected, "{outcome:?}");
    }
    let cgroup = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let cgroups = samples.values("proc_connector_forks_total", "cgroup");
    assert!(cgroups.iter().all(|path| cgroup.contains(path)), "{cgroups:?} in {cgroup}");
    let is_ring = transport() == Transport::Ring;
    let transport = if is_ring { "ring" } else { "socket" };
    assert_eq!(sum("transport_info", &[("transport", transport)]), 1.0);
    let has_cpu =
        !samples.values("proc_connector_ended_processes_cpu_seconds_total", "mode").is_empty();
    assert_eq!(has_cpu, is_ring, "unknown values are left out");
    if !is_ring {
        return;
    }
    assert_eq!(sum("ended_processes_measured_total", &[own]), made);
    let cpu = sum("ended_processes_cpu_seconds_total", &[own]) * 1e6;
    // The kernel adds CPU time to its counter at ticks, switches and wake-ups (`update_curr`). The
    // time between the last of these and the exit is missing: 5 to 30 us of a process on average.
    let least = cpu_us * 0.99 - 1_000.0 - made * 30.0;
    assert!((least..=cpu_us * 1.01 + 1_000.0).contains(&cpu), "{cpu} us, not {cpu_us} us");
    assert_eq!(sum("ended_processes_max_rss_bytes", &[own]), memory_kib * 1024.0);
    let faults = |kind| sum("ended_processes_page_faults_total", &[own, ("type", kind)]);
    assert_eq!((faults("minor"), faults("major")), (minor, major));
    // The last switch of a process comes after its exit.
    let found = sum("ended_processes_context_switches_total", &[own]);
    assert!((switches - made..=switches).contains(&found), "{found} of {switches}");
}

fn processes_that_run_are_counted() {
    let (mut helper, exporter) = watched("sleeps_with_children", &[]);
    let running = |samples: &Samples| samples.sum("proc_connector_processes", &[]);
    assert_eq!(running(&exporter.scrape()), 1.0 + 5.0);
    helper.resume();
    helper.read_number();
    let samples = exporter.scrape_until(|samples| running(samples) < 2.0);
    assert_eq!(running(&samples), 1.0);
    // Without a selection, threads are known as well.
    let samples = Exporter::start(&[]).scrape();
    let threads = samples.sum("proc_connector_threads", &[]);
    assert!(threads >= running(&samples) && running(&samples) > 6.0, "{threads}");
}

fn what_threads_write_is_counted() {
    if transport() != Transport::Ring {
        common::skip("only the ring transport reports usage");
    }
    let (mut helper, exporter) = watched("writes_files", &[]);
    helper.resume();
    let written = [(); 2].map(|()| f64::from(helper.read_number())).iter().sum::<f64>() * 1024.0;
    let samples = exporter.scrape_until(|samples| ended(samples) >= 2.0);
    let sum = |direction| {
        samples.sum("proc_connector_ended_threads_io_bytes_total", &[("direction", direction)])
    };
    assert_eq!(sum("write"), written);
}

fn labels_are_bounded_and_no_counter_decreases() {
    let (mut helper, exporter) = watched("makes_names", &["--groups", "50"]);
    helper.resume();
    let all = f64::from(NAMES * RUNS);
    let mut before = exporter.scrape();
    let mut scrapes = 0;
    let deadline = common::Deadline::new();
    while ended(&before) < all {
        let now = exporter.scrape();
        assert!(lost(&now) < 1.0, "the buffer is too small");
        let counters = before.0.iter().filter(|((name, _), _)| name.ends_with("_total"));
        for (series, value) in counters {
            let now = now.0.get(series).unwrap_or_else(|| panic!("{series:?} has disappeared"));
            assert!(now >= value, "{series:?} was {value}, and is {now}");
        }
        before = now;
        scrapes += 1;
        assert!(deadline.left().is_some(), "{} of {all}", ended(&before));
    }
    assert!(scrapes > 1);
    let name = "proc_connector_ended_processes_total";
    let programs: BTreeSet<&str> = before.values(name, "program").into_iter().collect();
    assert!(programs.contains("other") && programs.len() <= 51, "{programs:?}");
    assert_eq!(before.sum(name, &[]), all);
    let other = before.sum(name, &[("program", "other"), ("cgroup", "other")]);
    // One group is that of the parent.
    assert!(other >= all - f64::from(50 * RUNS), "{other}");
    let groups = |name| before.sum(name, &[]);
    assert_eq!(groups("proc_connector_groups"), 50.0);
    assert_eq!(groups("proc_connector_groups_limit"), 50.0);
}

fn hostile_names_are_escaped() {
    let (mut helper, exporter) = watched("makes_hostile_names", &[]);
    helper.resume();
    let names = || HOSTILE.iter().chain(&FORMATTED);
    let all = f64::from(u32::try_from(names().count()).expect("a small number"));
    let samples = exporter.scrape_until(|samples| ended(samples) >= all);
    // Over the socket, a process can end before its cgroup is read, but an event has its name.
    for (_, expected) in names() {
        let ended = samples.sum("proc_connector_ended_processes_total", &[("program", expected)]);
        assert_eq!(ended, 1.0, "{expected:?}: {samples:#?}");
    }
    for accept in ["application/openmetrics-text", "text/plain"] {
        let request = format!("GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
        let body = exporter.request(&request).body;
        assert_seen(&body);
        assert_eq!(body.matches("# EOF\n").count(), usize::from(accept.contains("open")));
        if accept == "text/plain" {
            check_with_promtool(&body);
        }
    }
}

fn losses_are_counted() {
    let exporter = Exporter::start(&["--buffer", "100"]);
    exporter.send(Signal::SIGSTOP);
    // Six thousand events exceed the buffer by far, on a busy machine too.
    common::load::threads(3_000);
    exporter.send(Signal::SIGCONT);
    let samples = exporter
        .scrape_until(|samples| samples.sum("proc_connector_lost_events_total", &[]) >= 4_000.0);
    assert!(lost(&samples) >= 1.0);
    assert_eq!(samples.sum("proc_connector_unknown_losses_total", &[]), 0.0);
}

fn an_idle_exporter_does_not_wake_up() {
    if transport() != Transport::Ring {
        common::skip("over the socket, events of all processes arrive");
    }
    let (_helper, exporter) = watched("makes_names", &[]);
    exporter.scrape();
    let switches = || -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("a process");
        let number = |task: std::io::Result<fs::DirEntry>| -> u64 {
            let status = fs::read_to_string(task.expect("a thread").path().join("status"));
            let status = status.expect("a thread");
            let line =
                status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.expect("a count").trim().parse().expect("a number")
        };
        tasks.map(number).sum()
    };
    // Other listeners that start or end at this time cause wake-ups: the kernel answers to all.
    let deadline = common::Deadline::new();
    loop {
        let before = switches();
        std::thread::sleep(Duration::from_secs(2));
        if switches() == before {
            break;
        }
        assert!(deadline.left().is_some(), "{} wake-ups in 2 s", switches() - before);
    }
    assert_eq!(Status::read(exporter.pid()).threads(), 2);
}

fn its_own_cpu_time_is_that_of_the_kernel() {
    let exporter = Exporter::start(&[]);
    let ticks = sysconf(SysconfVar::CLK_TCK).expect("a value").expect("a limit");
    let used = || -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", exporter.pid())).expect("a process");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let fields: Vec<f64> = fields.split(' ').skip(11).map_while(|n| n.parse().ok()).collect();
        #[expect(clippy::cast_precision_loss, reason = "100 or 1000")]
        let ticks = ticks as f64;
        (fields[0] + fields[1]) / ticks
    };
    common::load::threads(500);
    let before = used();
    let samples = exporter.scrape();
    let (own, after) = (samples.sum("process_cpu_seconds_total", &[]), used());
    // Two numbers of ticks, each rounded down.
    assert!((before..=after + 0.02).contains(&own), "{own}, not {before} to {after}");
    assert!(samples.sum("process_resident_memory_bytes", &[]) > 1e6);
    assert!(samples.sum("process_start_time_seconds", &[]) > 1e9);
}

fn prometheus_reads_every_metric() {
    if !has_prometheus() {
        common::skip("needs Debian's package prometheus");
    }
    let (mut helper, exporter) = watched("makes_processes", &[]);
    helper.resume();
    let made = f64::from(MADE);
    let samples = exporter.scrape_until(|samples| ended(samples) >= made);
    let server = Prometheus::start(exporter.address);
    let query = |query: &str| server.query(query);
    let deadline = common::Deadline::new();
    while query("up{job=\"test\"}") != Some(1.0) {
        assert!(deadline.left().is_some(), "{:?}", query("up"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let names: BTreeSet<&str> = samples.0.keys().map(|(name, _)| &**name).collect();
    assert!(names.len() >= 17, "{names:?}");
    for name in names {
        assert!(query(&format!("count({name})")).is_some(), "{name} has no series");
    }
    let program = name_of(helper.pid());
    let forks = format!("sum(proc_connector_forks_total{{program=\"{program}\"}})");
    assert_eq!(query(&forks), Some(made));
    let failed = "sum(proc_connector_exits_total{status!=\"0\"}) / sum(proc_connector_exits_total)";
    assert_eq!(query(failed), Some(f64::from(FAILED + KILLED) / made));
    let types = exporter.request("GET /metrics HTTP/1.0\r\n\r\n");
    check_with_promtool(&types.body);
}
