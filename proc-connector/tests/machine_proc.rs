//! Machines whose `/proc` shows less than all, or other processes than these.

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::process::{Command, ExitCode, Stdio};

use common::actor::{Actor, pause, say};
use common::elsewhere::{
    checked_by, listening, mount_over, need_namespaces, own_mounts, transport_of_test,
};
use common::{named, skip};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::kill;
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};
use proc_connector::capture::Origin;
use proc_connector::process::{ChangeKind, ProcessTable};
use proc_connector::{ProcConnector, Transport, Verdict, diagnose};

fn main() -> ExitCode {
    let acts = named![
        mounts_its_proc,
        meets_anothers_proc,
        meets_an_outer_proc,
        looks_at_an_outer_proc,
        meets_no_proc,
        meets_processes_only,
        meets_hidden_processes,
        meets_unreadable_processes,
        runs_out_of_files,
        loses_proc_later,
        has_a_name_of_any_bytes,
        runs_the_program_without_proc,
        runs_the_program_with_anothers_proc,
        runs_the_program_with_processes_only,
        pauses,
    ];
    let everywhere = named![
        anothers_proc_is_not_used,
        an_outer_proc_is_not_used,
        what_is_no_proc_is_not_used,
        a_proc_with_nothing_but_processes_will_do,
        hidden_processes_are_not_gone,
        unreadable_processes_are_not_gone,
        without_descriptors_nobody_is_gone,
        a_proc_that_is_covered_later_is_still_used,
        names_are_any_bytes,
        kernel_threads_run_no_program,
    ];
    let live = named![
        the_program_says_that_there_is_no_proc,
        the_program_says_that_proc_is_anothers,
        the_program_needs_nothing_but_processes,
    ];
    common::main_with(&acts, &everywhere, &live)
}

fn checked(act: &str) {
    need_namespaces();
    checked_by(act);
}

fn anothers_proc_is_not_used() {
    checked("meets_anothers_proc");
}

fn an_outer_proc_is_not_used() {
    checked("meets_an_outer_proc");
}

fn what_is_no_proc_is_not_used() {
    checked("meets_no_proc");
}

fn a_proc_with_nothing_but_processes_will_do() {
    checked("meets_processes_only");
}

fn hidden_processes_are_not_gone() {
    checked("meets_hidden_processes");
}

fn unreadable_processes_are_not_gone() {
    checked("meets_unreadable_processes");
}

fn without_descriptors_nobody_is_gone() {
    checked_by("runs_out_of_files");
}

fn a_proc_that_is_covered_later_is_still_used() {
    checked("loses_proc_later");
}

fn names_are_any_bytes() {
    checked_by("has_a_name_of_any_bytes");
}

fn the_program_says_that_there_is_no_proc() {
    checked("runs_the_program_without_proc");
}

fn the_program_says_that_proc_is_anothers() {
    checked("runs_the_program_with_anothers_proc");
}

fn the_program_needs_nothing_but_processes() {
    checked("runs_the_program_with_processes_only");
}

fn kernel_threads_run_no_program() {
    if fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        skip("no kernel threads are to be seen");
    }
    let table = ProcessTable::new().expect("/proc is mounted");
    let thread = table.get(2).expect("a process");
    assert!(thread.is_kernel_thread());
    assert_eq!((thread.comm(), thread.args(), thread.exe()), (Some(&b"kthreadd"[..]), None, None));
}

fn pauses() {
    say(1);
    pause();
}

/// The finding of a check, and the worst of all.
fn found(check: &str) -> (Verdict, String, Verdict) {
    let diagnosis = diagnose();
    let finding = diagnosis.findings.iter().find(|finding| finding.check == check);
    let finding = finding.expect("a check of this name");
    (finding.verdict, finding.fact.clone(), diagnosis.verdict())
}

/// That no table is made, and why.
fn refused(why: &str) {
    let error = ProcessTable::new().expect_err("not the /proc of this process");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    let (verdict, fact, _) = found("/proc");
    assert_eq!(verdict, Verdict::Limited);
    assert!(fact.contains(why), "{fact}");
}

/// As the first process of a pid namespace.
fn mounts_its_proc() {
    assert_eq!(std::process::id(), 1);
    mount_over("/proc", "proc", "");
    pauses();
}

/// Covers `/proc` by that of another pid namespace, for as long as what it returns is there.
fn cover_with_anothers_proc() -> Actor {
    own_mounts();
    let own = File::open("/proc/self/ns/pid").expect("/proc is mounted");
    unshare(CloneFlags::CLONE_NEWPID).expect("a privileged process");
    let mut first = Actor::start("mounts_its_proc");
    assert_eq!(first.hear(), 1);
    // Other children are to be where this process is.
    setns(own, CloneFlags::CLONE_NEWPID).expect("its own namespace");
    // It has these mounts too.
    assert!(fs::read_link("/proc/self").is_err());
    first
}

fn meets_anothers_proc() {
    let _first = cover_with_anothers_proc();
    refused("another pid namespace");
}

fn meets_an_outer_proc() {
    unshare(CloneFlags::CLONE_NEWPID).expect("a privileged process");
    checked_by("looks_at_an_outer_proc");
}

fn looks_at_an_outer_proc() {
    assert_eq!(std::process::id(), 1);
    assert!(fs::read_link("/proc/self").is_ok_and(|id| id.to_str() != Some("1")));
    refused("another pid namespace");
    assert_eq!(found("pid namespace").0, Verdict::Fails);
}

fn meets_no_proc() {
    own_mounts();
    mount_over("/proc", "tmpfs", "");
    refused("no proc file system");
    // Something that looks like it.
    let id = std::process::id();
    fs::create_dir_all("/proc/self/ns").expect("a file system of its own");
    fs::create_dir_all(format!("/proc/{id}")).expect("the same");
    fs::write("/proc/self/status", format!("NSpid:\t{id}\n")).expect("the same");
    fs::write("/proc/self/ns/pid", "").expect("the same");
    fs::write("/proc/self/ns/time", "").expect("the same");
    refused("no proc file system");
    assert_eq!(found("pid namespace").0, Verdict::Limited, "this is not known");
    assert_eq!(found("kernel").0, Verdict::Ok);
}

fn meets_processes_only() {
    own_mounts();
    let (_, _, before) = found("kernel");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    umount2("/proc", MntFlags::MNT_DETACH).expect("mounts of its own");
    mount_over("/proc", "proc", "subset=pid");
    if fs::exists("/proc/sys").expect("a directory") {
        return eprintln!("skipped: this kernel knows no subset=pid");
    }
    let table = ProcessTable::new().expect("it has all processes");
    assert!(table.get(std::process::id()).is_some_and(|own| own.exe().is_some()));
    let (kernel, version, now) = found("kernel");
    assert_eq!((kernel, now), (Verdict::Ok, before));
    let (major, _) = release.split_once('.').expect("a version");
    assert!(version.contains(&format!("Linux {major}.")), "{version}");
    let (connector, fact, _) = found("connector");
    assert!(before == Verdict::Fails || connector == Verdict::Ok, "{fact}");
    let origin = Origin::this_machine();
    assert_eq!(origin.os, Some(format!("Linux {}", release.trim())));
    assert!(origin.host.is_some());
}

/// Whether a process is there, by another way than `/proc`.
fn exists(tgid: u32) -> bool {
    kill(Pid::from_raw(tgid.try_into().expect("an id")), None) != Err(Errno::ESRCH)
}

/// A table, those in it, and one of them that will end when it is told to.
struct Known {
    table: ProcessTable,
    before: BTreeSet<u32>,
    ending: Actor,
}

impl Known {
    fn start() -> Self {
        let mut ending = Actor::start("pauses");
        ending.hear();
        let table = ProcessTable::new().expect("/proc is mounted");
        let before = table.iter().map(proc_connector::process::Process::tgid).collect();
        Self { table, before, ending }
    }

    /// Looks again, when one has ended and not all can be seen: only those are gone that are.
    fn look(self) {
        let Self { mut table, before, mut ending } = self;
        let ended = ending.pid();
        ending.go_on();
        assert!(ending.wait().success());
        let changes = table.rescan().expect("a look");
        let gone = changes.filter(|change| change.kind == ChangeKind::Vanished);
        let gone: BTreeSet<u32> = gone.map(|change| change.process.tgid()).collect();
        assert!(gone.contains(&ended), "{ended} has ended");
        for tgid in &gone {
            assert!(!exists(*tgid), "{tgid} is there");
        }
        assert!(table.get(1).is_some() && before.contains(&1));
        for tgid in before.difference(&gone).filter(|tgid| exists(**tgid)) {
            assert!(table.get(*tgid).is_some(), "{tgid} is not gone");
        }
    }
}

fn become_nobody() {
    const NOBODY: u32 = 65_534;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).expect("a privileged process");
    setresgid(group, group, group).expect("a privileged process");
    setresuid(user, user, user).expect("a privileged process");
}

/// A table made when all could be seen, by a process that is nobody after that.
fn look_as_nobody(hidepid: &str) {
    own_mounts();
    umount2("/proc", MntFlags::MNT_DETACH).expect("mounts of its own");
    mount_over("/proc", "proc", hidepid);
    let known = Known::start();
    assert_eq!(found("/proc").0, Verdict::Ok, "a privileged process sees all");
    become_nobody();
    assert!(fs::read("/proc/1/stat").is_err());
    let (verdict, fact, _) = found("/proc");
    assert_eq!(verdict, Verdict::Limited);
    assert!(fact.contains("hidepid"), "{fact}");
    known.look();
    // A table that never saw them knows those that it may see.
    let table = ProcessTable::new().expect("a /proc of its own");
    assert!(table.get(1).is_none() && table.get(std::process::id()).is_some());
}

fn meets_hidden_processes() {
    look_as_nobody("hidepid=2");
}

fn meets_unreadable_processes() {
    look_as_nobody("hidepid=1");
}

fn runs_out_of_files() {
    let known = Known::start();
    let before = known.before.clone();
    let mut table = known.table;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let mut failed = 0;
    for limit in 0..24 {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).expect("a lower limit");
        let gone: io::Result<Vec<u32>> = table.rescan().map(|changes| {
            let gone = changes.filter(|change| change.kind == ChangeKind::Vanished);
            gone.map(|change| change.process.tgid()).collect()
        });
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit from before");
        match gone {
            Ok(gone) => assert!(gone.into_iter().all(|tgid| !exists(tgid)), "at {limit}"),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32), "at {limit}");
                failed += 1;
            }
        }
        for tgid in before.iter().filter(|tgid| exists(**tgid)) {
            assert!(table.get(*tgid).is_some(), "{tgid} is not gone at {limit}");
        }
    }
    assert!(failed > 0, "a limit of 0 lets nobody open a file");
    table.rescan().expect("a look");
}

fn loses_proc_later() {
    own_mounts();
    let known = Known::start();
    mount_over("/proc", "tmpfs", "");
    // Nothing but the process's own is of the file system that was there.
    let Known { mut table, before, mut ending } = known;
    ending.go_on();
    let ended = ending.pid();
    assert!(ending.wait().success());
    let changes = table.rescan().expect("a look");
    let gone = changes.filter(|change| change.kind == ChangeKind::Vanished);
    let gone: Vec<u32> = gone.map(|change| change.process.tgid()).collect();
    assert!(gone.contains(&ended));
    assert!(gone.iter().all(|tgid| !exists(*tgid)), "{gone:?} of {}", before.len());
}

fn has_a_name_of_any_bytes() {
    let names: [&[u8]; 6] =
        [b"a) R 1 (b", b"a\\b", b"a\nb", b"a\\\n)(\\n", b"\xff\x01 \xc3", b"1 (x) S 0"];
    for name in names {
        fs::write("/proc/self/comm", name).expect("its own name");
        let table = ProcessTable::new().expect("/proc is mounted");
        let own = table.get(std::process::id()).expect("this process");
        assert_eq!(own.comm(), Some(name));
        assert_eq!(own.parent(), Some(std::os::unix::process::parent_id()));
        let (_, fact, _) = found("privileges");
        assert!(fact.contains("CAP_NET_ADMIN"), "{fact}");
    }
}

/// What the program writes when it watches a process that comes and goes.
fn watched() -> (bool, String, String) {
    let mut watch = listening(env!("CARGO_BIN_EXE_proc-connector"), "watch");
    let mut child = watch
        .args(["--events", "exit", "--count", "20", "--duration", "60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // Until it has seen enough, however long it takes to listen.
    while child.try_wait().expect("a child").is_none() {
        let Ok(mut ended) = Command::new("/bin/true").spawn() else { break };
        ended.wait().expect("a child");
    }
    let output = child.wait_with_output().expect("its end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn warned(of: &str) {
    let (ended_well, events, said) = watched();
    assert!(ended_well, "{said}");
    assert!(events.lines().count() >= 20, "{events}");
    let warning = said.lines().find(|line| line.contains("warning")).unwrap_or_default();
    assert!(warning.contains(of), "{said}");
    // One line, and a command whose processes are followed all the same.
    assert_eq!(said.lines().filter(|line| line.contains("warning")).count(), 1, "{said}");
    let mut trace = listening(env!("CARGO_BIN_EXE_proc-connector"), "trace");
    let output = trace.args(["--", "/bin/true"]).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 process, 0 failed"), "{said}");
    assert!(said.contains(of), "{said}");
}

fn runs_the_program_without_proc() {
    own_mounts();
    mount_over("/proc", "tmpfs", "");
    warned("no proc file system");
}

fn runs_the_program_with_anothers_proc() {
    let _first = cover_with_anothers_proc();
    warned("another pid namespace");
}

fn runs_the_program_with_processes_only() {
    own_mounts();
    umount2("/proc", MntFlags::MNT_DETACH).expect("mounts of its own");
    mount_over("/proc", "proc", "subset=pid");
    // Opened by this process too, over the same transport.
    let opened = ProcConnector::builder().transport(transport_of_test()).open();
    assert!(opened.is_ok(), "{opened:?}");
    let (ended_well, events, said) = watched();
    assert!(ended_well && !said.contains("warning"), "{said}");
    // Over the socket, whether it is still there to be asked is left to chance.
    assert!(transport_of_test() != Transport::Ring || events.contains("/bin/true"), "{events}");
}
