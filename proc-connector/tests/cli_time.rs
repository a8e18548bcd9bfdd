//! Times of day are shown in the zone of TZ or of the machine, with their offset.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use common::listening::listening;
use common::program::{RECORDING, program, text};
use common::scratch::Scratch;
use common::{has_capability, named, skip, terminal};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

fn main() -> ExitCode {
    let everywhere = named![
        the_zone_is_taken_from_tz,
        summer_time_follows_the_zone,
        a_zone_that_is_not_found_is_reported,
        without_tz_the_machines_zone_is_used,
        missing_zone_files_are_reported,
        times_in_json_do_not_depend_on_the_zone,
        headings_on_a_terminal_have_the_offset,
    ];
    let live = named![intervals_of_stats_have_the_offset];
    let roles = named![with_a_local_time, without_zones];
    common::main_with(&roles, &everywhere, &live)
}

/// The demo's first event, in seconds of its day. tshark prints 1795393336.701127632.
const FIRST: i64 = 1_795_393_336 % 86_400;
const FRACTION: &str = "701127";

/// The start of the demo's first line in a zone this number of seconds east of Greenwich.
fn first(east: i64) -> String {
    let local = (FIRST + east).rem_euclid(86_400);
    let (sign, offset) = (if east < 0 { '-' } else { '+' }, east.abs() / 60);
    format!(
        "{:02}:{:02}:{:02}.{FRACTION}{sign}{:02}:{:02}  fork",
        local / 3600,
        local / 60 % 60,
        local % 60,
        offset / 60,
        offset % 60,
    )
}

/// A zone file with a constant offset (RFC 8536): times of 32 bits, times of 64 bits, and a rule.
fn zone_file(east: i32, rule: &str) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    // No leap seconds and no transitions; one type with a name of four bytes.
    for count in [0_u32, 0, 0, 0, 1, 4] {
        block.extend(count.to_be_bytes());
    }
    block.extend(east.to_be_bytes());
    block.extend(b"\0\0TST\0");
    [&block[..], &block, format!("\n{rule}\n").as_bytes()].concat()
}

const HOUR: i32 = 3600;

/// Installs a zone `Test/Here`, 5:45 east, for programs with TZDIR set to the returned path.
fn install(scratch: &Scratch) -> String {
    let zones = scratch.file("zones");
    fs::create_dir_all(format!("{zones}/Test")).expect("a directory");
    let file = zone_file(5 * HOUR + HOUR * 3 / 4, "<+0545>-5:45");
    fs::write(format!("{zones}/Test/Here"), file).expect("a file");
    // This directory is not part of a zone's name.
    fs::create_dir_all(format!("{zones}/posix")).expect("a directory");
    for name in ["localtime", "posix/Minus"] {
        fs::write(format!("{zones}/{name}"), zone_file(-HOUR, "<-01>1")).expect("a file");
    }
    zones
}

fn replay(zone: &str, zones: &str) -> Output {
    let mut command = program(&["replay", RECORDING, "--count", "1"]);
    command.env("TZ", zone).env("TZDIR", zones).output().expect("the program runs")
}

fn begins(output: &Output, east: i64, what: &str) {
    let shown = text(&output.stdout);
    assert!(shown.starts_with(&first(east)), "{what}: {shown}{}", text(&output.stderr));
}

fn the_zone_is_taken_from_tz() {
    let scratch = Scratch::new("zones");
    let zones = install(&scratch);
    let path = format!("{zones}/Test/Here");
    let here = 5 * 3600 + 45 * 60;
    for (zone, east) in [
        ("Test/Here", here),
        (":Test/Here", here),
        (&*path, here),
        (&format!(":{path}"), here),
        ("localtime", -3600),
        (":posix/Minus", -3600),
        ("", 0),
        (":", 0),
        ("UTC", 0),
        (":UTC", 0),
        ("UTC0", 0),
        ("EST5", -5 * 3600),
        ("EST5EDT,M3.2.0,M11.1.0", -5 * 3600),
        ("EST5EDT", -5 * 3600),
        ("Abc-1Def", 3600),
        ("<+0330>-3:30", 3 * 3600 + 1800),
        ("<-03>3", -3 * 3600),
        ("NZST-12NZDT,M9.5.0,M4.1.0/3", 13 * 3600),
        ("<UTC+14>-14", 14 * 3600),
    ] {
        let output = replay(zone, &zones);
        begins(&output, east, zone);
        assert!(text(&output.stderr).starts_with("1 event, "), "{zone}: {}", text(&output.stderr));
    }
    // A file at the given path takes precedence over an installed zone of the same name.
    let other = format!("{zones}/zoneinfo/Test");
    fs::create_dir_all(&other).expect("a directory");
    fs::write(format!("{other}/Here"), zone_file(HOUR, "<+01>-1")).expect("a file");
    begins(&replay(&format!("{other}/Here"), &zones), 3600, "another file");
}

fn summer_time_follows_the_zone() {
    let path = Path::new("/usr/share/zoneinfo/America/New_York");
    if !path.exists() {
        skip("needs the package tzdata");
    }
    for zone in ["America/New_York", ":America/New_York", "/usr/share/zoneinfo/America/New_York"] {
        let mut command = program(&["replay", RECORDING, "--count", "1"]);
        let output = command.env("TZ", zone).output().expect("the program runs");
        // In November.
        begins(&output, -5 * 3600, zone);
    }
}

fn a_zone_that_is_not_found_is_reported() {
    let scratch = Scratch::new("no-zones");
    let zones = install(&scratch);
    let not_a_zone = scratch.file("not-a-zone");
    fs::write(&not_a_zone, "TZif? No.").expect("a file");
    let leap_seconds = scratch.file("leap-seconds");
    let mut file = zone_file(HOUR, "<+01>-1");
    // A leap second, in both headers.
    for header in [0, file.len() / 2 - 4] {
        file[header + 31] = 1;
    }
    fs::write(&leap_seconds, file).expect("a file");
    for zone in [
        "Test/There",
        ":Test/There",
        "../Test/Here",
        "/no/such/file",
        &not_a_zone,
        &leap_seconds,
        // An endless file.
        "/dev/zero",
        "/proc",
        "Mars\x1b[2J",
        "EST5EDT,rubbish",
        "EST99",
    ] {
        let output = replay(zone, &zones);
        begins(&output, 0, zone);
        let errors = text(&output.stderr);
        let report = errors.lines().next().expect("a line");
        assert!(report.starts_with("proc-connector: "), "{errors}");
        assert!(report.ends_with("; times are in UTC"), "{errors}");
        let name = zone.trim_start_matches(':').replace('\x1b', "\\u{1b}");
        assert!(report.contains(&name), "{errors}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }
    let mut all = program(&["replay", RECORDING]);
    let output = all.env("TZ", "Test/There").output().expect("the program runs");
    assert_eq!(text(&output.stderr).matches("Test/There").count(), 1, "reported once");
}

/// The file that a role mounts over the machine's zone.
const LOCAL: &str = "PROC_CONNECTOR_TEST_LOCALTIME";

/// Executes the program in its own mount namespace.
fn replay_with(mounts: impl FnOnce() -> nix::Result<()>) {
    let private = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    };
    if let Err(error) = private().and_then(|()| mounts()) {
        println!("cannot: {error}");
        return;
    }
    let mut command = program(&["replay", RECORDING, "--count", "1"]);
    // The test that starts this role sets the zone.
    match std::env::var_os("TZ") {
        Some(zone) => command.env("TZ", zone),
        None => command.env_remove("TZ"),
    };
    panic!("{}", command.stdout(Stdio::inherit()).stderr(Stdio::inherit()).exec());
}

fn with_a_local_time() {
    let file = std::env::var(LOCAL).expect("a file");
    replay_with(|| {
        mount(Some(&*file), "/etc/localtime", None::<&str>, MsFlags::MS_BIND, None::<&str>)
    });
}

fn without_zones() {
    replay_with(|| {
        mount(Some("none"), "/usr/share/zoneinfo", Some("tmpfs"), MsFlags::empty(), None::<&str>)
    });
}

const CAP_SYS_ADMIN: u32 = 21;

/// Runs a role in its own mount namespace.
fn run_in_mount_namespace(name: &str, change: impl FnOnce(&mut Command)) -> Output {
    if !has_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN") {
        skip("needs CAP_SYS_ADMIN");
    }
    let mut command = common::helper_process::command(name);
    command.env_remove("TZ").env_remove("TZDIR");
    change(&mut command);
    let output = command.output().expect("this binary can be started");
    if text(&output.stdout).starts_with("cannot") {
        skip(text(&output.stdout).trim());
    }
    output
}

fn without_tz_the_machines_zone_is_used() {
    if !Path::new("/etc/localtime").exists() {
        skip("needs an /etc/localtime to mount on");
    }
    let scratch = Scratch::new("localtime");
    let file = scratch.file("localtime");
    fs::write(&file, zone_file(-9 * HOUR - HOUR / 2, "<-0930>9:30")).expect("a file");
    let output = run_in_mount_namespace("with_a_local_time", |command| {
        command.env(LOCAL, &file);
    });
    begins(&output, -(9 * 3600 + 1800), "/etc/localtime");
    // TZ takes precedence.
    let output = run_in_mount_namespace("with_a_local_time", |command| {
        command.env(LOCAL, &file).env("TZ", "EST5");
    });
    begins(&output, -5 * 3600, "TZ");
}

fn missing_zone_files_are_reported() {
    if !Path::new("/usr/share/zoneinfo").is_dir() {
        skip("needs a directory to hide");
    }
    let output = run_in_mount_namespace("without_zones", |command| {
        command.env("TZ", "America/New_York");
    });
    begins(&output, 0, "America/New_York");
    let errors = text(&output.stderr);
    assert!(errors.contains("TZ is America/New_York, but no time zones are installed"), "{errors}");
    for zone in ["UTC", "EST5EDT", "EST5EDT,M3.2.0,M11.1.0"] {
        let output = run_in_mount_namespace("without_zones", |command| {
            command.env("TZ", zone);
        });
        begins(&output, if zone == "UTC" { 0 } else { -5 * 3600 }, zone);
        assert!(text(&output.stderr).starts_with("1 event, "), "{}", text(&output.stderr));
    }
}

fn times_in_json_do_not_depend_on_the_zone() {
    for zone in ["UTC", "EST5", "<+0330>-3:30", "No/Such"] {
        let mut command = program(&["replay", RECORDING, "--json", "--count", "1"]);
        let output = command.env("TZ", zone).output().expect("the program runs");
        let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(line["time"], "2026-11-23T00:22:16.701127632Z", "{zone}");
        // The output contains no time of day.
        assert!(!text(&output.stderr).contains("TZ"), "{}", text(&output.stderr));
    }
}

fn headings_on_a_terminal_have_the_offset() {
    for (columns, heading) in [(120, "TIME +03:30 "), (100, "TIME +03:30 "), (80, "+03:30 ")] {
        let mut command = program(&["replay", RECORDING]);
        let (_, shown) = terminal::run(command.env("TZ", "<+0330>-3:30"), columns);
        let (headings, lines) = shown.split_once('\n').expect("lines");
        assert!(headings.starts_with(heading), "{shown}");
        assert!(lines.starts_with("03:52:16") && !lines.contains("+03:30"), "{shown}");
    }
    // A changed offset is printed again; in this zone, it changes in the middle of the demo.
    let rule = "EST5EDT,J326/19:22:17,J1";
    let mut command = program(&["replay", RECORDING]);
    let (_, shown) = terminal::run(command.env("TZ", rule), 120);
    let lines: Vec<&str> = shown.lines().collect();
    let headings: Vec<&&str> = lines.iter().filter(|line| line.starts_with("TIME ")).collect();
    assert_eq!(headings.len(), 2, "{shown}");
    assert!(headings[0].starts_with("TIME -05:00") && headings[1].starts_with("TIME -04:00"));
    assert!(shown.contains("\n19:22:16.") && shown.contains("\n20:22:17."), "{shown}");
}

fn intervals_of_stats_have_the_offset() {
    let mut command = program(&["stats", "--interval", "100ms", "--count", "1"]);
    command.env("TZ", "<+0545>-5:45");
    let output = listening(command).wait_with_output().expect("an exit status");
    let first = text(&output.stdout).lines().next().expect("a line");
    assert_eq!(first.get(8..16), Some("+05:45  "), "{first}");
}
