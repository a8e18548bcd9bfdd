//! Cgroups and containers in the hierarchies of this machine.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::helper_process::{HelperProcess, command, pause, print_number};
use common::namespaces::require_namespaces;
use common::{Deadline, builder, named, skip};
use nix::sched::{CloneFlags, unshare};
use proc_connector::ProcConnector;
use proc_connector::process::{Change, ChangeKind, Process, ProcessTable};

fn main() -> ExitCode {
    let roles = named![pauses, executes_in_its_new_cgroup, looks_out_of_a_namespace];
    let everywhere = named![
        a_process_has_the_cgroup_it_was_moved_to,
        a_container_in_a_single_hierarchy_is_found,
        the_innermost_container_counts,
        a_monitor_is_outside_of_any_container,
        a_long_path_is_complete,
        a_container_is_found_from_another_cgroup_namespace,
    ];
    let live = named![each_process_has_its_own_cgroup];
    common::main_with(&roles, &everywhere, &live)
}

fn pauses() {
    print_number(1);
    pause();
}

fn executes_in_its_new_cgroup() {
    pause();
    panic!("{}", command("pauses").exec());
}

/// The hierarchies in which cgroups can be created: the controllers in their line, and their mount
/// points.
fn hierarchies() -> Vec<(String, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let mut found = Vec::new();
    for line in mounts.lines() {
        let (mount, kind) = line.split_once(" - ").expect("two parts");
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next().expect("a root"), fields.next().expect("a mount point"));
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next().expect("a kind"), kind.nth(1).expect("options"));
        let controllers = match kind {
            "cgroup2" => "",
            "cgroup" => options.strip_prefix("rw,").unwrap_or(options),
            _ => continue,
        };
        let of_use = ["", "name=systemd", "memory", "pids", "cpu", "freezer"];
        if root == "/" && of_use.contains(&controllers) {
            found.push((controllers.to_owned(), PathBuf::from(point)));
        }
    }
    found
}

/// The cgroups of a test, removed on drop.
struct TestCgroups {
    /// Outermost first.
    directories: Vec<PathBuf>,
}

impl TestCgroups {
    fn new() -> Self {
        Self { directories: Vec::new() }
    }

    /// Creates a cgroup in a hierarchy. Skips the test if that is impossible.
    fn cgroup(&mut self, hierarchy: &Path, path: &str) -> PathBuf {
        let mut directory = hierarchy.to_owned();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            directory.push(name);
            match fs::create_dir(&directory) {
                Ok(()) => self.directories.push(directory.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => skip(&format!("no cgroup can be made: {error}")),
            }
        }
        directory
    }

    /// Moves a process to a cgroup.
    fn put(cgroup: &Path, process: u32) {
        let mut members =
            fs::File::options().write(true).open(cgroup.join("cgroup.procs")).expect("a cgroup");
        if let Err(error) = write!(members, "{process}") {
            skip(&format!("no process can be moved there: {error}"));
        }
    }
}

impl Drop for TestCgroups {
    fn drop(&mut self) {
        // The processes in the cgroup may need some time to exit.
        let deadline = Deadline::new();
        for directory in self.directories.iter().rev() {
            while fs::remove_dir(directory).is_err() && deadline.left().is_some() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// The name of a test's outermost cgroup, unique to the test.
fn name(of: &str) -> String {
    format!("proc-connector-{}-{of}", std::process::id())
}

fn id(digits: &str) -> String {
    digits.repeat(64 / digits.len())
}

/// The table's entry for a process after it was moved to `paths`: a cgroup, or none, by hierarchy.
fn read_in(of: &str, paths: impl Fn(&str) -> Option<String>) -> Process {
    let mut made = TestCgroups::new();
    let hierarchies = hierarchies();
    if hierarchies.is_empty() {
        skip("no cgroups are mounted");
    }
    let mut helper = HelperProcess::start("pauses");
    helper.read_number();
    let mut any = false;
    for (controllers, point) in &hierarchies {
        if let Some(path) = paths(controllers) {
            let cgroup = made.cgroup(point, &format!("{}{path}", name(of)));
            TestCgroups::put(&cgroup, helper.pid());
            any = true;
        }
    }
    if !any {
        skip("the hierarchy is not mounted");
    }
    let table = ProcessTable::new().expect("/proc is mounted");
    let process = table.get(helper.pid()).expect("a process").clone();
    drop(helper);
    drop(made);
    process
}

fn a_process_has_the_cgroup_it_was_moved_to() {
    let process = read_in("plain", |_| Some("/a:b (c)".to_owned()));
    let path = process.cgroup().expect("a cgroup").to_str().expect("UTF-8");
    assert_eq!(path, format!("/{}/a:b (c)", name("plain")));
    assert_eq!(process.container(), None);
}

fn a_container_in_a_single_hierarchy_is_found() {
    for (only, _) in hierarchies() {
        let id = id("c0ffee11");
        let process = read_in("one", |controllers| {
            (controllers == only).then(|| format!("/docker-{id}.scope/init"))
        });
        assert_eq!(process.container(), Some(&*id), "in {only:?}: {:?}", process.cgroup());
    }
}

fn the_innermost_container_counts() {
    for (inner, _) in hierarchies() {
        let (outer_id, inner_id) = (id("0a"), id("f1"));
        let process = read_in("nested", |controllers| {
            let outer = format!("/docker/{outer_id}");
            Some(if controllers == inner { format!("{outer}/docker/{inner_id}") } else { outer })
        });
        assert_eq!(process.container(), Some(&*inner_id), "in {inner:?}: {:?}", process.cgroup());
    }
}

fn a_monitor_is_outside_of_any_container() {
    let id = id("c0ffee22");
    let process = read_in("monitor", |_| Some(format!("/libpod-conmon-{id}.scope")));
    assert!(process.cgroup().is_some_and(|path| path.as_os_str().as_bytes().ends_with(b".scope")));
    assert_eq!(process.container(), None);
}

/// Makes `/proc/PID/cgroup` longer than a page, with the decisive path in its last line.
fn a_long_path_is_complete() {
    let lines = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let last = lines.lines().last().and_then(|line| line.split(':').nth(1)).expect("a line");
    let id = id("c0ffee33");
    let long = format!("/{}", "x".repeat(250)).repeat(9);
    let process = read_in("long", |controllers| {
        Some(if controllers == last { format!("{long}/docker/{id}") } else { long.clone() })
    });
    let path = process.cgroup().expect("a cgroup").to_str().expect("UTF-8");
    assert_eq!(path, format!("/{}{long}/docker/{id}", name("long")));
    assert_eq!(process.container(), Some(&*id));
}

fn a_container_is_found_from_another_cgroup_namespace() {
    require_namespaces();
    if hierarchies().is_empty() {
        skip("no cgroups are mounted");
    }
    let id = id("c0ffee44");
    let mut made = TestCgroups::new();
    let mut inside = HelperProcess::start("pauses");
    let mut looking = HelperProcess::start("looks_out_of_a_namespace");
    inside.read_number();
    for (_, point) in hierarchies() {
        let path = format!("{}/docker-{id}.scope", name("namespace"));
        TestCgroups::put(&made.cgroup(&point, &path), inside.pid());
        let path = format!("{}/here", name("namespace"));
        TestCgroups::put(&made.cgroup(&point, &path), looking.pid());
    }
    looking.resume();
    looking.write_number(inside.pid());
    assert_eq!(looking.read_number(), 44, "the container, by the last digits of its id");
    assert!(looking.wait().success());
    drop(inside);
}

/// A role: reads the table from within a cgroup namespace.
fn looks_out_of_a_namespace() {
    pause();
    unshare(CloneFlags::CLONE_NEWCGROUP).expect("a privileged process");
    let mut other = String::new();
    std::io::stdin().read_line(&mut other).expect("a line");
    let other = other.trim().parse().expect("an id");
    let table = ProcessTable::new().expect("/proc is mounted");
    let process = table.get(other).expect("a process");
    let lines = fs::read_to_string(format!("/proc/{other}/cgroup")).expect("a process");
    let path = process.cgroup().and_then(Path::to_str).expect("a cgroup");
    assert!(path.starts_with("/../docker-") && lines.contains(path), "{path}: {lines}");
    let digits = process.container().map(|id| &id[id.len() - 2..]);
    print_number(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0));
}

/// A connector, its table, and the cgroups of processes that executed a program.
struct Observer {
    connector: ProcConnector,
    table: ProcessTable,
}

impl Observer {
    fn start() -> Self {
        let connector = builder().receive_buffer_events(160_000).context(true).open();
        let connector = connector.expect("a live connector");
        let table = ProcessTable::new().expect("/proc is mounted");
        Self { connector, table }
    }

    /// The cgroup of a process after its exec.
    fn executed(&mut self, tgid: u32) -> Option<PathBuf> {
        let deadline = Deadline::new();
        loop {
            let left = deadline.left().expect("an exec");
            let left = self.table.rescan_in().map_or(left, |due| due.min(left));
            let mut found = None;
            let mut note = |change: Change<'_>| {
                if change.kind == ChangeKind::Executed && change.process.tgid() == tgid {
                    found = Some(change.process.cgroup().map(Path::to_owned));
                }
            };
            for received in self.connector.recv_batch_timeout(left).expect("a batch") {
                self.table.apply(&received).for_each(&mut note);
            }
            self.table.rescan_if_due().expect("/proc is mounted").for_each(&mut note);
            if let Some(found) = found {
                return found;
            }
        }
    }
}

/// With the ring, the kernel records a cgroup id at the event. Processes in different cgroups of
/// version 1 can be in the same one of version 2, so the id must not be used there.
fn each_process_has_its_own_cgroup() {
    let hierarchies = hierarchies();
    let [(_, first), ..] = &*hierarchies else { skip("no cgroups are mounted") };
    for point in [first].into_iter().chain(hierarchies.iter().map(|(_, point)| point)) {
        let mut made = TestCgroups::new();
        let mut observer = Observer::start();
        let mut expected = Vec::new();
        // The first process is in none of these cgroups, so that a wrong path could be cached.
        for place in [None, Some("a"), Some("b"), None] {
            let mut helper = HelperProcess::start("executes_in_its_new_cgroup");
            let cgroup = place.map(|place| {
                let path = format!("{}/{place}/{}", name("exec"), id("ab"));
                TestCgroups::put(&made.cgroup(point, &path), helper.pid());
                format!("/{path}")
            });
            observer.executed(helper.pid());
            helper.resume();
            helper.read_number();
            let lines = fs::read_to_string(format!("/proc/{}/cgroup", helper.pid()));
            let lines = lines.expect("a running process");
            let seen = observer.executed(helper.pid());
            let path = seen.as_deref().and_then(Path::to_str).expect("a cgroup").to_owned();
            match cgroup {
                Some(cgroup) => assert_eq!(path, cgroup, "{lines}"),
                None => assert!(lines.lines().any(|line| line.ends_with(&format!(":{path}")))),
            }
            expected.push(helper);
        }
        drop(expected);
        drop(made);
    }
}
