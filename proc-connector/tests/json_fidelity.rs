//! JSON preserves all bytes: valid text as text, and other bytes under a second key.

mod common;

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use common::helper_process::{HelperProcess, command, pause, with_role};
use common::live_output::{LiveOutput, transport_option, watch};
use common::program::{program, run};
use common::scratch::Scratch;
use common::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, named, require_capability, transport};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use proc_connector::Transport;
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let roles = named![ends, pauses, sets_its_name, acts_with_other_ids];
    let live = named![
        arguments_keep_their_bytes,
        truncated_arguments_have_a_flag,
        names_and_programs_keep_their_bytes,
        a_cgroup_keeps_its_bytes,
        ids_have_the_kernels_names,
        names_in_statistics_keep_their_bytes,
    ];
    common::main(&roles, &live)
}

fn ends() {}

fn pauses() {
    pause();
}

/// Sets its argument as its name, and creates a child with this name.
fn sets_its_name() {
    let name = std::env::args_os().nth(1).expect("a name");
    nix::sys::prctl::set_name(&CString::new(name.as_bytes()).expect("no zero")).expect("a name");
    for _ in 0..1_000 {
        Command::new("true").status().expect("a program of every system");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Ids of a process whose real and effective ids differ.
const REAL: (u32, u32) = (54_321, 54_322);
const EFFECTIVE: (u32, u32) = (54_323, 54_324);

fn acts_with_other_ids() {
    pause();
    let ids = (Gid::from_raw(REAL.1), Gid::from_raw(EFFECTIVE.1));
    setresgid(ids.0, ids.1, ids.1).expect("groups");
    let ids = (Uid::from_raw(REAL.0), Uid::from_raw(EFFECTIVE.0));
    setresuid(ids.0, ids.1, ids.1).expect("users");
    pause();
}

fn object(line: &str) -> Map<String, Value> {
    let Value::Object(object) = serde_json::from_str(line).expect("JSON") else { panic!("{line}") };
    object
}

/// The bytes of a key's value: those of `raw_KEY`, otherwise those of the text.
fn bytes_of(object: &Value, key: &str) -> Option<Vec<u8>> {
    let raw = &object[format!("raw_{key}")];
    if raw.is_null() {
        return Some(object[key].as_str()?.as_bytes().to_vec());
    }
    let bytes: Vec<u8> = serde_json::from_value(raw.clone()).expect("bytes");
    assert!(std::str::from_utf8(&bytes).is_err(), "more than the text: {object}");
    assert_eq!(object[key], String::from_utf8_lossy(&bytes).as_ref());
    Some(bytes)
}

fn args_of(object: &Value) -> Option<Vec<Vec<u8>>> {
    let texts: Vec<String> = serde_json::from_value(object["args"].clone()).ok()?;
    let raw: Option<Vec<Vec<u8>>> =
        serde_json::from_value(object["raw_args"].clone()).expect("bytes");
    let Some(raw) = raw else { return Some(texts.into_iter().map(String::into_bytes).collect()) };
    assert!(raw.iter().any(|arg| std::str::from_utf8(arg).is_err()), "{object}");
    assert!(
        texts.iter().eq(&raw
            .iter()
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect::<Vec<_>>())
    );
    Some(raw)
}

fn watching(events: &'static str) -> LiveOutput {
    LiveOutput::start(program(&watch(&["--json", "--who", "--context", "--events", events])))
}

/// The line with an event of a process.
fn line_of(watch: &mut LiveOutput, event: &str, pid: u32) -> Value {
    let line = watch.line(|line| {
        let line = object(line);
        line["event"] == event && line.get("tgid") == Some(&json!(pid))
    });
    serde_json::from_str(&line).expect("JSON")
}

/// The process object in the exec event of a process with these arguments.
fn executed(command: &mut Command) -> Value {
    let mut watch = watching("exec");
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("a child");
    let line = line_of(&mut watch, "exec", child.id());
    drop(child.stdin.take());
    child.wait().expect("an exit status");
    line
}

fn arguments_keep_their_bytes() {
    for args in [
        &[&b"a helper"[..], b"plain", b"", "h\u{e4}\u{fffd}\u{202e}\n".as_bytes()][..],
        &[b"an \xff helper", b"", b"\xc3", b"text", b"\xed\xa0\x80"],
    ] {
        let mut helper = command("pauses");
        helper.arg0(OsStr::from_bytes(args[0]));
        helper.args(args[1..].iter().map(|arg| OsStr::from_bytes(arg)));
        let line = executed(&mut helper);
        assert_eq!(
            args_of(&line["process"]).as_deref(),
            Some(&args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>()[..]),
            "{line}"
        );
        assert_eq!(line["process"]["args_cut"], false);
        let is_text = args.iter().all(|arg| std::str::from_utf8(arg).is_ok());
        for part in [&line["process"], &line["task"]] {
            assert!(!is_text || part.get("raw_args").is_none(), "{line}");
        }
        if transport() == Transport::Ring {
            assert_eq!(args_of(&line["task"]), args_of(&line["process"]), "{line}");
            assert_eq!(line["task"]["args_cut"], false);
        }
    }
}

fn truncated_arguments_have_a_flag() {
    // The table keeps 4,096 bytes of `/proc/PID/cmdline`, the ring records 32 KiB.
    let limit = if transport() == Transport::Ring { 32 << 10 } else { 4_096 };
    for len in [4_095, 4_096, limit - 1, limit, limit + 2, 100_000] {
        let is_cut = len > limit;
        let name = b"a helper";
        let long = vec![b'x'; len - name.len() - 2];
        let mut helper = command("pauses");
        helper.arg0(OsStr::from_bytes(name)).arg(OsStr::from_bytes(&long));
        let line = executed(&mut helper);
        let process = &line["process"];
        assert_eq!(process["args_cut"], is_cut, "{len}");
        let args = args_of(process).expect("arguments");
        assert_eq!(args[0], name);
        let kept = &args[1];
        assert!(long.starts_with(kept) && (kept.len() < long.len()) == is_cut, "{len}");
        if transport() == Transport::Ring {
            assert_eq!(line["task"]["args_cut"], is_cut, "{len}");
            assert_eq!(args_of(&line["task"]).as_ref(), Some(&args), "{len}");
        }
    }
}

fn names_and_programs_keep_their_bytes() {
    let scratch = Scratch::new("program");
    let path = PathBuf::from(
        OsStr::from_bytes(&[scratch.file("").as_bytes(), b"a\xff\x1b\xc3b"].concat()).to_owned(),
    );
    fs::copy(std::env::current_exe().expect("/proc is mounted"), &path).expect("a copy");
    let line = executed(&mut with_role("pauses", Command::new(&path)));
    let process = &line["process"];
    assert_eq!(bytes_of(process, "exe").as_deref(), Some(path.as_os_str().as_bytes()), "{line}");
    assert_eq!(bytes_of(process, "comm").as_deref(), Some(&b"a\xff\x1b\xc3b"[..]), "{line}");
    if transport() == Transport::Ring {
        assert_eq!(
            bytes_of(&line["task"], "comm").as_deref(),
            Some(&b"a\xff\x1b\xc3b"[..]),
            "{line}"
        );
    }
}

/// A cgroup of version 2, removed on drop.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &[u8]) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
        let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        let path = Path::new(mount.split(' ').nth(1)?).join(OsStr::from_bytes(name));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn a_cgroup_keeps_its_bytes() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let name = format!("proc-connector-{}-", std::process::id());
    let name = [name.as_bytes(), b"\xff\x1b[2J"].concat();
    let Some(cgroup) = Cgroup::new(&name) else { common::skip("no cgroup can be made here") };
    let mut helper = HelperProcess::start("pauses");
    fs::write(cgroup.0.join("cgroup.procs"), helper.pid().to_string()).expect("a move");
    let mut watch = watching("exit");
    helper.resume();
    let pid = helper.pid();
    let line = line_of(&mut watch, "exit", pid);
    helper.wait();
    let path = bytes_of(&line["process"], "cgroup").expect("a cgroup");
    assert!(path.ends_with(&[b"/", &*name].concat()), "{line}");
}

fn ids_have_the_kernels_names() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    require_capability(CAP_SETGID, "CAP_SETGID");
    let mut helper = HelperProcess::start("acts_with_other_ids");
    let pid = helper.pid();
    let mut watch = watching("uid,exit");
    helper.resume();
    let change = line_of(&mut watch, "uid", pid);
    assert_eq!((&change["ruid"], &change["euid"]), (&json!(REAL.0), &json!(EFFECTIVE.0)));
    helper.resume();
    let exit = line_of(&mut watch, "exit", pid);
    for line in [&change, &exit] {
        let process = &line["process"];
        for (key, id) in
            [("ruid", REAL.0), ("euid", EFFECTIVE.0), ("rgid", REAL.1), ("egid", EFFECTIVE.1)]
        {
            assert_eq!(process[key], id, "{key} in {line}");
        }
        assert!(process.get("uid").is_none() && process.get("gid").is_none(), "{line}");
        if transport() == Transport::Ring {
            let task = &line["task"];
            assert_eq!((&task["ruid"], &task["rgid"]), (&json!(REAL.0), &json!(REAL.1)), "{line}");
            assert!(task.get("uid").is_none() && task.get("gid").is_none(), "{line}");
        }
    }
}

fn names_in_statistics_keep_their_bytes() {
    let name = b"a\xff\x1bb";
    let mut helper =
        command("sets_its_name").arg(OsStr::from_bytes(name)).spawn().expect("a child");
    let stats = ["stats", "--json", "--duration", "3s", "--interval", "60s", "--top", "1000"];
    let output = run(&[&stats[..], &[transport_option()]].concat());
    helper.kill().expect("a child");
    helper.wait().expect("an exit status");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let forks = report["forks_by_name"].as_array().expect("a list").iter();
    let names: Vec<Vec<u8>> = forks.filter_map(|row| bytes_of(row, "name")).collect();
    assert!(names.iter().any(|found| found == name), "{report}");
}
