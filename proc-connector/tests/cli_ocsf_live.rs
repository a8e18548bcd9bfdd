//! `--format ocsf`: the lines of a watch describe what processes did, and those of a recording are the same.

mod common;
mod ocsf;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use common::program::{json_lines, program, text};
use common::scratch::Scratch;
use common::{named, transport, transport_name};
use ocsf::{
    OCSF, assert_have_the_published_schema, assert_have_the_schema, has_published_schema, replayed,
    seen_attributes,
};
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        lines_describe_what_processes_do,
        a_recording_has_the_lines_of_the_watch,
        secrets_and_persons_are_left_out,
    ];
    common::main(&[], &live)
}

/// A shell that forks, executes, fails, crashes, and changes its session, as words for `sh -c`.
const ACTIONS: &str = r#"
    (exit 3)
    sh -c 'kill -SEGV $$'
    setsid sh -c 'sleep 0.1; exit 4' marked "two words" &
    wait; cat /proc/sys/kernel/hostname /proc/sys/kernel/random/boot_id; echo $$"#;

/// The output of a program that ends after some time, and of the actions, which are repeated until then.
fn during_actions(mut program: Command) -> (Output, Vec<[String; 3]>) {
    let program = program.spawn().expect("the program runs");
    let waiting = thread::spawn(|| program.wait_with_output().expect("an exit status"));
    let mut shells = Vec::new();
    while !waiting.is_finished() {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", ACTIONS]).stderr(Stdio::null()).output().expect("a shell");
        let mut words = text(&shell.stdout).lines().map(str::to_owned);
        shells.push(std::array::from_fn(|_| words.next().expect("a line")));
    }
    (waiting.join().expect("a thread without a panic"), shells)
}

fn watch(options: &[&str]) -> Command {
    let common = ["watch", "--duration", "2s", "--buffer", "100000", "--transport"];
    program(&[&common[..], &[transport_name()], &OCSF, options].concat())
}

fn lines_describe_what_processes_do() {
    let before = SystemTime::now();
    let (output, shells) = during_actions(watch(&[]));
    let after = SystemTime::now();
    let lines = json_lines(&output.stdout);
    assert_have_the_schema(&lines);
    let uids: Vec<&str> =
        lines.iter().map(|line| line["metadata"]["uid"].as_str().expect("an identity")).collect();
    assert_eq!(uids.iter().collect::<HashSet<_>>().len(), uids.len(), "an identity twice");
    let me = std::process::id();
    let ms = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_millis()).expect("a time of this age")
    };
    // The watch did not see the first shells start, and the last ones end.
    let pid_of = |shell: &[String; 3]| shell[2].parse::<u64>().expect("a number");
    let sees = |shell: &[String; 3], activity: &str| {
        lines.iter().any(|line| {
            line["process"]["pid"] == pid_of(shell)
                && (line["launch_type"] == activity || line["activity_name"] == activity)
        })
    };
    let first = shells.iter().position(|shell| sees(shell, "Fork")).expect("a start");
    let last = shells.iter().rposition(|shell| sees(shell, "Terminate")).expect("an end");
    assert!(last > first + 2, "{shells:?}");
    let mut named = 0;
    for shell in &shells[first + 1..last] {
        let ([host, boot, _], pid) = (shell, pid_of(shell));
        let of = |pid: u64| lines.iter().filter(move |line| line["process"]["pid"] == pid);
        let [fork, exec, end] = ["Fork", "Exec", "Terminate"].map(|name| {
            let is = |line: &&Value| line["launch_type"] == name || line["activity_name"] == name;
            of(pid).find(is).unwrap_or_else(|| panic!("no {name} of {pid}"))
        });
        assert_eq!(of(pid).count(), 3, "{:?}", of(pid).collect::<Vec<_>>());
        for line in [fork, exec, end] {
            assert_eq!(line["device"]["hostname"], host.as_str());
            assert_eq!(line["device"]["boot_uid"], boot.as_str());
            assert!(line["metadata"]["uid"].as_str().is_some_and(|uid| uid.starts_with(boot)));
            assert_eq!(line["process"]["parent_process"]["pid"], me, "{line}");
            let time = line["time"].as_u64().expect("a time");
            assert!((ms(before)..=ms(after)).contains(&time), "{line}");
            // The system can adjust its clock between the lines.
            let created = line["process"]["created_time"].as_u64().expect("a time");
            let forked = fork["time"].as_u64().expect("a time");
            assert!(created.abs_diff(forked) <= 1, "{line} {fork}");
            if transport() == Transport::Ring {
                assert_eq!(line["process"]["uid"], fork["process"]["uid"]);
                assert!(line["process"]["uid"].as_str().is_some_and(|uid| uid.starts_with(boot)));
            }
            let user =
                fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
            assert_eq!(line["process"]["user"]["uid"], user.expect("/proc").to_string());
        }
        assert_eq!(fork["actor"]["process"]["pid"], me, "{fork}");
        assert_eq!(exec["actor"]["process"]["pid"], pid, "{exec}");
        // Over the socket, the shell can end before its name is read.
        let is_unread = transport() == Transport::Socket && exec["process"]["name"].is_null();
        assert!(exec["process"]["name"] == "sh" || is_unread, "{exec}");
        named += usize::from(!is_unread);
        // Before the exec, the process had the program of this test.
        let program = std::env::current_exe().expect("/proc");
        for actor in [fork, exec].map(|line| &line["actor"]["process"]) {
            assert_eq!(actor["file"]["path"].as_str().map(PathBuf::from), Some(program.clone()));
        }
        assert_eq!(end["exit_code"], 0, "{end}");
        assert_eq!(end["process"]["terminated_time"], end["time"]);
        let children: Vec<&Value> = lines
            .iter()
            .filter(|line| line["activity_name"] == "Terminate")
            .filter(|line| line["process"]["parent_process"]["pid"] == pid)
            .collect();
        assert!(children.iter().any(|line| line["exit_code"] == 3), "{children:?}");
        let crash = |line: &&Value| {
            line["unmapped"]["signal"] == 11
                && line["exit_code"].is_null()
                && !line["message"].is_null()
        };
        assert!(children.iter().any(crash), "{children:?}");
        let session = lines.iter().find(|line| {
            line["activity_name"] == "Set Session ID"
                && line["process"]["parent_process"]["pid"] == pid
        });
        let session = session.expect("a new session");
        let new = session["process"]["pid"].as_u64().expect("a number");
        assert_eq!(session["process"]["session"]["uid"], new.to_string());
        assert_ne!(session["actor"]["process"]["session"]["uid"], new.to_string());
        let typed = "sh -c 'sleep 0.1; exit 4' marked 'two words'";
        assert!(of(new).any(|line| line["process"]["cmd_line"] == typed), "{typed}");
    }
    assert!(named > 0, "no name was read of {} shells", last - first - 1);
}

/// All events that both have are equal, in every attribute.
fn a_recording_has_the_lines_of_the_watch() {
    let scratch = Scratch::new("ocsf");
    let file = scratch.file("events.pcapng");
    let mut record = program(&["record", &file, "--buffer", "100000", "--duration", "6s"]);
    record.args(["--transport", transport_name()]);
    let record = record.spawn().expect("the program runs");
    while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
        thread::sleep(Duration::from_millis(20));
    }
    let (output, _) = during_actions(watch(&[]));
    let recorded = record.wait_with_output().expect("an exit status");
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let (seen, replayed) = (json_lines(&output.stdout), replayed(&file, &[]));
    if has_published_schema() {
        assert_have_the_published_schema(&[&seen[..], &replayed].concat());
    }
    let by_uid: HashMap<_, _> =
        replayed.iter().map(|line| (&line["metadata"]["uid"], line)).collect();
    // Both programs received all events of the processes that this test has created since. They may have
    // read the processes that existed only after the first shells had started.
    let me = u64::from(std::process::id());
    let mut created = HashSet::new();
    let (mut shells, mut compared) = (0, 0);
    for line in &seen {
        let pid = |process: &Value| process["pid"].as_u64().expect("a number");
        let Some(replayed) = by_uid.get(&line["metadata"]["uid"]) else { continue };
        let creator = pid(&line["actor"]["process"]);
        if line["launch_type"] == "Fork" && creator == me {
            shells += 1;
        }
        if line["launch_type"] == "Fork"
            && (creator == me && shells > 2 || created.contains(&creator))
        {
            created.insert(pid(&line["process"]));
        } else if !created.contains(&pid(&line["process"])) {
            continue;
        }
        assert_agree(line, replayed, "");
        compared += 1;
    }
    assert!(compared > 30, "{compared} of {} and {}", seen.len(), by_uid.len());
}

/// Checks that a replayed line has the values of the watch. Over the socket, each
/// program has read `/proc` at other times, and may have missed a short process.
fn assert_agree(seen: &Value, replayed: &Value, place: &str) {
    // The start of a process that existed before is known with a resolution of 10 ms, and each listener's
    // program in the kernel reads the CPU time at its own moment.
    let differing = ["created_time", "lifetime_ns", "cpu_ns", "user_ns", "system_ns"];
    if differing.iter().any(|key| place.ends_with(key)) {
        return;
    }
    let (Value::Object(seen), Value::Object(replayed)) = (seen, replayed) else {
        // Each program relates the clock of the events to the time of day, and milliseconds are cut.
        let is_same_time = |seen: i64, replayed: i64| (seen - replayed).abs() <= 1;
        let is_time = place.ends_with("time");
        let times = seen.as_i64().zip(replayed.as_i64()).filter(|_| is_time);
        let is_same = times.map_or(seen == replayed, |(one, other)| is_same_time(one, other));
        assert!(is_same, "{place}: {seen}, {replayed}");
        return;
    };
    let keys: BTreeSet<&String> = seen.keys().chain(replayed.keys()).collect();
    for key in keys {
        let place = format!("{place}/{key}");
        let is_of_process = ["/process/", "/actor/", "/unmapped/args_cut"]
            .iter()
            .any(|start| place.starts_with(start));
        match (seen.get(key), replayed.get(key)) {
            (Some(seen), Some(replayed)) => assert_agree(seen, replayed, &place),
            // One of the programs did not receive the exec of this process, or read `/proc` too late.
            (Some(_), None) | (None, Some(_))
                if ["/file/uid", "/working_directory", "/unmapped/cgroup"]
                    .iter()
                    .any(|end| place.ends_with(end)) => {}
            (Some(_), None) | (None, Some(_))
                if is_of_process && transport() == Transport::Socket => {}
            (one, other) => panic!("{place}: {one:?}, {other:?}"),
        }
    }
}

fn secrets_and_persons_are_left_out() {
    let act = |mut program: Command| {
        let program = program.spawn().expect("the program runs");
        let waiting = thread::spawn(|| program.wait_with_output().expect("an exit status"));
        while !waiting.is_finished() {
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 0.02; exit 6", "x", "--password=hunter2"]);
            shell.env("PGPASSWORD", "hunter2").status().expect("a shell");
        }
        waiting.join().expect("a thread without a panic")
    };
    let output = act(watch(&["--redact", "*password*"]));
    let lines = text(&output.stdout);
    assert!(lines.contains("--password='***'") || lines.contains("--password=***"), "{lines}");
    assert!(!lines.contains("hunter2"));
    let scratch = Scratch::new("ocsf");
    let file = scratch.file("anonymous.pcapng");
    let record = ["record", &file, "--anonymous", "--duration", "2s", "--transport"];
    let recorded = act(program(&[&record[..], &[transport_name()]].concat()));
    assert!(recorded.status.success(), "{}", text(&recorded.stderr));
    let watched = json_lines(&act(watch(&["--anonymous"])).stdout);
    for lines in [watched, replayed(&file, &[])] {
        assert_have_the_schema(&lines);
        let mut seen = BTreeSet::new();
        for line in &lines {
            seen_attributes(line.as_object().expect("an object"), "process_activity", &mut seen);
        }
        let personal: Vec<_> = seen
            .iter()
            .filter(|(object, key)| match object.as_str() {
                "process" => ["name", "cmd_line", "file", "user", "euid", "group", "egid", "auid"]
                    .contains(&key.as_str()),
                "actor" => key == "user",
                "device" => key == "hostname" || key == "boot_uid",
                _ => ["comm", "cgroup"].contains(&key.as_str()),
            })
            .collect();
        assert!(personal.is_empty(), "{personal:?}");
        assert!(lines.iter().any(|line| line["exit_code"] == 6));
        let unknown =
            |line: &Value| line["device"]["name"] == "Unknown" && line["metadata"]["uid"].is_null();
        assert!(lines.iter().all(unknown), "{}", lines[0]);
    }
}
