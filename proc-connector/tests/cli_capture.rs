//! `replay`: its output, its filters, and damaged input.

mod captures;
mod common;

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use captures::{
    CONNECTOR, DEMO, NETLINK, Order, Plain, blocks, cooked, demo_datagrams, demo_events, pcap,
    pcapng, swap,
};
use common::named;
use common::program::{PROGRAM, RECORDING, feed, json_lines, program, remove_end, run, text};
use common::scratch::ScratchFile;
use common::wire::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, PTRACE, SID, UID};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let everywhere = named![
        a_recording_in_json_matches_its_bytes,
        a_recording_in_lines_is_readable,
        the_demo_shows_names,
        a_capture_in_the_other_byte_order_yields_identical_output,
        replay_filters_select_the_same_lines,
        a_damaged_file_yields_the_events_before_the_damage_and_fails,
        unreadable_input_is_described,
        bad_usage_exits_with_2,
        a_capture_is_not_written_to_a_terminal,
        a_capture_of_other_protocols_is_reported,
        a_long_file_on_a_terminal_has_a_progress_bar,
        a_replay_into_a_closed_pipe_ends_quietly,
        an_error_of_watch_suggests_the_demo,
    ];
    common::main_with(&named![watch_in_a_network_namespace], &everywhere, &[])
}

fn watch_in_a_network_namespace() {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            let error = Command::new(PROGRAM).arg("watch").exec();
            panic!("{error}")
        }
        Err(error) => println!("cannot: {error}"),
    }
}

/// The documented object of an event, without its time of day.
fn object(event: &Plain) -> Value {
    let word = |n: usize| event.words[n];
    let known = |n: usize| Some(word(n)).filter(|&id| id != 0);
    let mut object = match event.what {
        FORK => json!({
            "event": "fork", "parent_pid": word(0), "parent_tgid": word(1),
            "child_pid": word(2), "child_tgid": word(3),
        }),
        EXEC => json!({"event": "exec"}),
        UID => json!({"event": "uid", "ruid": word(2), "euid": word(3)}),
        GID => json!({"event": "gid", "rgid": word(2), "egid": word(3)}),
        SID => json!({"event": "sid"}),
        PTRACE => json!({"event": "ptrace", "tracer_pid": word(2), "tracer_tgid": word(3)}),
        COMM => {
            let name: Vec<u8> = event.comm.iter().copied().take_while(|&b| b != 0).collect();
            json!({"event": "comm", "comm": text(&name)})
        }
        COREDUMP => {
            json!({"event": "coredump", "parent_pid": known(2), "parent_tgid": known(3)})
        }
        EXIT => {
            let (status, signal) = (word(2), word(2) & 0x7f);
            json!({
                "event": "exit", "exit_code": status, "exit_signal": word(3),
                "code": (signal == 0).then_some(status >> 8),
                "signal": (signal != 0).then_some(signal),
                "core_dumped": status & 0x80 != 0,
                "parent_pid": known(4), "parent_tgid": known(5),
            })
        }
        what => panic!("kind {what:#x}"),
    };
    if event.what != FORK {
        (object["pid"], object["tgid"]) = (word(0).into(), word(1).into());
    }
    object["timestamp_ns"] = event.timestamp_ns.into();
    (object["cpu"], object["seq"]) = (event.cpu.into(), event.seq.into());
    object
}

fn a_recording_in_json_matches_its_bytes() {
    let output = run(&["replay", RECORDING, "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let mut lines = json_lines(&output.stdout);
    // As tshark prints them: 1795393336.701127632 and 1795393337.085459405.
    assert_eq!(lines[0]["time"], "2026-11-23T00:22:16.701127632Z");
    assert_eq!(lines[73]["time"], "2026-11-23T00:22:17.085459405Z");
    for line in &mut lines {
        line.as_object_mut().expect("an object").remove("time").expect("a time");
    }
    let expected: Vec<Value> = demo_events().iter().map(object).collect();
    assert_eq!(lines, expected);
    assert!(text(&output.stderr).starts_with("74 events, 0 lost"), "{}", text(&output.stderr));
    // The recording contains every kind, threads, failures and a crash with a core dump.
    for kind in ["fork", "exec", "exit", "uid", "gid", "sid", "ptrace", "comm", "coredump"] {
        assert!(lines.iter().any(|line| line["event"] == kind), "{kind}");
    }
    let crash = lines.iter().find(|line| line["signal"] == 11).expect("a crash");
    assert_eq!(crash["core_dumped"], true);
}

fn a_recording_in_lines_is_readable() {
    let output = run(&["replay", RECORDING, "--threads"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 74);
    assert_eq!(lines[0], "00:22:16.701127+00:00  fork       14583            by 14187");
    assert!(lines.contains(&"00:22:17.064359+00:00  fork       14885            thread of 14883"));
    assert!(
        lines.contains(&"00:22:17.078601+00:00  exit       14894            exit 3 after 582 µs")
    );
    let crash = "00:22:17.085166+00:00  exit       14895            \
                 killed by SIGSEGV (core dumped) after 6.5 ms";
    assert!(lines.contains(&crash), "{lines:#?}");
    // Processes of this machine with the same ids are not used.
    assert!(lines.iter().all(|line| !line.contains('?')), "{lines:#?}");

    let threads = |line: &&Value| {
        let ids = [("child_pid", "child_tgid"), ("pid", "tgid")];
        ids.iter().any(|(pid, tgid)| line[pid] != line[tgid])
    };
    let json = json_lines(&run(&["replay", RECORDING, "--json"]).stdout);
    let without = run(&["replay", RECORDING]);
    let shown = text(&without.stdout).lines().count();
    assert_eq!(shown, 74 - json.iter().filter(threads).count());
}

fn the_demo_shows_names() {
    let output = run(&["replay", "--demo", "--wide"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    // What the build runs: see `demo/src`.
    for command in [" make -j2 test", " cc -O2 -Wall -c -o hello.o hello.c", " ./hello world"] {
        let exec = |line: &&&str| line.contains(" exec ") && line.ends_with(command);
        let line = lines.iter().find(exec).unwrap_or_else(|| panic!("{command}: {lines:#?}"));
        assert!(line.contains(" root "), "{line}");
    }
    let crash = |line: &&str| line.contains("SIGSEGV (core dumped)") && line.ends_with(" ./check");
    assert!(lines.iter().any(crash), "{lines:#?}");
    let all = json_lines(&run(&["replay", "--demo", "--json", "--who"]).stdout);
    for kind in ["fork", "exec", "exit", "uid", "gid", "sid", "ptrace", "comm", "coredump"] {
        let event = all.iter().find(|line| line["event"] == kind).expect(kind);
        assert!(event["process"]["comm"].is_string(), "{event}");
    }
}

fn a_capture_in_the_other_byte_order_yields_identical_output() {
    let expected = run(&["replay", RECORDING, "--json"]).stdout;
    let packets = |order| -> Vec<captures::Packet> {
        let machine = |bytes: &[u8]| match order {
            Order::Little => bytes.to_vec(),
            Order::Big => swap(Order::Little, bytes),
        };
        let packet = |(time, bytes): &captures::Packet| (*time, cooked(CONNECTOR, &machine(bytes)));
        demo_datagrams().iter().map(packet).collect()
    };
    for file in Order::ALL {
        for machine in Order::ALL {
            let capture = pcapng(file, &packets(machine));
            assert_eq!(feed(&["replay", "-", "--json"], &capture).stdout, expected);
            let capture = pcap(file, true, NETLINK, &packets(machine));
            let scratch = ScratchFile::containing("other.pcap", &capture);
            assert_eq!(run(&["replay", "--json", scratch.path()]).stdout, expected);
        }
    }
    // Messages without a file format have no times of day.
    let bare: Vec<u8> = demo_datagrams().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let lines = json_lines(&feed(&["replay", "-", "--json"], &bare).stdout);
    assert_eq!(lines.len(), 74);
    assert!(lines.iter().all(|line| line["time"].is_null()));
    assert_eq!(text(&feed(&["replay", "-", "--threads"], &bare).stdout).lines().count(), 74);
}

/// Whether a line is selected.
type Choose<'a> = &'a dyn Fn(&Value) -> bool;

fn replay_filters_select_the_same_lines() {
    let whole = json_lines(&run(&["replay", RECORDING, "--json"]).stdout);
    let thread = |line: &Value| match line["event"].as_str() {
        Some("fork") => line["child_pid"] != line["child_tgid"],
        Some("exec" | "coredump") => false,
        _ => line["pid"] != line["tgid"],
    };
    let of = |line: &Value, process: u64| match line["event"].as_str() {
        Some("fork") if !thread(line) => line["parent_tgid"] == process,
        Some("fork") => line["child_tgid"] == process,
        _ => line["tgid"] == process,
    };
    let cases: [(&[&str], Choose<'_>); 5] = [
        (&["--events", "exec,exit"], &|line| line["event"] == "exec" || line["event"] == "exit"),
        (&["--processes"], &|line| !thread(line)),
        (&["--failed"], &|line| line["event"] != "exit" || line["exit_code"] != 0),
        (&["--pid", "14883,14891"], &|line| of(line, 14883) || of(line, 14891)),
        (&["--events", "all", "--count", "7"], &|line| whole[..7].contains(line)),
    ];
    for (arguments, choose) in cases {
        let chosen = run(&[&["replay", RECORDING, "--json"], arguments].concat());
        let expected: Vec<Value> = whole.iter().filter(|line| choose(line)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < whole.len());
        let mut chosen = json_lines(&chosen.stdout);
        chosen.iter_mut().for_each(remove_end);
        assert_eq!(chosen, expected, "{arguments:?}");
    }
}

fn a_damaged_file_yields_the_events_before_the_damage_and_fails() {
    let whole = run(&["replay", RECORDING, "--json"]).stdout;
    let lines: Vec<&str> = text(&whole).split_inclusive('\n').collect();
    let blocks = blocks(Order::Little, DEMO);
    let (ten, eleven) = (blocks[2 + 10].clone(), blocks[2 + 11].clone());
    let cut = DEMO[..ten.start + 5].to_vec();
    let mut wrong_length = DEMO.to_vec();
    wrong_length[eleven.start + 4] += 1;
    let mut wrong_message = DEMO.to_vec();
    wrong_message[eleven.start + 28 + 16 + 32] = 200;
    let cases = [
        (cut, lines[..10].concat(), format!("truncated pcapng block at byte {}: ", ten.start)),
        (
            wrong_length,
            lines[..11].concat(),
            format!("invalid length of pcapng block at byte {}: 125 bytes", eleven.start),
        ),
        // The damage affects only one packet.
        (
            wrong_message,
            [&lines[..11], &lines[12..]].concat().concat(),
            format!("at byte {} are damaged", eleven.start + 28 + 16),
        ),
    ];
    for (file, expected, message) in cases {
        let scratch = ScratchFile::containing("damaged.pcapng", &file);
        let output = run(&["replay", "--json", scratch.path()]);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(text(&output.stdout), expected, "{message}");
        let errors = text(&output.stderr);
        assert!(errors.contains(&message) && errors.contains(scratch.path()), "{errors}");
        let events = expected.lines().count();
        assert!(errors.contains(&format!("{events} events, 0 lost")), "{errors}");
    }
}

fn unreadable_input_is_described() {
    let scratch = ScratchFile::containing("text", b"just a text, and no capture\n");
    for (path, message) in [
        (scratch.path(), "not a capture"),
        ("/dev/null", "empty"),
        ("/does/not/exist.pcapng", "/does/not/exist.pcapng"),
    ] {
        let output = run(&["replay", path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

fn bad_usage_exits_with_2() {
    for (arguments, help) in [
        (&["replay"][..], "--demo"),
        (&["replay", "--demo", "file"], "--demo"),
        (&["replay", RECORDING, "--events", "boot"], "coredump"),
        (&["record"], "FILE"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(help), "{arguments:?}: {}", text(&output.stderr));
    }
}

fn a_capture_is_not_written_to_a_terminal() {
    let terminal = nix::pty::openpty(None, None).expect("a terminal");
    let slave: OwnedFd = terminal.slave;
    let output = program(&["record", "-"]).stdout(slave).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("name a file"), "{}", text(&output.stderr));
}

fn a_capture_of_other_protocols_is_reported() {
    const ROUTE: u16 = 0;
    let packets = vec![(1, cooked(ROUTE, &[7; 40])); 3];
    let output = feed(&["replay", "-"], &pcap(Order::Little, false, NETLINK, &packets));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    let errors = text(&output.stderr);
    assert!(
        errors.contains("3 packets of other protocols") && errors.contains("nlmon"),
        "{errors}"
    );
}

fn a_long_file_on_a_terminal_has_a_progress_bar() {
    // Errors as printed on a terminal.
    let errors = |file: &ScratchFile, stdout: Stdio| {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let mut child = program(&["replay", "--events", "ptrace", file.path()])
            .env("TERM", "xterm")
            .stdout(stdout)
            .stderr(terminal.slave)
            .spawn()
            .expect("a running process");
        let mut written = Vec::new();
        // When no process has a terminal open, reading it fails.
        let _ = fs::File::from(terminal.master).read_to_end(&mut written);
        assert_eq!(child.wait().expect("an exit status").code(), Some(0));
        String::from_utf8(written).expect("UTF-8")
    };
    let bare: Vec<u8> = demo_datagrams().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let long = ScratchFile::containing("long", &bare.repeat(1 + 10_000_000 / bare.len()));
    let short = ScratchFile::containing("short", &bare);
    let with_bar = errors(&long, Stdio::null());
    assert!(with_bar.contains("MiB, "), "{with_bar}");
    // The bar clears its line before the summary is printed.
    let (before, after) = with_bar.rsplit_once("3558 events").expect("a summary");
    assert!(before.ends_with("\u{1b}[2K") && !after.contains('\u{1b}'), "{with_bar:?}");
    assert!(!errors(&short, Stdio::null()).contains("MiB, "));
}

fn a_replay_into_a_closed_pipe_ends_quietly() {
    // More than the capacity of a pipe.
    let bare: Vec<u8> = demo_datagrams().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let scratch = ScratchFile::containing("long", &bare.repeat(100));
    let mut child =
        program(&["replay", "--json", scratch.path()]).spawn().expect("a running process");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    assert_eq!(child.wait().expect("an exit status").code(), Some(0));
    assert_eq!(errors, "");
}

fn an_error_of_watch_suggests_the_demo() {
    let output = common::helper_process::command("watch_in_a_network_namespace")
        .output()
        .expect("an exit status");
    if text(&output.stdout).starts_with("cannot: ") {
        common::skip("needs the right to make a network namespace");
    }
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("network namespace") && errors.contains("replay --demo"), "{errors}");
}
