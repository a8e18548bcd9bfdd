//! The program with few resources (processes, descriptors), and the privileges that it drops.

mod captures;
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode, Output, Stdio};

use captures::DEMO;
use common::program::{PROGRAM, RECORDING, Running, Status, program, run, started_by, text};
use common::scratch::{Scratch, ScratchFile};
use common::{
    CAP_NET_ADMIN, CAP_SETGID, CAP_SETUID, has_capability, kernel_is_at_least, named,
    require_capability, transport_name,
};
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    let everywhere = named![every_command_reports_a_low_descriptor_limit,];
    let live = named![
        listening_needs_no_further_process,
        a_command_that_cannot_be_started_is_named_with_the_limit,
        a_trace_starts_only_its_command,
        privileges_are_dropped_after_opening,
        a_traced_command_keeps_its_privileges,
        a_line_of_json_is_shorter_than_the_longest_of_the_packaged_journal,
    ];
    common::main_with(&named![end], &everywhere, &live)
}

fn end() {}

fn every_command_reports_a_low_descriptor_limit() {
    let scratch = Scratch::new("descriptors");
    let demo = ScratchFile::containing("demo.pcapng", DEMO);
    let (capture, chart) = (scratch.file("x.pcapng"), scratch.file("x.svg"));
    let commands: [&[&str]; 10] = [
        &["watch", "--duration", "50ms"],
        &["watch", "--duration", "50ms", "--json", "--who"],
        &["watch", "--duration", "50ms", "--transport", "ring"],
        &["watch", "--duration", "50ms", "--transport", "socket"],
        &["stats", "--duration", "50ms"],
        &["record", "--duration", "50ms", &capture],
        &["trace", "-o", &chart, "--", "true"],
        &["replay", demo.path()],
        &["replay", RECORDING, "-o", &chart],
        &["doctor"],
    ];
    for arguments in commands {
        let unlimited = run(arguments).status.code();
        let mut refused = 0;
        for limit in (4..=40).rev().step_by(3) {
            let _ = (fs::remove_file(&capture), fs::remove_file(&chart));
            let starter = format!("--nofile={limit}");
            let mut command = started_by(&["prlimit", &starter], arguments);
            let output = command.output().expect("a running process");
            let errors = text(&output.stderr);
            if output.status.code() == unlimited && !errors.contains("too many open files") {
                continue;
            }
            if errors.contains("error while loading shared libraries") {
                break;
            }
            refused += 1;
            assert_eq!(output.status.code(), Some(1), "{arguments:?} with {limit}: {errors}");
            assert_eq!(errors.lines().count(), 1, "{arguments:?} with {limit}: {errors}");
            for part in
                ["too many open files", &format!("RLIMIT_NOFILE is {limit};"), "`ulimit -n`"]
            {
                assert!(errors.contains(part), "{arguments:?} with {limit}: {errors}");
            }
            for left in [&capture, &chart] {
                assert!(fs::metadata(left).is_err(), "{left} with {limit}");
            }
        }
        assert!(refused > 0, "{arguments:?}");
    }
}

/// The program as a user without other processes, with a limit of processes.
fn as_unprivileged_user(processes: u32, arguments: &[&str]) -> (Scratch, Command) {
    require_capability(CAP_SETUID, "CAP_SETUID");
    require_capability(CAP_SETGID, "CAP_SETGID");
    if !kernel_is_at_least(6, 6) {
        common::skip("before Linux 6.6, listening requires a privilege");
    }
    // A copy of the program in a directory that every user can search.
    let scratch = Scratch::new(&format!("unprivileged-{processes}"));
    let copy = scratch.file("proc-connector");
    fs::copy(PROGRAM, &copy).expect("a writable directory");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("one's own file");
    let limit = format!("--nproc={processes}");
    // No machine runs processes of this user.
    let user = ["--reuid=1999999991", "--regid=1999999991", "--clear-groups"];
    let mut command = Command::new("setpriv");
    command.args(user).args(["prlimit", &limit]).arg(&copy).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (scratch, command)
}

fn without_privilege(processes: u32, arguments: &[&str]) -> Output {
    if transport_name() != "socket" {
        common::skip("the ring requires a privilege");
    }
    let (_scratch, mut command) = as_unprivileged_user(processes, arguments);
    command.output().expect("a running process")
}

fn listening_needs_no_further_process() {
    for arguments in [
        &["watch", "--duration", "50ms"][..],
        &["record", "--duration", "50ms", "-"],
        &["stats", "--duration", "50ms"],
        &["replay", RECORDING],
        &["doctor"],
    ] {
        let output = without_privilege(1, arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    }
}

fn a_command_that_cannot_be_started_is_named_with_the_limit() {
    let output = without_privilege(1, &["trace", "--", "true"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(126), "{errors}");
    let error = "proc-connector: cannot run true: too many processes: RLIMIT_NPROC is 1; ";
    assert!(errors.starts_with(error) && errors.contains("`ulimit -u`"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

fn a_trace_starts_only_its_command() {
    let output = without_privilege(2, &["trace", "--", "sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("1 process, 1 failed"), "{}", text(&output.stderr));
}

const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_PTRACE: u32 = 19;

fn privileges_are_dropped_after_opening() {
    if !has_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN") {
        return;
    }
    let own = Status::read(std::process::id()).capabilities("CapPrm");
    let mut kept = (1 << CAP_DAC_READ_SEARCH) | (1 << CAP_SYS_PTRACE);
    if !kernel_is_at_least(6, 6) {
        // `CAP_NET_ADMIN` is needed to send the kernel the final request.
        kept |= 1 << CAP_NET_ADMIN;
    }
    for arguments in [&["watch", "--json"][..], &["watch"], &["record", "-"], &["stats", "--json"]]
    {
        let options = ["--duration", "60s", "--transport", transport_name()];
        let running = Running::start(&mut program(&[arguments, &options].concat()));
        let status =
            running.wait_until(|status| status.capabilities("CapPrm") & (1 << CAP_NET_ADMIN) == 0);
        for set in ["CapPrm", "CapEff"] {
            assert_eq!(status.capabilities(set), own & kept, "{arguments:?}: {set}");
        }
        assert_eq!(status.capabilities("CapAmb"), 0);
        running.send(Signal::SIGTERM);
        // The output is a binary capture, not lines.
        let Running { mut child, lines } = running;
        drop(lines);
        assert_eq!(child.wait().expect("an exit status").code(), Some(0));
    }
    let options = ["watch", "--json", "--events", "exec", "--count", "1"];
    let mut running =
        Running::start(&mut program(&[&options[..], &["--transport", transport_name()]].concat()));
    running.wait_until(|status| status.capabilities("CapPrm") & (1 << CAP_NET_ADMIN) == 0);
    Command::new("true").status().expect("a running process");
    assert!(running.line().contains(r#""event":"exec""#), "it still receives events");
    assert_eq!(running.end().1.status.code(), Some(0));
}

fn a_traced_command_keeps_its_privileges() {
    let traced = ["trace", "--transport", transport_name(), "--", "cat", "/proc/self/status"];
    let output = run(&traced);
    let own = Status::read(std::process::id());
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
        let theirs = Status::printed(&output.stdout).capabilities(set);
        assert_eq!(theirs, own.capabilities(set), "{set}");
    }
}

fn a_line_of_json_is_shorter_than_the_longest_of_the_packaged_journal() {
    let configuration = include_str!("../packaging/journald.conf");
    let line_max = configuration.lines().find_map(|line| line.strip_prefix("LineMax="));
    let line_max = line_max.and_then(|size| size.strip_suffix('K')).expect("a size");
    let line_max = line_max.parse::<usize>().expect("a number") << 10;
    // JSON escapes each of these bytes with six.
    let scratch = Scratch::new("long");
    let mut path = scratch.file("");
    while path.len() < 3_700 {
        path.push_str(&"\u{1}".repeat(250));
        path.push('/');
        fs::create_dir(&path).expect("a writable directory");
    }
    path.push_str("end");
    fs::copy(std::env::current_exe().expect("/proc is mounted"), &path)
        .expect("a writable directory");
    for option in ["--context", "--who"] {
        let options = ["watch", "--json", option, "--events", "exec", "--duration", "60s"];
        let options = [&options[..], &["--transport", transport_name()]].concat();
        let mut running = Running::start(&mut program(&options));
        running.wait_until(|status| status.handles(Signal::SIGTERM));
        let mut hostile = Command::new(&path);
        for (key, value) in common::helper_process::command("end").get_envs() {
            hostile.env(key, value.expect("a value"));
        }
        let mut hostile = hostile.arg("\u{1}".repeat(100_000)).spawn().expect("a running process");
        let pid = format!(r#""pid":{},"#, hostile.id());
        let line = loop {
            let line = running.line();
            if line.contains(&pid) {
                break line;
            }
        };
        hostile.wait().expect("an exit status");
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
        assert!(line.len() < line_max, "{option}: {} bytes", line.len());
        running.send(Signal::SIGTERM);
        running.end();
    }
}
