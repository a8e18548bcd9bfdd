//! A failed read is not an exit: machines with hidden processes, and readers without free
//! descriptors.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::ExitCode;

use common::helper_process::{HelperProcess, pause, print_number};
use common::namespaces::{mount_over, own_mounts, require_namespaces, run_role};
use common::{NOBODY, named};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::kill;
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};
use proc_connector::process::{ChangeKind, ProcessTable};
use proc_connector::{Verdict, diagnose};

fn main() -> ExitCode {
    let roles = named![
        scans_hidden_processes,
        scans_unreadable_processes,
        runs_out_of_files,
        scans_after_proc_was_covered,
        pauses,
    ];
    let everywhere = named![
        hidden_processes_do_not_vanish,
        unreadable_processes_do_not_vanish,
        without_descriptors_no_process_vanishes,
        a_proc_that_is_covered_later_is_still_used,
    ];
    common::main_with(&roles, &everywhere, &[])
}

fn checked(role: &str) {
    require_namespaces();
    run_role(role);
}

fn hidden_processes_do_not_vanish() {
    checked("scans_hidden_processes");
}

fn unreadable_processes_do_not_vanish() {
    checked("scans_unreadable_processes");
}

fn without_descriptors_no_process_vanishes() {
    run_role("runs_out_of_files");
}

fn a_proc_that_is_covered_later_is_still_used() {
    checked("scans_after_proc_was_covered");
}

fn pauses() {
    print_number(1);
    pause();
}

/// The finding about `/proc`.
fn found() -> (Verdict, String) {
    let findings = diagnose().findings;
    let finding = findings.into_iter().find(|finding| finding.check == "/proc");
    let finding = finding.expect("a check of this name");
    (finding.verdict, finding.fact)
}

/// Whether a process exists, determined without `/proc`.
fn exists(tgid: u32) -> bool {
    kill(Pid::from_raw(tgid.try_into().expect("an id")), None) != Err(Errno::ESRCH)
}

/// A table, its processes, and one that ends on request.
struct KnownProcesses {
    table: ProcessTable,
    before: BTreeSet<u32>,
    ending: HelperProcess,
}

impl KnownProcesses {
    fn start() -> Self {
        let mut ending = HelperProcess::start("pauses");
        ending.read_number();
        let table = ProcessTable::new().expect("/proc is mounted");
        let before = table.iter().map(proc_connector::process::Process::tgid).collect();
        Self { table, before, ending }
    }

    /// Ends one process and scans with restricted visibility: only that process may vanish.
    fn scan(self) {
        let Self { mut table, before, mut ending } = self;
        let ended = ending.pid();
        ending.resume();
        assert!(ending.wait().success());
        let changes = table.rescan().expect("a scan");
        let gone = changes.filter(|change| change.kind == ChangeKind::Vanished);
        let gone: BTreeSet<u32> = gone.map(|change| change.process.tgid()).collect();
        assert!(gone.contains(&ended), "{ended} ended");
        for tgid in &gone {
            assert!(!exists(*tgid), "{tgid} exists");
        }
        assert!(table.get(1).is_some() && before.contains(&1));
        for tgid in before.difference(&gone).filter(|tgid| exists(**tgid)) {
            assert!(table.get(*tgid).is_some(), "{tgid} still exists");
        }
    }
}

fn become_unprivileged_user() {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).expect("a privileged process");
    setresgid(group, group, group).expect("a privileged process");
    setresuid(user, user, user).expect("a privileged process");
}

/// Creates the table with full visibility, then becomes an unprivileged user.
fn scan_as_unprivileged_user(hidepid: &str) {
    own_mounts();
    umount2("/proc", MntFlags::MNT_DETACH).expect("private mounts");
    mount_over("/proc", "proc", hidepid);
    let known = KnownProcesses::start();
    assert_eq!(found().0, Verdict::Ok, "a privileged process sees all");
    become_unprivileged_user();
    assert!(fs::read("/proc/1/stat").is_err());
    let (verdict, fact) = found();
    assert_eq!(verdict, Verdict::Limited);
    assert!(fact.contains("hidepid"), "{fact}");
    known.scan();
    // A table created with restricted visibility contains the visible processes.
    let table = ProcessTable::new().expect("a /proc of its own");
    assert!(table.get(1).is_none() && table.get(std::process::id()).is_some());
}

fn scans_hidden_processes() {
    scan_as_unprivileged_user("hidepid=2");
}

fn scans_unreadable_processes() {
    scan_as_unprivileged_user("hidepid=1");
}

fn runs_out_of_files() {
    let known = KnownProcesses::start();
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
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the previous limit");
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
    assert!(failed > 0, "a limit of 0 prevents opening files");
    table.rescan().expect("a scan");
}

fn scans_after_proc_was_covered() {
    own_mounts();
    let known = KnownProcesses::start();
    mount_over("/proc", "tmpfs", "");
    // Only the process's own directory belongs to the file system that was covered.
    let KnownProcesses { mut table, before, mut ending } = known;
    ending.resume();
    let ended = ending.pid();
    assert!(ending.wait().success());
    let changes = table.rescan().expect("a scan");
    let gone = changes.filter(|change| change.kind == ChangeKind::Vanished);
    let gone: Vec<u32> = gone.map(|change| change.process.tgid()).collect();
    assert!(gone.contains(&ended));
    assert!(gone.iter().all(|tgid| !exists(*tgid)), "{gone:?} of {}", before.len());
}
