//! The commands receive only the processes that their options select, beside a flood of others.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use common::failure::assert_fails;
use common::flood::{Flood, floods};
use common::helper_process::{HelperProcess, ROLE, pause, print_number};
use common::listening::listening;
use common::program::{json_lines, program, run, text};
use common::scratch::Scratch;
use common::{
    CAP_SETUID, Deadline, builder, named, require_capability, skip, transport, transport_name,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proc_connector::parser::filter::NamePattern;
use proc_connector::process::ProcessTable;
use proc_connector::testing::behaviour::{exit, fork, wait4};
use proc_connector::{Filter, Payload, Received, Transport};
use serde_json::Value;

fn main() -> ExitCode {
    let roles = named![ends, starts_a_link, makes_children, makes_traced_children, floods];
    let everywhere = named![too_many_alternatives_are_bad_usage];
    let live = named![
        watch_receives_a_tree,
        watch_receives_names,
        watch_receives_users,
        watch_receives_cgroups,
        record_writes_a_tree,
        stats_counts_a_tree,
        trace_receives_its_tree,
        the_choice_in_user_space_is_reported,
        a_cgroup_has_a_share,
        parents_of_selected_processes_are_known,
    ];
    common::main_with(&roles, &everywhere, &live)
}

/// The number of children.
const CHILDREN: usize = 50;

/// Creates children on request, prints their ids, and ends on another request.
fn makes_children() {
    pause();
    let children = (0..CHILDREN).map(|_| {
        let child = fork(|| exit(3));
        wait4(child).expect("a child");
        child
    });
    children.for_each(print_number);
    pause();
}

fn makes_traced_children() {
    (0..CHILDREN).for_each(|_| drop(wait4(fork(|| exit(3)))));
}

fn ends() {}

/// Starts a link in the current directory, and waits.
fn starts_a_link() {
    let mut command = Command::new(format!("./{NAME}"));
    command.env(ROLE, "ends").status().expect("a link");
    pause();
}

fn parents_of_selected_processes_are_known() {
    if transport() == Transport::Socket {
        skip("only the ring records the parent of a process");
    }
    let names = [NamePattern::exact(NAME.as_bytes())];
    let filter = Filter::default().named(&names).expect("one");
    let mut connector = builder().context(true).filter(filter).open().expect("a connector");
    let mut table = ProcessTable::new().expect("/proc");
    let scratch = Scratch::new("parent");
    let own = std::env::current_exe().expect("/proc is mounted");
    std::os::unix::fs::symlink(own, scratch.file(NAME)).expect("a link");
    // Started after the scan of `/proc`, and never selected.
    let parent = HelperProcess::start_in("starts_a_link", scratch.directory());
    let deadline = Deadline::new();
    loop {
        let left = deadline.left().expect("an exec");
        for received in connector.recv_batch_timeout(left).expect("a batch") {
            let Received::Event(event) = received else { panic!("a loss") };
            table.apply(&received);
            let Payload::Exec(exec) = event.payload() else { continue };
            let process = table.get(exec.process_tgid()).expect("it runs");
            assert_eq!(process.parent(), Some(parent.pid()));
            let known = table.get(parent.pid()).expect("the parent");
            assert!(known.comm().is_some_and(|comm| comm.starts_with(b"cli_select")));
            assert!(known.start_boottime_ns().is_some() && known.args().is_some());
            return;
        }
    }
}

/// A process that makes children, in this binary under a name of its own.
struct Maker {
    helper: HelperProcess,
    _scratch: Scratch,
}

const NAME: &str = "cli-select-makr";

impl Maker {
    fn start(change: impl Fn(&mut Command)) -> Self {
        let scratch = Scratch::new("maker");
        let path = scratch.file(NAME);
        let own = std::env::current_exe().expect("/proc is mounted");
        std::os::unix::fs::symlink(own, &path).expect("a link");
        let mut command = Command::new(path);
        command.env(ROLE, "makes_children");
        change(&mut command);
        Self { helper: HelperProcess::spawn(command), _scratch: scratch }
    }

    fn tree(&self) -> String {
        self.helper.pid().to_string()
    }

    /// Makes the children, beside a flood, and ends. Returns all ids, with its own.
    fn run(mut self) -> BTreeSet<u64> {
        let flood = Flood::start();
        self.helper.resume();
        let mut ids: BTreeSet<u64> =
            (0..CHILDREN).map(|_| self.helper.read_number().into()).collect();
        ids.insert(self.helper.pid().into());
        self.helper.resume();
        assert!(self.helper.wait().success());
        drop(flood);
        ids
    }
}

/// Runs a command with options while the maker runs, and ends it. Returns its lines of JSON.
fn lines_of(command: &str, options: &[&str], maker: Maker) -> (Vec<Value>, BTreeSet<u64>) {
    let common = [command, "--json", "--transport", transport_name(), "--buffer", "100000"];
    let mut command = program(&[&common[..], options].concat());
    let child = listening(std::mem::replace(
        command.stdout(Stdio::piped()).stderr(Stdio::piped()),
        Command::new(""),
    ));
    let ids = maker.run();
    // Longer than the program pauses between two batches, so that it has received the last exits.
    std::thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    let output = child.wait_with_output().expect("an exit status");
    assert!(output.status.success(), "{}", text(&output.stderr));
    (json_lines(&output.stdout), ids)
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("a process");
}

/// Asserts that lines are the forks and exits of these processes and of no others. `has_end`: the
/// end of the first process is among them.
fn assert_complete(lines: &[Value], ids: &BTreeSet<u64>, has_end: bool) {
    let of_kind = |kind: &str, key: &str| -> Vec<u64> {
        let lines = lines.iter().filter(|line| line["event"] == kind);
        lines.map(|line| line[key].as_u64().expect("a number")).collect()
    };
    let (forked, exited) = (of_kind("fork", "child_tgid"), of_kind("exit", "tgid"));
    assert_eq!(forked.len(), CHILDREN, "{lines:?}");
    assert!(forked.iter().all(|id| ids.contains(id)), "{forked:?} {ids:?}");
    assert_eq!(exited.len(), CHILDREN + usize::from(has_end), "{exited:?}");
    assert!(exited.iter().all(|id| ids.contains(id)), "{exited:?} {ids:?}");
    assert_eq!(lines.len(), forked.len() + exited.len(), "{lines:?}");
}

fn watch_receives_a_tree() {
    for who in [&["--who"][..], &[]] {
        let maker = Maker::start(|_| {});
        let tree = maker.tree();
        let options = [&["--tree", &tree], who].concat();
        let (lines, ids) = lines_of("watch", &options, maker);
        assert_complete(&lines, &ids, true);
        for line in lines.iter().filter(|line| !who.is_empty() && line["event"] == "exit") {
            assert!(line["process"].is_object(), "{line}");
        }
    }
}

fn watch_receives_names() {
    // Over the socket, the name of a process is unknown if it was created before the scan of `/proc`.
    let other = if transport() == Transport::Ring { "?li-select-ma*" } else { NAME };
    for pattern in [NAME, "cli-select-m*", other] {
        let (lines, ids) = lines_of("watch", &["--comm", pattern], Maker::start(|_| {}));
        assert_complete(&lines, &ids, true);
    }
}

fn watch_receives_users() {
    const USER: u32 = 54_322;
    require_capability(CAP_SETUID, "CAP_SETUID");
    let maker = Maker::start(|command| _ = command.uid(USER));
    let (lines, ids) = lines_of("watch", &["--user", "54322"], maker);
    assert_complete(&lines, &ids, true);
}

/// The mount point of the version 2 hierarchy.
fn version_2() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let Some(mount) = mount else { skip("no version 2 hierarchy is mounted") };
    mount.split(' ').nth(1).expect("a path").into()
}

fn watch_receives_cgroups() {
    let root = version_2();
    let container = "c0ffee5e".repeat(8);
    let name = format!("cli-select-{}", std::process::id());
    let layouts = [
        (name.clone(), format!("/{name}")),
        (format!("{name}/docker-{container}.scope"), container[..12].to_owned()),
    ];
    for (path, option) in layouts {
        let directory = root.join(&path);
        if let Err(error) = fs::create_dir_all(&directory) {
            skip(&format!("cannot make a cgroup: {error}"));
        }
        let maker = Maker::start(|_| {});
        fs::write(directory.join("cgroup.procs"), maker.tree()).expect("a cgroup");
        let (lines, ids) = lines_of("watch", &["--cgroup", &option], maker);
        assert_complete(&lines, &ids, true);
        fs::remove_dir(&directory).expect("an empty cgroup");
    }
    fs::remove_dir(root.join(name)).expect("an empty cgroup");
}

fn record_writes_a_tree() {
    let scratch = Scratch::new("select");
    let file = scratch.file("tree.pcapng");
    // The second pattern is not a condition of a filter.
    let other = if transport() == Transport::Ring { "?li-select*" } else { "cli-select*" };
    for pattern in [None, Some(other)] {
        let maker = Maker::start(|_| {});
        let tree = maker.tree();
        let mut arguments = vec!["record", &file, "--transport", transport_name()];
        arguments.extend(["--buffer", "100000", "--tree", &tree]);
        arguments.extend(pattern.into_iter().flat_map(|pattern| ["--comm", pattern]));
        let recording = listening(program(&arguments));
        let ids = maker.run();
        std::thread::sleep(Duration::from_millis(100));
        interrupt(&recording);
        let output = recording.wait_with_output().expect("an exit status");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let output = run(&["replay", "--json", &file]);
        assert_complete(&json_lines(&output.stdout), &ids, true);
        let again = run(&["replay", "--json", "--tree", &tree, &file]);
        assert_complete(&json_lines(&again.stdout), &ids, true);
        let none = run(&["replay", "--json", "--tree", "4194303", &file]);
        assert_eq!(text(&none.stdout), "");
    }
}

fn stats_counts_a_tree() {
    let maker = Maker::start(|_| {});
    let tree = maker.tree();
    let (lines, _) = lines_of("stats", &["--tree", &tree], maker);
    let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!(sum("ended"), CHILDREN as u64 + 1, "{lines:?}");
    assert_eq!(sum("events"), 2 * CHILDREN as u64 + 1, "{lines:?}");
    assert_eq!(sum("failed"), CHILDREN as u64, "{lines:?}");
    assert_eq!(lines.last().expect("a line")["processes"], 0, "{lines:?}");
}

fn trace_receives_its_tree() {
    let scratch = Scratch::new("trace-select");
    let file = scratch.file("events.jsonl");
    let flood = Flood::start();
    let mut command = program(&["trace", "--quiet", "--transport", transport_name(), "-o", &file]);
    command
        .arg("--")
        .arg(std::env::current_exe().expect("/proc"))
        .env(ROLE, "makes_traced_children");
    let output = command.output().expect("the program runs");
    drop(flood);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = json_lines(&fs::read(&file).expect("a file"));
    let count = |kind: &str| lines.iter().filter(|line| line["event"] == kind).count();
    assert_eq!((count("fork"), count("exec")), (CHILDREN + 1, 1), "{lines:?}");
    assert_eq!(count("exit"), CHILDREN + 1, "{lines:?}");
}

fn the_choice_in_user_space_is_reported() {
    let common = ["watch", "--duration", "10ms", "--transport", transport_name()];
    for (options, is_chosen) in [(&["--user", "0"][..], true), (&[], false)] {
        let output = run(&[&common[..], options].concat());
        let message = "processes are chosen in user space";
        let is_reported = text(&output.stderr).contains(message);
        let expected = is_chosen && transport() == Transport::Socket;
        assert_eq!(is_reported, expected, "{options:?} {}", text(&output.stderr));
    }
}

fn a_cgroup_has_a_share() {
    let maker = Maker::start(|_| {});
    let (lines, _) = lines_of("watch", &["--share", "10"], maker);
    let lost: u64 = lines
        .iter()
        .filter(|line| line["event"] == "lost")
        .inspect(|line| assert_eq!(line["cause"], "share_exceeded", "{line}"))
        .filter_map(|line| line["count"].as_u64())
        .sum();
    assert_eq!(lost > 0, transport() == Transport::Ring, "{lost}");
}

fn too_many_alternatives_are_bad_usage() {
    let numbers: Vec<String> = (1..=65).map(|number| number.to_string()).collect();
    for (option, kind) in [("--user", "users"), ("--comm", "names")] {
        let mut arguments = vec!["replay", "--demo"];
        arguments.extend(numbers.iter().flat_map(|number| [option, number]));
        let message = format!("too many {kind} for a filter: 65, at most 64 allowed");
        assert_fails(&arguments, &run(&arguments), 2, &message);
    }
}
