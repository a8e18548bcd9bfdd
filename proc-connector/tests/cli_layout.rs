//! Lines on a terminal: the command takes at most a third of a line of any width.

mod captures;
mod common;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use captures::{CONNECTOR, Order, Packet, cooked, pcapng};
use common::helper_process::command;
use common::program::{RECORDING, program};
use common::scratch::ScratchFile;
use common::wire::{COMM, EXEC, EXIT, NLMSG_DONE, cn_msg, event, message, proc_event};
use common::{named, skip, terminal, transport, transport_name};
use proc_connector::Transport;
use unicode_width::UnicodeWidthStr;

fn main() -> ExitCode {
    let everywhere = named![
        wide_letters_take_two_columns,
        headings_are_printed_on_terminals_only,
        wide_lines_are_complete_without_a_terminal,
    ];
    let live = named![
        a_command_takes_at_most_a_third_of_the_line,
        lines_fit_a_terminal_that_changes_its_size
    ];
    common::main_with(&named![exits_3], &everywhere, &live)
}

fn exits_3() {
    std::process::exit(3)
}

/// All common widths of terminals.
const WIDTHS: std::ops::RangeInclusive<u16> = 20..=200;

/// A word that repeats everything a command can contain: characters of one and two columns, a
/// combining accent, an emoji of several characters, and a flag.
fn long_command() -> String {
    "wörd-e\u{301}-漢字-🙂-👩\u{200d}👩\u{200d}👧-🇫🇷-".repeat(20)
}

fn widths() -> impl Iterator<Item = u16> {
    WIDTHS.step_by(9).chain([60, 80])
}

fn a_command_takes_at_most_a_third_of_the_line() {
    if transport() != Transport::Ring {
        skip("only the ring records the arguments of a short-lived process");
    }
    let long = format!("#{}", long_command());
    let processes = ShortLivedProcesses::start(&long);
    for columns in widths() {
        let common = ["watch", "--duration", "20s", "--transport", transport_name()];
        let options = ["--comm", "cli_layout*", "--events", "exec,exit", "--count", "4"];
        let (status, shown) =
            terminal::run(&mut program(&[&common[..], &options].concat()), columns);
        assert!(status.success(), "{shown}");
        let width = usize::from(columns);
        let lines: Vec<&str> = shown.lines().filter(|line| line.contains('#')).collect();
        assert!(!lines.is_empty(), "{columns}: {shown}");
        for line in lines {
            assert!(line.width() <= width, "{columns}: {line}");
            let command = line.find('#').map(|start| line[start..].width()).expect("a command");
            // A character of two columns may not fit into the last one.
            assert!(3 * (command + 1) >= width, "{columns}: {line}");
        }
    }
    drop(processes);
}

/// Creates short-lived processes with a given name.
struct ShortLivedProcesses {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ShortLivedProcesses {
    /// More processes than any test needs, in case the program misses one.
    const MANY: usize = 20_000;

    fn start(name: &str) -> Self {
        let (is_over, name) = (Arc::new(AtomicBool::new(false)), name.to_owned());
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for _ in (0..Self::MANY).take_while(|_| !over.load(Relaxed)) {
                let mut command = command("exits_3");
                command.arg0(&name).spawn().expect("a child").wait().expect("an exit status");
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for ShortLivedProcesses {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lines_fit_a_terminal_that_changes_its_size() {
    let name = "#".repeat(300);
    let processes = ShortLivedProcesses::start(&name);
    let common = ["watch", "--duration", "20s", "--transport", transport_name(), "--count", "600"];
    let (status, shown) = terminal::run_resized(&mut program(&common), 120, Some(60));
    assert!(status.success(), "{shown}");
    drop(processes);
    let headings: Vec<&str> = shown.lines().filter(|line| line.ends_with("COMMAND")).collect();
    assert_eq!(headings.len(), 2, "{shown}");
    let after = shown.lines().skip_while(|line| *line != headings[1]);
    let after: Vec<&str> = after.filter(|line| !line.contains("events/s")).collect();
    assert!(after.len() > 1 && after.iter().all(|line| line.width() <= 60), "{after:#?}");
}

/// A recording of a process that executes a program, has a name, and fails.
fn recording(name: &str) -> ScratchFile {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    let union = [&7_u32.to_ne_bytes()[..], &7_u32.to_ne_bytes(), &bytes].concat();
    let comm = message(NLMSG_DONE, &cn_msg(1, 1, &proc_event(COMM, &union)));
    let exit = event(EXIT, &[7, 7, 3 << 8, 17, 1, 1]);
    let packets = [event(EXEC, &[7, 7]), comm, exit];
    let packets: Vec<Packet> = packets
        .into_iter()
        .map(|datagram| (1_795_393_336_701_127_632, cooked(CONNECTOR, &datagram)))
        .collect();
    ScratchFile::containing("named.pcapng", &pcapng(Order::NATIVE, &packets))
}

fn wide_letters_take_two_columns() {
    for name in
        ["漢字漢字漢", "🙂🙂🙂", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", "fifteen-letters"]
    {
        let file = recording(name);
        for columns in WIDTHS {
            let mut command = program(&["replay", file.path()]);
            let (_, shown) = terminal::run(command.env("TZ", "UTC"), columns);
            let (width, mut found) = (usize::from(columns), 0);
            for line in shown.lines().filter(|line| !line.contains("events/s")) {
                assert!(line.width() <= width, "{columns}: {line}");
                let Some((_, rest)) = line.split_once("exit ") else { continue };
                found += 1;
                // The full name, or a third of the line.
                let command = rest.rsplit("  ").next().unwrap_or_default();
                let command = command.rsplit(' ').next().unwrap_or_default();
                assert!(command == name || 3 * (command.width() + 1) >= width, "{columns}: {line}");
            }
            assert_eq!(found, usize::from(shown.contains("exit")), "{columns}: {shown}");
        }
    }
}

fn headings_are_printed_on_terminals_only() {
    let headings = |shown: &str| {
        let words: Vec<String> = shown
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        words
    };
    let all = ["TIME", "+00:00", "KIND", "PID", "USER", "DETAIL", "COMMAND"];
    for (options, columns, expected) in [
        (&[][..], 120, &all[..]),
        (&["--wide"], 40, &all),
        (&[], 60, &["+00:00", "KIND", "PID", "DETAIL", "COMMAND"]),
        (&[], 20, &["KIND", "PID", "COMMAND"]),
    ] {
        let mut command = program(&[&["replay", RECORDING], options].concat());
        let (_, shown) = terminal::run(command.env("TZ", "UTC"), columns);
        assert_eq!(headings(&shown), expected, "{shown}");
        assert_eq!(shown.matches("COMMAND").count(), 1, "{shown}");
    }
    // The columns are aligned with their headings.
    let mut command = program(&["replay", RECORDING]);
    let (_, shown) = terminal::run(command.env("TZ", "UTC"), 120);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0].find("KIND"), lines[1].find("fork"), "{shown}");
    assert_eq!(
        lines[0].find("PID").map(|start| start + 3),
        lines[1].find("14583").map(|start| start + 5)
    );
    assert_eq!(lines[0].find("DETAIL"), lines[1].find("by 14187"), "{shown}");
    // A capture without times of day has times since the machine's start.
    let bare: Vec<u8> =
        captures::demo_datagrams().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let file = ScratchFile::containing("bare", &bare);
    let (_, shown) = terminal::run(&mut program(&["replay", file.path()]), 120);
    assert_eq!(headings(&shown)[0], "SECONDS", "{shown}");

    let piped = program(&["replay", RECORDING]).output().expect("the program runs");
    assert!(!common::program::text(&piped.stdout).contains("COMMAND"));
}

fn wide_lines_are_complete_without_a_terminal() {
    let piped = Command::new(env!("CARGO_BIN_EXE_proc-connector"))
        .args(["replay", RECORDING])
        .env("TZ", "UTC")
        .output()
        .expect("the program runs");
    let piped = common::program::text(&piped.stdout).replace("+00:00", "");
    let mut wide = program(&["replay", RECORDING, "--wide"]);
    let (_, shown) = terminal::run(wide.env("TZ", "UTC"), 30);
    let shown: Vec<&str> =
        shown.lines().skip(1).filter(|line| !line.contains("events/s")).collect();
    assert_eq!(shown, piped.lines().collect::<Vec<&str>>());
}
