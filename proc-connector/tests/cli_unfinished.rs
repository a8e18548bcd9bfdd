//! The state of files after a failure.

mod common;

use std::fs::{self};
use std::os::unix::fs::symlink;
use std::process::ExitCode;

use common::program::{PROGRAM, Running, program, run, text};
use common::scratch::Scratch;
use common::{named, require_capability, transport_name};
use nix::sched::{CloneFlags, unshare};

fn main() -> ExitCode {
    let everywhere = named![a_failed_chart_leaves_the_file_unchanged,];
    let live = named![
        a_failed_trace_leaves_no_file,
        a_failed_trace_leaves_an_existing_file_unchanged,
        a_killed_trace_leaves_no_file,
        a_trace_with_a_full_disk_shows_the_tree_and_fails,
        a_recording_on_a_full_disk_can_be_read,
    ];
    common::main_with(&named![record_to_a_small_disk], &everywhere, &live)
}

fn run_all(arguments: &[String]) -> std::process::Output {
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

const CAP_SYS_ADMIN: u32 = 21;

fn a_failed_chart_leaves_the_file_unchanged() {
    let scratch = Scratch::new("unmade");
    let damaged = scratch.file("damaged.pcapng");
    fs::write(&damaged, "no capture").expect("a writable directory");
    for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
        let (new, old) = (scratch.file(name), scratch.file(&format!("old-{name}")));
        fs::write(&old, "old").expect("a writable directory");
        let output = run(&["replay", &damaged, "-o", &new, "-o", &old]);
        assert_eq!(output.status.code(), Some(1));
        // The second file cannot be created, so the first is not created either.
        let output = run(&["replay", "--demo", "-o", &new, "-o", &old, "-o", "/nowhere/x.svg"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(fs::metadata(&new).is_err(), "{name}");
        assert_eq!(fs::read_to_string(&old).expect("a file"), "old");
    }
}

/// Commands that cannot be run, and traces that cannot be opened.
fn failing(scratch: &Scratch) -> Vec<(Vec<String>, i32)> {
    let plain = scratch.file("plain");
    fs::write(&plain, "no program").expect("a writable directory");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    vec![
        (words(&["--", "/no-such-program-anywhere"]), 127),
        (words(&["--", &plain]), 126),
        (words(&["--", "/"]), 126),
        (words(&["-o", "/nowhere/x.svg", "--", "true"]), 1),
        (words(&["-o", "/x.svg/", "--", "true"]), 1),
    ]
}

fn a_failed_trace_leaves_no_file() {
    let scratch = Scratch::new("fails");
    for (arguments, status) in failing(&scratch) {
        for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
            let file = scratch.file(name);
            let options =
                ["trace", "--transport", transport_name(), "-o", &file].map(str::to_owned);
            let output = run_all(&[&options[..], &arguments].concat());
            assert_eq!(output.status.code(), Some(status), "{arguments:?}");
            assert_eq!(scratch.names(), ["plain"], "{arguments:?}");
        }
    }
}

fn a_failed_trace_leaves_an_existing_file_unchanged() {
    let scratch = Scratch::new("kept");
    for (arguments, status) in failing(&scratch) {
        for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
            let file = scratch.file(name);
            fs::write(&file, "old").expect("a writable directory");
            let options =
                ["trace", "--transport", transport_name(), "-o", &file].map(str::to_owned);
            let output = run_all(&[&options[..], &arguments].concat());
            assert_eq!(output.status.code(), Some(status), "{arguments:?}");
            assert_eq!(fs::read_to_string(&file).expect("a file"), "old", "{arguments:?}");
        }
    }
}

fn a_killed_trace_leaves_no_file() {
    let scratch = Scratch::new("killed");
    let (new, old) = (scratch.file("new.svg"), scratch.file("old.svg"));
    fs::write(&old, "old").expect("a writable directory");
    let options = ["trace", "--transport", transport_name(), "-o", &new, "-o", &old, "--"];
    // The command ends with its input, which this test keeps open.
    let traced = ["sh", "-c", "echo ready; read go"];
    let mut command = program(&[&options[..], &traced].concat());
    let mut running = Running::start(command.stdin(std::process::Stdio::piped()));
    running.line();
    running.child.kill().expect("a running process");
    drop(running.child.stdin.take());
    running.end();
    assert_eq!(scratch.names(), ["old.svg"]);
    assert_eq!(fs::read_to_string(&old).expect("a file"), "old");
}

fn a_trace_with_a_full_disk_shows_the_tree_and_fails() {
    let scratch = Scratch::new("full");
    for name in ["x.svg", "x.html", "x.json", "x.jsonl"] {
        let file = scratch.file(name);
        symlink("/dev/full", &file).expect("a link");
        for (script, status) in [("exit 0", 1), ("exit 3", 3)] {
            let output = run(&[
                "trace",
                "--transport",
                transport_name(),
                "-o",
                &file,
                "--",
                "sh",
                "-c",
                script,
            ]);
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{errors}");
            assert!(errors.contains("\n1 process, "), "{errors}");
            assert!(errors.contains(&format!("{file}: No space left on device")), "{errors}");
        }
    }
}

const DISK: &str = "PROC_CONNECTOR_TEST_DISK";
const OPTION: &str = "PROC_CONNECTOR_TEST_TRANSPORT";

/// Records to a disk that soon fills up, mounted only for this process, and prints the resulting
/// recording.
fn record_to_a_small_disk() {
    let disk = std::env::var(DISK).expect("a directory");
    unshare(CloneFlags::CLONE_NEWNS).expect("CAP_SYS_ADMIN");
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount::<str, str, str, str>(None, "/", None, private, None).expect("a mount");
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("none"), &*disk, Some("tmpfs"), flags, Some("size=256k"))
        .expect("a disk");
    let (file, transport) = (format!("{disk}/x"), std::env::var(OPTION).expect("a transport"));
    let mut recorder = std::process::Command::new(PROGRAM);
    let options = ["record", "--duration", "60s", "--transport", &transport, &file];
    let mut recorder = recorder.args(options).spawn().expect("a running process");
    while recorder.try_wait().expect("its state").is_none() {
        common::load::threads(100);
    }
    let status = recorder.wait().expect("an exit status");
    println!("{}", status.code().unwrap_or(-1));
    fs::copy(&file, format!("{disk}-copy")).expect("a writable directory");
}

fn a_recording_on_a_full_disk_can_be_read() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let scratch = Scratch::new("small");
    let disk = scratch.file("disk");
    fs::create_dir(&disk).expect("a writable directory");
    let mut recording = common::helper_process::command("record_to_a_small_disk");
    let output = recording
        .env(DISK, &disk)
        .env(OPTION, transport_name())
        .output()
        .expect("a running process");
    let errors = text(&output.stderr);
    assert_eq!(text(&output.stdout), "1\n", "{errors}");
    let error = format!("proc-connector: {disk}/x: No space left on device");
    assert!(errors.contains(&error), "{errors}");
    let replayed = run(&["replay", "--json", &format!("{disk}-copy")]);
    let lines = text(&replayed.stdout).lines().count();
    // An event takes about 128 bytes.
    assert!(lines > 200, "{lines} events");
}
