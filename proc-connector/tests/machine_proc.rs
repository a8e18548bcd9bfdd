//! Machines whose `/proc` shows only some of the processes, or those of another pid namespace.

mod common;

use std::fs;
use std::io;
use std::process::{Command, ExitCode, Stdio};

use common::namespaces::{
    cover_with_proc_of_another_pid_namespace, listening, mount_over,
    mounts_proc_of_its_pid_namespace, own_mounts, require_namespaces, run_role, test_transport,
};
use common::{named, skip};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use proc_connector::capture::Origin;
use proc_connector::process::ProcessTable;
use proc_connector::{ProcConnector, Transport, Verdict, diagnose};

fn main() -> ExitCode {
    let roles = named![
        mounts_proc_of_its_pid_namespace,
        rejects_proc_of_another_pid_namespace,
        rejects_proc_of_an_outer_pid_namespace,
        opens_proc_of_an_outer_pid_namespace,
        rejects_another_file_system_at_proc,
        accepts_proc_with_processes_only,
        has_a_name_of_any_bytes,
        runs_the_program_without_proc,
        runs_the_program_with_proc_of_another_pid_namespace,
        runs_the_program_with_processes_only,
    ];
    let everywhere = named![
        proc_of_another_pid_namespace_is_rejected,
        proc_of_an_outer_pid_namespace_is_rejected,
        another_file_system_at_proc_is_rejected,
        a_proc_with_processes_only_is_sufficient,
        names_can_contain_any_bytes,
        kernel_threads_run_no_program,
    ];
    let live = named![
        the_program_reports_a_missing_proc,
        the_program_reports_proc_of_another_pid_namespace,
        the_program_needs_only_processes_in_proc,
    ];
    common::main_with(&roles, &everywhere, &live)
}

fn checked(role: &str) {
    require_namespaces();
    run_role(role);
}

fn proc_of_another_pid_namespace_is_rejected() {
    checked("rejects_proc_of_another_pid_namespace");
}

fn proc_of_an_outer_pid_namespace_is_rejected() {
    checked("rejects_proc_of_an_outer_pid_namespace");
}

fn another_file_system_at_proc_is_rejected() {
    checked("rejects_another_file_system_at_proc");
}

fn a_proc_with_processes_only_is_sufficient() {
    checked("accepts_proc_with_processes_only");
}

fn names_can_contain_any_bytes() {
    run_role("has_a_name_of_any_bytes");
}

fn the_program_reports_a_missing_proc() {
    checked("runs_the_program_without_proc");
}

fn the_program_reports_proc_of_another_pid_namespace() {
    checked("runs_the_program_with_proc_of_another_pid_namespace");
}

fn the_program_needs_only_processes_in_proc() {
    checked("runs_the_program_with_processes_only");
}

fn kernel_threads_run_no_program() {
    if fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        skip("no kernel threads are visible");
    }
    let table = ProcessTable::new().expect("/proc is mounted");
    let thread = table.get(2).expect("a process");
    assert!(thread.is_kernel_thread());
    assert_eq!((thread.comm(), thread.args(), thread.exe()), (Some(&b"kthreadd"[..]), None, None));
}

/// The finding of a check, and the overall verdict.
fn found(check: &str) -> (Verdict, String, Verdict) {
    let diagnosis = diagnose();
    let finding = diagnosis.findings.iter().find(|finding| finding.check == check);
    let finding = finding.expect("a check of this name");
    (finding.verdict, finding.fact.clone(), diagnosis.verdict())
}

/// Asserts that creating a table fails with this reason.
fn refused(why: &str) {
    let error = ProcessTable::new().expect_err("not the /proc of this process");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    let (verdict, fact, _) = found("/proc");
    assert_eq!(verdict, Verdict::Limited);
    assert!(fact.contains(why), "{fact}");
}

fn rejects_proc_of_another_pid_namespace() {
    let _first = cover_with_proc_of_another_pid_namespace();
    refused("another pid namespace");
}

fn rejects_proc_of_an_outer_pid_namespace() {
    unshare(CloneFlags::CLONE_NEWPID).expect("a privileged process");
    run_role("opens_proc_of_an_outer_pid_namespace");
}

fn opens_proc_of_an_outer_pid_namespace() {
    assert_eq!(std::process::id(), 1);
    assert!(fs::read_link("/proc/self").is_ok_and(|id| id.to_str() != Some("1")));
    refused("another pid namespace");
    assert_eq!(found("pid namespace").0, Verdict::Fails);
}

fn rejects_another_file_system_at_proc() {
    own_mounts();
    mount_over("/proc", "tmpfs", "");
    refused("no proc file system");
    // A directory that resembles `/proc`.
    let id = std::process::id();
    fs::create_dir_all("/proc/self/ns").expect("a writable directory");
    fs::create_dir_all(format!("/proc/{id}")).expect("a writable directory");
    fs::write("/proc/self/status", format!("NSpid:\t{id}\n")).expect("a writable directory");
    fs::write("/proc/self/ns/pid", "").expect("a writable directory");
    fs::write("/proc/self/ns/time", "").expect("a writable directory");
    refused("no proc file system");
    assert_eq!(found("pid namespace").0, Verdict::Limited, "this is not known");
    assert_eq!(found("kernel").0, Verdict::Ok);
}

fn accepts_proc_with_processes_only() {
    own_mounts();
    let (_, _, before) = found("kernel");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    umount2("/proc", MntFlags::MNT_DETACH).expect("private mounts");
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

/// The output of the program while it watches a short-lived process.
fn watched() -> (bool, String, String) {
    let mut watch = listening(env!("CARGO_BIN_EXE_proc-connector"), "watch");
    let mut child = watch
        .args(["--events", "exit", "--count", "20", "--duration", "60s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // Creates processes until the program has printed enough: when it starts to listen is unknown.
    while child.try_wait().expect("a child").is_none() {
        let Ok(mut ended) = Command::new("/bin/true").spawn() else { break };
        ended.wait().expect("a child");
    }
    let output = child.wait_with_output().expect("an exit status");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn warned(of: &str) {
    let (ended_well, events, errors) = watched();
    assert!(ended_well, "{errors}");
    assert!(events.lines().count() >= 20, "{events}");
    let warning = errors.lines().find(|line| line.contains("warning")).unwrap_or_default();
    assert!(warning.contains(of), "{errors}");
    // One warning, and a command whose processes are still followed.
    assert_eq!(errors.lines().filter(|line| line.contains("warning")).count(), 1, "{errors}");
    let mut trace = listening(env!("CARGO_BIN_EXE_proc-connector"), "trace");
    let output = trace.args(["--", "/bin/true"]).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("1 process, 0 failed"), "{errors}");
    assert!(errors.contains(of), "{errors}");
}

fn runs_the_program_without_proc() {
    own_mounts();
    mount_over("/proc", "tmpfs", "");
    warned("no proc file system");
}

fn runs_the_program_with_proc_of_another_pid_namespace() {
    let _first = cover_with_proc_of_another_pid_namespace();
    warned("another pid namespace");
}

fn runs_the_program_with_processes_only() {
    own_mounts();
    umount2("/proc", MntFlags::MNT_DETACH).expect("private mounts");
    mount_over("/proc", "proc", "subset=pid");
    // Opened by this process as well, over the same transport.
    let opened = ProcConnector::builder().transport(test_transport()).open();
    assert!(opened.is_ok(), "{opened:?}");
    let (ended_well, events, errors) = watched();
    assert!(ended_well && !errors.contains("warning"), "{errors}");
    // Over the socket, the process may have ended before it is read.
    assert!(test_transport() != Transport::Ring || events.contains("/bin/true"), "{events}");
}
