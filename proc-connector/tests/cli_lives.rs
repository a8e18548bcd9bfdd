//! `trace`: how processes ended, which process created them and what they used, compared with
//! `wait4`.

mod common;

use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode, Output};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use common::helper_process::command;
use common::program::text;
use common::scratch::Scratch;
use common::tracing::{depth, line_of, printed_ids, run_traced};
use common::{named, transport};
use nix::time::{ClockId, clock_gettime};
use proc_connector::Transport;
use proc_connector::testing::behaviour::{self as sys, exit_thread};
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        a_process_ends_with_its_last_thread,
        a_sibling_is_below_its_creator,
        a_process_shows_what_it_used,
        all_threads_of_a_process_count,
        siblings_are_sorted,
        the_reason_for_an_unknown_usage_is_shown,
    ];
    let roles = named![
        exit_0,
        have_processes_with_threads,
        end_with_0_after_5,
        end_with_3_after_0,
        have_a_creator_of_siblings,
        create_a_sibling,
        use_resources,
        use_threads,
        use_much,
        use_20_threads,
    ];
    common::main(&roles, &live)
}

fn exit_0() {}

/// Starts each role, waits for it, and prints its process id and exit code.
fn run_roles(roles: &[&str]) {
    for role in roles {
        let mut child = command(role).spawn().expect("a child");
        let code = child.wait().expect("an exit status").code().expect("an exit code");
        println!("{role} {}\n{role}_code {code}", child.id());
    }
}

fn have_processes_with_threads() {
    run_roles(&["end_with_0_after_5", "end_with_3_after_0"]);
}

fn end_with_0_after_5() {
    end_after_the_first_thread(5, 0);
}

fn end_with_3_after_0() {
    end_after_the_first_thread(0, 3);
}

/// Ends the first thread with one code, and later the last one with another.
fn end_after_the_first_thread(first: i32, last: i32) {
    thread::spawn(move || {
        let pid = std::process::id();
        let stat = format!("/proc/{pid}/task/{pid}/stat");
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            thread::yield_now();
        }
        exit_thread(last);
    });
    exit_thread(first);
}

/// Waits for a child, and for the process that this child makes a child of this process.
fn have_a_creator_of_siblings() {
    #[expect(clippy::zombie_processes, reason = "all children are waited for below")]
    let creator = command("create_a_sibling").spawn().expect("a child");
    println!("creator {}", creator.id());
    while nix::sys::wait::wait().is_ok() {}
}

fn create_a_sibling() {
    let creation =
        sys::Creation { flags: libc::CLONE_PARENT, exit_signal: 0, ..Default::default() };
    let sibling = sys::clone(creation, || sys::exit(4)).expect("a sibling");
    println!("sibling {sibling}");
}

/// Three children that use different amounts of CPU time, memory and I/O.
fn use_resources() {
    for size in [2, 60, 15] {
        measure(command("use_much").arg(size.to_string()), &size.to_string());
    }
}

/// Runs a command, and prints what `wait4` reports of it.
fn measure(command: &mut Command, name: &str) {
    #[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
    let child = command.spawn().expect("a child");
    let (_, usage) = sys::wait4(child.id()).expect("a child");
    let (pid, sys::Usage { cpu_ns, max_rss_kib, .. }) = (child.id(), usage);
    println!("used_{name} {pid}\ncpu_us_{name} {}\nrss_{name} {max_rss_kib}", cpu_ns / 1_000);
}

/// A child whose threads end together.
fn use_threads() {
    measure(&mut command("use_20_threads"), "threads");
}

fn use_20_threads() {
    let (scratch, barrier) = (Scratch::new("threads"), Barrier::new(21));
    thread::scope(|scope| {
        for number in 0..20 {
            let (file, barrier) = (scratch.file(&number.to_string()), &barrier);
            scope.spawn(move || {
                fs::write(file, vec![1; 1 << 20]).expect("a writable directory");
                burn(5);
                barrier.wait();
                nix::unistd::pause();
            });
        }
        barrier.wait();
        let _ = fs::remove_dir_all(scratch.directory());
        print_written("threads");
        sys::exit(0);
    });
}

/// Uses a CPU for some milliseconds and as many MiB of memory, and writes the same to a file.
fn use_much() {
    let size = std::env::args().nth(1).expect("a number");
    let number: usize = size.parse().expect("a number");
    black_box(vec![1_u8; number << 20]);
    let scratch = Scratch::new("written");
    let file = scratch.file("file");
    fs::write(&file, vec![1; number << 20]).expect("a writable directory");
    drop(scratch);
    burn(number.try_into().expect("small"));
    print_written(&size);
}

/// Continues until this thread has used a CPU for some milliseconds.
fn burn(milliseconds: u64) {
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
    while Duration::from(used()) < Duration::from_millis(milliseconds) {
        black_box(milliseconds);
    }
}

/// Prints the number of bytes that this process wrote, if the kernel counts them.
fn print_written(name: &str) {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    for line in io.lines().filter(|line| line.starts_with("write_bytes: ")) {
        println!("write_{name} {}", line.rsplit(' ').next().expect("a number"));
    }
}

fn a_process_ends_with_its_last_thread() {
    let output = run_traced(&[], "have_processes_with_threads");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (tree, printed) = (text(&output.stderr), printed_ids(&output.stdout));
    for (role, code) in [("end_with_0_after_5", 0), ("end_with_3_after_0", 3)] {
        assert_eq!(printed[format!("{role}_code").as_str()], code, "from wait4");
        let line = line_of(tree, printed[role]);
        let is_shown = line.contains(&format!(" exit {code} "));
        let is_unknown = transport() == Transport::Socket && line.contains(" unknown ");
        assert!(is_shown || is_unknown, "{tree}");
        assert!(line.ends_with("+1 thread"), "{tree}");
    }
    if transport() == Transport::Ring {
        assert!(tree.contains("\n3 processes, 1 failed, "), "{tree}");
    }
}

fn a_sibling_is_below_its_creator() {
    if transport() == Transport::Socket {
        common::skip("only the ring transport reports the creator");
    }
    let output = run_traced(&[], "have_a_creator_of_siblings");
    let (tree, printed) = (text(&output.stderr), printed_ids(&output.stdout));
    let [creator, sibling] = ["creator", "sibling"].map(|name| line_of(tree, printed[name]));
    assert_eq!(depth(sibling), depth(creator) + 3, "{tree}");
    assert!(sibling.contains("✗ exit 4 "), "{tree}");
    // The same for the command itself, whose sibling is a child of the tracer.
    let output = run_traced(&[], "create_a_sibling");
    let (tree, printed) = (text(&output.stderr), printed_ids(&output.stdout));
    assert!(depth(line_of(tree, printed["sibling"])) > 0, "{tree}");
    assert!(tree.contains("\n2 processes, 1 failed, "), "{tree}");
}

fn a_process_shows_what_it_used() {
    if transport() == Transport::Socket {
        common::skip("only the ring transport reports usage");
    }
    let tree = compare("use_resources", &["2", "15", "60"]);
    assert!(tree.lines().next().is_some_and(|headings| headings.contains("  CPU ")), "{tree}");
    let sum = tree.lines().last().expect("a line");
    assert!(sum.starts_with("4 processes, 0 failed, "), "{tree}");
    assert!(sum.contains(" of CPU time, peak memory "), "{tree}");
}

fn all_threads_of_a_process_count() {
    if transport() == Transport::Socket {
        common::skip("only the ring transport reports usage");
    }
    compare("use_threads", &["threads"]);
}

/// Traces a role, and compares the tree and the trace events with what the role prints. Returns the
/// tree.
fn compare(role: &str, names: &[&str]) -> String {
    let scratch = Scratch::new("usage");
    let file = scratch.file("x.json");
    let output = run_traced(&["-o", &file], role);
    let (tree, printed) = (text(&output.stderr), printed_ids(&output.stdout));
    let trace: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    let processes = trace["traceEvents"].as_array().expect("a list").iter();
    let processes: Vec<&Value> =
        processes.filter(|event| event["ph"] == "X").map(|event| &event["args"]).collect();
    let number = |details: &Value, key: &str| {
        details[key].as_u64().unwrap_or_else(|| panic!("no {key} in {details}"))
    };
    for name in names {
        let printed = |key: &str| printed.get(format!("{key}_{name}").as_str()).copied();
        let known = |key: &str| u64::from(printed(key).expect("a number"));
        let pid = printed("used").expect("a number");
        let details = processes.iter().find(|details| details["pid"] == pid).expect("a process");
        let (cpu_ns, expected) = (number(details, "cpu_ns"), known("cpu_us") * 1_000);
        let difference = cpu_ns.abs_diff(expected);
        assert!(difference < expected / 100 + 1_000_000, "{cpu_ns} ns, not {expected} ns");
        let max_rss = number(details, "max_rss");
        assert_eq!(max_rss, known("rss") << 10, "{name}");
        if let Some(written) = printed("write") {
            assert_eq!(number(details, "write_bytes"), u64::from(written), "{name}: {tree}");
        }
        // The tree shows the same, with two or three digits.
        let (mib, tenths) = (max_rss >> 20, ((max_rss % (1 << 20)) * 10) >> 20);
        let memory = if mib < 10 { format!(" {mib}.{tenths}M ") } else { format!(" {mib}M ") };
        assert!(line_of(tree, pid).contains(&memory), "no {memory}: {tree}");
    }
    // The first process has written nothing, although it has waited for those that did.
    assert_eq!(
        (processes[0]["pid"].as_u64(), number(processes[0], "write_bytes")),
        (first(tree), 0)
    );
    tree.to_owned()
}

/// The process id in the first line below the headings.
fn first(tree: &str) -> Option<u64> {
    tree.lines().nth(1)?.split_whitespace().next()?.parse().ok()
}

/// The numbers in the names of the children of `use_resources`, from the top.
fn sizes(output: &Output) -> Vec<&str> {
    let lines = text(&output.stderr).lines().filter(|line| depth(line) > 0);
    lines.map(|line| line.rsplit(' ').next().expect("a number")).collect()
}

fn siblings_are_sorted() {
    assert_eq!(sizes(&run_traced(&["--full"], "use_resources")), ["2", "60", "15"]);
    for key in ["cpu", "mem"] {
        let output = run_traced(&["--full", "--sort", key], "use_resources");
        // Without known values, the order is that of the starts.
        let is_sorted = transport() == Transport::Ring;
        let expected = if is_sorted { ["60", "15", "2"] } else { ["2", "60", "15"] };
        assert_eq!(sizes(&output), expected, "{key}: {}", text(&output.stderr));
    }
}

fn the_reason_for_an_unknown_usage_is_shown() {
    let output = run_traced(&[], "exit_0");
    let tree = text(&output.stderr);
    let reason = "; CPU time, memory and I/O require the ring transport\n";
    let is_socket = transport() == Transport::Socket;
    assert_eq!(tree.ends_with(reason), is_socket, "{tree}");
    assert_eq!(tree.contains("  CPU "), !is_socket, "{tree}");
}
