//! The context that the kernel records at an event, compared with the actual task.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::{Deadline, builder, is_cpu_time, kernel_is_at_least, load, named, skip, transport};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use proc_connector::testing::behaviour;
use proc_connector::{
    Context, EventMask, ExitStatus, Filter, Payload, ProcConnector, Received, Transport,
};

fn main() -> ExitCode {
    let roles = named![ends, pauses, changes, ends_threads];
    let tests = named![
        every_exec_has_its_own_arguments,
        long_arguments_are_truncated_and_marked,
        the_context_describes_the_acting_task,
        only_the_identity_is_recorded_unless_more_is_requested,
        the_last_exit_of_threads_that_a_tracer_keeps_ends_their_process,
    ];
    common::main(&roles, &tests)
}

fn ends() {}

fn pauses() {
    pause();
}

/// Changes its name, and its ids if permitted.
fn changes() {
    pause();
    nix::sys::prctl::set_name(c"renamed").expect("a name");
    pause();
}

/// Creates threads that end one after the other, each after some work. The first thread ends among
/// them.
fn ends_threads() {
    let thread = |number: u64| {
        std::thread::spawn(move || {
            sleep(Duration::from_millis(30 * number));
            let until = Instant::now() + Duration::from_millis(5);
            while Instant::now() < until {}
            behaviour::exit_thread(3)
        })
    };
    let threads = [thread(2), thread(3), thread(6)];
    print_number(std::process::id());
    sleep(Duration::from_millis(120));
    drop(threads);
    behaviour::exit_thread(5)
}

/// Records the context of all events, with at most this many bytes of arguments.
fn with_context(args: usize) -> ProcConnector {
    let all = builder().receive_buffer_events(160_000).context(true).argument_bytes(args);
    all.open().expect("a live connector")
}

/// The recorded arguments of these processes, once all of their execs were received.
fn arguments_of(
    connector: &mut ProcConnector,
    processes: &[u32],
) -> BTreeMap<u32, Option<(Vec<u8>, bool)>> {
    let mut found = BTreeMap::new();
    let deadline = Deadline::new();
    while found.len() < processes.len() {
        let left = deadline.left().expect("the execs of processes that have ended");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { panic!("the machine is too busy") };
            let Payload::Exec(exec) = event.payload() else { continue };
            if processes.contains(&exec.process_tgid()) {
                let args = event.context().and_then(|context| context.args());
                let args = args.map(|args| (args.bytes().to_vec(), args.is_cut()));
                found.insert(exec.process_tgid(), args);
            }
        }
    }
    found
}

/// Skips the test if events have no context.
fn require_context() {
    let mut connector = with_context(256);
    let thread = load::threads(1)[0];
    let deadline = Deadline::new();
    loop {
        let left = deadline.left().expect("the exit of a thread that has ended");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { continue };
            let Payload::Exit(exit) = event.payload() else { continue };
            if exit.process_pid() != thread {
                continue;
            }
            assert_eq!(event.context().is_some(), transport() == Transport::Ring);
            if event.context().is_none() {
                skip("events of the socket have no context");
            }
            return;
        }
    }
}

/// Whether any arguments were recorded. Panics if this kernel can provide arguments but did not.
fn has_arguments(found: &BTreeMap<u32, Option<(Vec<u8>, bool)>>) -> bool {
    let any = found.values().any(Option::is_some);
    let types = Path::new("/sys/kernel/btf/vmlinux").exists();
    assert!(any || !types || !kernel_is_at_least(6, 1), "this kernel can provide arguments");
    any
}

fn every_exec_has_its_own_arguments() {
    require_context();
    let mut connector = with_context(256);
    connector.set_filter(&Filter::new(EventMask::EXEC)).expect("a filter");
    let mut expected = BTreeMap::new();
    let mut run = |mut command: Command, words: &[&str]| {
        let mut child = command.args(&words[1..]).arg0(words[0]).spawn().expect("a program");
        let args: Vec<u8> =
            words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        expected.insert(child.id(), Some((args, false)));
        child.wait().expect("a child");
    };
    for number in 0..50 {
        run(command("ends"), &["a helper", &number.to_string(), "", "two words"]);
    }
    let program = Path::new("/bin/true");
    if program.exists() {
        for number in 0..200 {
            run(Command::new(program), &["true", &format!("full-{number}")]);
            // Without an environment, no memory follows the arguments.
            let mut empty = Command::new(program);
            empty.env_clear();
            run(empty, &["true", &format!("empty-{number}")]);
        }
    }
    let processes: Vec<u32> = expected.keys().copied().collect();
    let found = arguments_of(&mut connector, &processes);
    if !has_arguments(&found) {
        skip("this kernel does not provide arguments");
    }
    assert_eq!(found, expected);
}

fn long_arguments_are_truncated_and_marked() {
    require_context();
    let long = "a".repeat(300);
    for (limit, cut) in [(100, true), (308, true), (309, false), (4096, false)] {
        let mut connector = with_context(limit);
        let mut child =
            command("ends").arg0("a helper").arg(&long[..299]).spawn().expect("a program");
        child.wait().expect("a child");
        let found = arguments_of(&mut connector, &[child.id()]);
        if !has_arguments(&found) {
            skip("this kernel does not provide arguments");
        }
        let all = [b"a helper\0", &long.as_bytes()[..299], b"\0"].concat();
        let recorded = all[..limit.min(all.len())].to_vec();
        assert_eq!(found[&child.id()], Some((recorded, cut)), "{limit} bytes");
    }
}

/// Asserts that a recorded value, if any, equals the actual one.
fn assert_recorded<T: PartialEq + std::fmt::Debug>(recorded: Option<T>, actual: &T) {
    if let Some(recorded) = recorded {
        assert_eq!(recorded, *actual);
    }
}

fn the_context_describes_the_acting_task() {
    require_context();
    let mut connector = with_context(0);
    let mut helper = HelperProcess::start("changes");
    let process = helper.pid();
    let path = format!("/proc/{process}");
    let (status, this) = (fs::metadata(&path).expect("its files"), std::process::id());
    let cgroup = cgroup_id(process);
    helper.resume();
    helper.resume();
    let deadline = Deadline::new();
    let (mut seen, mut stamps) = (Vec::new(), Vec::new());
    while !seen.contains(&"exit") {
        let left = deadline.left().expect("the exit of a process that is let go");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { panic!("the machine is too busy") };
            let context = event.context().expect("recorded context");
            let (name, by, comm): (_, _, &[u8]) = match event.payload() {
                Payload::Fork(e) if e.child_tgid() == process => ("fork", this, &[]),
                Payload::Exec(e) if e.process_tgid() == process => ("exec", process, &[]),
                Payload::Comm(e) if e.process_tgid() == process && e.comm()[0] == b'r' => {
                    ("comm", process, b"renamed")
                }
                Payload::Exit(e) if e.process_tgid() == process => ("exit", process, b"renamed"),
                _ => continue,
            };
            seen.push(name);
            assert_recorded(context.tgid(), &by);
            assert_recorded(context.uid(), &status.uid());
            assert_recorded(context.gid(), &status.gid());
            if !comm.is_empty() {
                assert_recorded(context.comm(), &comm);
            }
            if let Some(cgroup) = cgroup {
                assert_recorded(context.cgroup_id(), &cgroup);
            }
            assert_eq!(context.args(), None, "arguments were not requested");
            assert_recorded(context.euid(), &status.uid());
            assert_recorded(context.egid(), &status.gid());
            stamps.extend(boot_less_monotonic(&context, event.timestamp_ns()));
        }
    }
    assert_eq!(seen, ["fork", "exec", "comm", "exit"]);
    // The clocks differ by the time the machine was suspended, which is the same for all events,
    // except for the time between the two readings.
    for pair in stamps.windows(2) {
        assert!(pair[0].abs_diff(pair[1]) < 1_000_000_000, "{stamps:?}");
    }
}

fn boot_less_monotonic(context: &Context<'_>, timestamp_ns: u64) -> Option<u64> {
    let boot_ns = context.boot_ns()?;
    assert!(boot_ns >= timestamp_ns, "{boot_ns} is before {timestamp_ns}");
    Some(boot_ns - timestamp_ns)
}

/// The inode number of a process's cgroup directory, if the version 2 hierarchy is mounted.
fn cgroup_id(process: u32) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|root| Path::new(root).join("cgroup.controllers").exists())?;
    Some(fs::metadata(format!("{root}{path}")).ok()?.ino())
}

fn only_the_identity_is_recorded_unless_more_is_requested() {
    let mut connector = common::open_live();
    let mut helper = HelperProcess::start("pauses");
    let deadline = Deadline::new();
    loop {
        let left = deadline.left().expect("an exec");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { continue };
            let context = event.context();
            assert_eq!(context.is_some(), transport() == Transport::Ring);
            assert!(
                context.is_none_or(|context| context.comm().is_none() && context.args().is_none())
            );
            if matches!(event.payload(), Payload::Exec(exec) if exec.process_tgid() == helper.pid())
            {
                helper.resume();
                return;
            }
        }
    }
}

fn the_last_exit_of_threads_that_a_tracer_keeps_ends_their_process() {
    require_context();
    let mut connector = with_context(0);
    let mut helper = HelperProcess::start("ends_threads");
    let process = helper.read_number();
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let threads: Vec<u32> = tasks
        .map(|task| task.expect("a thread").file_name().to_string_lossy().parse().expect("an id"))
        .filter(|&thread| thread != process)
        .collect();
    let pid = |id: u32| Pid::from_raw(id.try_into().expect("an id"));
    for &thread in &threads {
        ptrace::seize(pid(thread), ptrace::Options::empty()).expect("a thread that runs");
    }
    let deadline = Deadline::new();
    let mut exits = Vec::new();
    while exits.len() < 1 + threads.len() {
        let left = deadline.left().expect("the exits of all threads");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { panic!("the machine is too busy") };
            let Payload::Exit(exit) = event.payload() else { continue };
            if exit.process_tgid() == process {
                let context = event.context().expect("a context");
                exits.push((context.is_over(), context.process_status(), context.process_usage()));
            }
        }
    }
    // Only now are the threads removed.
    for thread in threads {
        waitpid(pid(thread), Some(WaitPidFlag::__WALL)).expect("a thread that has ended");
    }
    let (status, usage) = behaviour::wait4(process).expect("a child");
    let (last, others) = exits.split_last().expect("several");
    assert!(others.iter().all(|(is_over, ..)| *is_over == Some(false)), "{exits:?}");
    let (is_over, process_status, recorded) = last;
    assert_eq!(*is_over, Some(true));
    assert_eq!(*process_status, status.try_into().ok().map(ExitStatus::from_raw));
    let recorded = recorded.expect("the sums of all threads");
    assert_eq!(recorded.min_flt, usage.minor_faults);
    // The thread that reports the end has yet to leave the CPU.
    assert!((1..=3).contains(&(usage.voluntary_switches - recorded.nvcsw)), "{usage:?}");
    assert_eq!(recorded.max_rss, Some(usage.max_rss_kib << 10));
    let (cpu_ns, actual) = (recorded.cpu_ns, usage.cpu_ns);
    assert!(is_cpu_time(cpu_ns, actual), "{cpu_ns} ns, not {actual} ns");
    assert!(cpu_ns > actual / 2, "of several threads: {cpu_ns} ns of {actual} ns");
}
