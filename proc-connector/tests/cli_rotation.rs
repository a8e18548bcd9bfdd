//! Recordings in several files, on a full disk, in a directory that vanishes, and two in one file.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use common::program::{Running, program, run, text};
use common::scratch::Scratch;
use common::{CAP_SYS_ADMIN, Deadline, load, named, require_capability, transport, transport_name};
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::Signal;
use proc_connector::Transport;
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        each_file_is_complete_by_itself,
        old_files_are_removed,
        files_of_a_killed_recording_are_kept,
        a_full_disk_keeps_whole_events,
        a_redirected_recording_on_a_full_disk_keeps_whole_events,
        events_that_do_not_fit_are_counted,
        a_directory_that_vanishes_is_reported,
        two_recordings_in_one_file_are_refused,
        bare_messages_are_read_again,
    ];
    common::main(&[], &live)
}

fn start(file: &str, options: &[&str]) -> Running {
    let always = ["record", file, "--duration", "60s", "--buffer", "100000"];
    let transport = ["--transport", transport_name()];
    Running::start(&mut program(&[&always, &transport[..], options].concat()))
}

/// Creates processes until a condition holds.
fn run_until(mut is_done: impl FnMut() -> bool) {
    let deadline = Deadline::new();
    while !is_done() {
        assert!(deadline.left().is_some(), "the condition does not hold");
        Command::new("sh").args(["-c", "true; true", "marked"]).status().expect("a shell");
    }
}

/// The names in a directory, sorted.
fn names(directory: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let name = entry.expect("an entry").file_name();
        names.push(name.to_str().expect("text").to_owned());
    }
    names.sort();
    names
}

/// Whether a file is still being written.
fn is_part(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "part")
}

fn complete(directory: &str) -> Vec<String> {
    names(directory).into_iter().filter(|name| !is_part(name)).collect()
}

/// The events of a file, as `replay` shows them without an error.
fn events(file: &str) -> Vec<Value> {
    let output = run(&["replay", "--json", "--who", file]);
    assert!(output.status.success(), "{file}: {}", text(&output.stderr));
    let lines = text(&output.stdout).lines();
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Whether the numbers of each CPU are consecutive, but for acknowledgements to other listeners.
fn assert_none_is_missing(events: &[Value]) {
    const ACKS: u64 = 8;
    let mut last = std::collections::HashMap::new();
    for event in events {
        assert_ne!(event["event"], "lost", "the machine is too busy");
        let seq = event["seq"].as_u64().expect("a number");
        if let Some(last) = last.insert(event["cpu"].as_u64(), seq) {
            assert!(last < seq && seq <= last + 1 + ACKS, "{last} {event}");
        }
    }
}

fn directory(scratch: &Scratch) -> String {
    let directory = scratch.file("recordings");
    fs::create_dir(&directory).expect("a directory");
    directory
}

fn each_file_is_complete_by_itself() {
    let scratch = Scratch::new("rotate");
    let directory = directory(&scratch);
    let record = start(&format!("{directory}/events.pcapng"), &["--rotate-size", "100K"]);
    run_until(|| complete(&directory).len() >= 3);
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let files = names(&directory);
    assert_eq!(files[0], "events-00001.pcapng");
    assert!(!files.iter().any(|name| is_part(name)), "{files:?}");
    let mut all = Vec::new();
    for file in &files {
        let path = format!("{directory}/{file}");
        let events = events(&path);
        assert!(!events.is_empty(), "{file}");
        // A list of the processes and the names of users is in each file.
        let bytes = fs::read(&path).expect("a file");
        for text in ["pc1 scan=", "pc1 user=0 name=root", " args=", "pc1 process=1 "] {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(found, "{file}: {text}");
        }
        all.extend(events);
    }
    assert_none_is_missing(&all);
}

fn old_files_are_removed() {
    let scratch = Scratch::new("keep");
    let directory = directory(&scratch);
    fs::write(format!("{directory}/events-7.pcapng"), "of somebody else").expect("a file");
    fs::write(format!("{directory}/events-00041.pcapng"), "earlier").expect("a file");
    let options = ["--rotate-time", "50ms", "--keep", "2"];
    let record = start(&format!("{directory}/events.pcapng"), &options);
    run_until(|| complete(&directory).iter().any(|name| name == "events-00045.pcapng"));
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let files = names(&directory);
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(files[2], "events-7.pcapng");
    assert!(!events(&format!("{directory}/{}", files[0])).is_empty());
    // The last file may have begun after the last event.
    events(&format!("{directory}/{}", files[1]));
}

fn files_of_a_killed_recording_are_kept() {
    let scratch = Scratch::new("killed");
    let directory = directory(&scratch);
    let file = format!("{directory}/events");
    let part = format!("{directory}/events-00001.part");
    let record = start(&file, &["--rotate-size", "1G"]);
    let len = |path: &str| fs::metadata(path).map_or(0, |file| file.len());
    run_until(|| len(&part) > 0);
    let before = len(&part);
    run_until(|| len(&part) > before);
    // Another recording with this name could remove its files.
    let other = run(&["record", &file, "--rotate-size", "1G", "--count", "1"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("another recording"), "{}", text(&other.stderr));
    record.end_by(Signal::SIGKILL);
    let record = start(&file, &["--rotate-size", "1G"]);
    run_until(|| Path::new(&format!("{directory}/events-00002.part")).exists());
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(names(&directory), ["events-00001", "events-00002"]);
    assert!(!events(&format!("{directory}/events-00001")).is_empty());
}

/// A small file system, which is removed when dropped.
struct SmallDisk(String);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount(self.0.as_str());
    }
}

/// The size of the disk in bytes.
const DISK: u64 = 400 << 10;

impl SmallDisk {
    fn new(directory: &str) -> Self {
        let none: Option<&str> = None;
        let size = format!("size={DISK}");
        let mounted = mount(none, directory, Some("tmpfs"), MsFlags::empty(), Some(&*size));
        mounted.expect("a file system");
        Self(directory.to_owned())
    }
}

fn a_full_disk_keeps_whole_events() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    for options in [&[][..], &["--rotate-size", "1G"], &["--raw"]] {
        let scratch = Scratch::new("full");
        let directory = directory(&scratch);
        let disk = SmallDisk::new(&directory);
        let mut record = start(&format!("{directory}/events.pcapng"), options);
        run_until(|| record.child.try_wait().expect("a child").is_some());
        let (_, output) = record.end();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let message = text(&output.stderr);
        assert!(message.contains("events") && message.contains("No space left"), "{message}");
        let files = names(&directory);
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(!is_part(&files[0]), "{files:?}");
        let file = format!("{directory}/{}", files[0]);
        // The last event that did not fit is shorter than this.
        let len = fs::metadata(&file).expect("a file").len();
        assert!((DISK - 4096..=DISK).contains(&len), "{len}");
        let events = events(&file);
        assert!(events.len() > 100, "{}", events.len());
        assert_none_is_missing(&events);
        drop(disk);
    }
}

fn a_redirected_recording_on_a_full_disk_keeps_whole_events() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    for (is_appended, options) in [(false, &[][..]), (true, &[]), (false, &["--raw"])] {
        let scratch = Scratch::new("redirected");
        let directory = directory(&scratch);
        let disk = SmallDisk::new(&directory);
        let path = format!("{directory}/events");
        let mut open = fs::File::options();
        let open = open.create(true).write(true).append(is_appended);
        let file = open.open(&path).expect("a file");
        let start = |more: &[&str]| {
            let always = ["record", "-", "--buffer", "100000", "--transport", transport_name()];
            let mut command = program(&[&always, options, more].concat());
            command.stdout(file.try_clone().expect("a descriptor"));
            command.spawn().expect("the program runs")
        };
        // The second recording continues the file of the first.
        let mut first = start(&["--count", "5"]);
        run_until(|| first.try_wait().expect("a child").is_some());
        let before = fs::metadata(&path).expect("a file").len();
        assert!(first.wait().expect("a child").success() && before >= 5 * 76);
        let mut second = start(&["--duration", "60s"]);
        run_until(|| second.try_wait().expect("a child").is_some());
        let output = second.wait_with_output().expect("an exit status");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("No space left"), "{}", text(&output.stderr));
        let len = fs::metadata(&path).expect("a file").len();
        assert!((DISK - 4096..=DISK).contains(&len), "{len}");
        assert!(events(&path).len() > 100);
        drop(file);
        drop(disk);
    }
}

/// The recorder is stopped until there are enough events, which it then receives together.
fn events_that_do_not_fit_are_counted() {
    const EVENTS: usize = 8000;
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    for options in [&[][..], &["--raw"]] {
        let scratch = Scratch::new("unwritten");
        let directory = directory(&scratch);
        let disk = SmallDisk::new(&directory);
        let file = format!("{directory}/events");
        let other = scratch.file("other");
        let count = EVENTS.to_string();
        let count = ["--count", &count];
        let record = start(&file, &[&count, options].concat());
        let mut other_record = start(&other, &count);
        let len = |file: &str| fs::metadata(file).map_or(0, |file| file.len());
        run_until(|| len(&file) > 0 && len(&other) > 0);
        record.send(Signal::SIGSTOP);
        while other_record.child.try_wait().expect("a child").is_none() {
            load::threads(100);
        }
        let (_, output) = other_record.end();
        assert!(output.status.success(), "{}", text(&output.stderr));
        load::threads(100);
        record.send(Signal::SIGCONT);
        let (_, output) = record.end();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let message = text(&output.stderr);
        let (before, _) = message.split_once(" received events could not").expect("a number");
        let (_, unwritten) = before.rsplit_once(' ').expect("a number");
        let unwritten: usize = unwritten.parse().expect("a number");
        let written = events(&file).len();
        assert!(written > 100 && unwritten > 0, "{written}, {unwritten}");
        assert_eq!(written + unwritten, EVENTS);
        drop(disk);
    }
}

fn a_directory_that_vanishes_is_reported() {
    let scratch = Scratch::new("vanish");
    let directory = directory(&scratch);
    let file = format!("{directory}/events.pcapng");
    let mut record = start(&file, &["--rotate-size", "50K"]);
    run_until(|| !complete(&directory).is_empty());
    let moved = format!("{directory}-moved");
    fs::rename(&directory, &moved).expect("a directory");
    run_until(|| record.child.try_wait().expect("a child").is_some());
    let (_, output) = record.end();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("events-"), "{}", text(&output.stderr));
    // What was written is where the directory is now.
    for file in names(&moved) {
        assert!(!events(&format!("{moved}/{file}")).is_empty(), "{file}");
    }
}

fn two_recordings_in_one_file_are_refused() {
    let scratch = Scratch::new("two");
    let file = scratch.file("events.pcapng");
    let record = start(&file, &[]);
    let len = || fs::metadata(&file).map_or(0, |file| file.len());
    run_until(|| len() > 0);
    let other = run(&["record", &file, "--count", "1", "--transport", transport_name()]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("another recording"), "{}", text(&other.stderr));
    let before = len();
    run_until(|| len() > before);
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_none_is_missing(&events(&file));
}

fn bare_messages_are_read_again() {
    let scratch = Scratch::new("raw");
    let file = scratch.file("events");
    let record = start(&file, &["--raw"]);
    run_until(|| fs::metadata(&file).is_ok_and(|file| file.len() > 50 * 76));
    let (_, output) = record.end_by(Signal::SIGINT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = fs::read(&file).expect("a file");
    // `nlmsg_len` and `nlmsg_type` of each message.
    assert!(bytes.chunks(76).all(|message| message[..6] == [76, 0, 0, 0, 3, 0]));
    let events = events(&file);
    assert_eq!(events.len(), bytes.len() / 76);
    assert_none_is_missing(&events);
    assert!(events.iter().all(|event| event["time"].is_null()));
    if transport() == Transport::Ring {
        assert!(events.iter().all(|event| event["process"]["args"].is_null()));
    }
}
