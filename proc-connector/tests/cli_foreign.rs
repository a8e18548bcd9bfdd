//! `replay` of other programs' captures: a damaged packet is reported and the rest is shown. No
//! capture makes the program panic, allocate without limit, or overflow a counter.

mod captures;
#[path = "common/scratch.rs"]
mod scratch;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use captures::Number::{U16, U32, U64};
use captures::{EXEC, NETLINK, Order, block, enhanced, interface, option, packet, pcap, section};
use scratch::{Scratch, ScratchFile};

const FORK: u32 = 1;
const EXIT: u32 = 0x8000_0000;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proc-connector"));
    command.args(arguments).env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Every way to show a capture.
fn ways(directory: &Scratch) -> Vec<Vec<String>> {
    let files =
        ["svg", "html", "json", "jsonl"].map(|format| directory.file(&format!("out.{format}")));
    let mut ways: Vec<Vec<String>> = [&[][..], &["--json"], &["--json", "--who"], &["--tree", "1"]]
        .iter()
        .map(|way| way.iter().map(ToString::to_string).collect())
        .collect();
    ways.extend(files.map(|file| vec!["-o".to_owned(), file]));
    ways
}

/// Shows a file in every way, and asserts that each exits with this status.
fn show_in_every_way(name: &str, file: &[u8], code: i32) -> Vec<Output> {
    let directory = Scratch::new(&format!("ways-{name}"));
    let path = directory.file("capture");
    fs::write(&path, file).expect("a writable directory");
    let show = |way: Vec<String>| {
        let mut arguments = vec!["replay", &path];
        arguments.extend(way.iter().map(String::as_str));
        let output = run(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}, {arguments:?}: {errors}");
        assert!(!errors.contains("panicked"), "{name}, {arguments:?}: {errors}");
        output
    };
    ways(&directory).into_iter().map(show).collect()
}

#[test]
fn a_packet_that_was_cut_is_reported_and_the_rest_is_shown() {
    let order = Order::NATIVE;
    let whole = packet(EXEC, &[7, 7]);
    let mut file = pcap(order, true, NETLINK, &[(1, whole.clone())]);
    for len in [60, 60, 5] {
        let kept = u32::try_from(len).expect("a few");
        file.extend(order.numbers(&[U32(1), U32(0), U32(kept), U32(92)]));
        file.extend(&whole[..len]);
    }
    file.extend(&pcap(order, true, NETLINK, &[(1, whole)])[24..]);
    for output in show_in_every_way("cut", &file, 1) {
        let errors = text(&output.stderr);
        assert_eq!(errors.matches("76 bytes needed, 44 available").count(), 1);
        assert!(errors.contains("3 packets could not be read"), "{errors}");
        assert!(errors.contains("snap length"), "{errors}");
        assert!(errors.contains(", 0 lost"), "{errors}");
    }
    let scratch = ScratchFile::containing("cut", &file);
    let output = run(&["replay", "--json", scratch.path()]);
    assert_eq!(text(&output.stdout).lines().count(), 2);
    assert!(text(&output.stderr).contains("2 events, 0 lost"), "{}", text(&output.stderr));
    // The error that ends a capture is reported as well.
    file.push(1);
    let scratch = ScratchFile::containing("cut-and-damaged", &file);
    let errors = run(&["replay", "--json", scratch.path()]).stderr;
    let errors = text(&errors);
    assert!(errors.contains("3 packets could not") && errors.contains("pcap record"), "{errors}");
}

#[test]
fn sums_of_losses_saturate() {
    let order = Order::NATIVE;
    let lost = option(order, 4, &order.numbers(&[U64(u64::MAX - 5)]));
    let lost = [lost, option(order, 0, &[])].concat();
    let packet = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &lost);
    let file = [section(order), interface(order, NETLINK, None), packet.repeat(3)].concat();
    for output in show_in_every_way("losses", &file, 0) {
        let errors = text(&output.stderr);
        assert!(errors.contains("18446744073709551615 lost"), "{errors}");
    }
    let scratch = ScratchFile::containing("losses", &file);
    let directory = Scratch::new("losses-drawn");
    let svg = directory.file("out.svg");
    assert!(run(&["replay", scratch.path(), "-o", &svg]).status.success());
    let svg = fs::read_to_string(&svg).expect("a timeline");
    assert!(svg.contains("18446744073709551615 events lost"), "{svg}");
}

#[test]
fn times_and_numbers_of_any_size_are_displayed() {
    for order in Order::ALL {
        let mut file = section(order);
        for resolution in [0, 6, 9, 19, 20, 127, 128, 191, 255] {
            file.extend(interface(order, NETLINK, Some(resolution)));
        }
        let ends = [0, 1, u64::MAX / 2, u64::MAX];
        for (id, time) in (0..9).flat_map(|id| ends.map(|time| (id, time))) {
            for what in [FORK, EXEC, EXIT, 0x200, 0x4000_0000, 0x400] {
                for words in [[u32::MAX; 6], [0; 6], [0x7fff_ffff; 6], [1, 1, u32::MAX, 7, 0, 1]] {
                    let mut data = packet(what, &words);
                    data[16 + 44..16 + 52].copy_from_slice(&time.to_ne_bytes());
                    file.extend(enhanced(order, id, time, &data, &[]));
                }
            }
        }
        show_in_every_way("numbers", &file, 0);
    }
}

#[test]
fn trees_of_any_shape_are_drawn() {
    let order = Order::NATIVE;
    let fork = |parent, child| packet(FORK, &[parent, parent, child, child]);
    let exit = |id| packet(EXIT, &[id, id, 256, 17]);
    // Recursion at this depth would overflow the stack.
    let deepest = 20_000;
    let deep = (1..deepest).map(|id| fork(id, id + 1)).chain((1..=deepest).map(exit));
    let many = 4_000;
    let wide = (2..many).map(|id| fork(1, id)).chain((1..many).map(exit));
    let execs = (0..many).map(|_| packet(EXEC, &[5, 5])).chain([exit(5)]);
    let threads = (6..many).rev().map(|id| packet(FORK, &[1, 1, id, 5])).chain([exit(5)]);
    let again = (0..many).map(|id| fork(1, 2 + id % 7));
    let shapes: [(&str, Vec<Vec<u8>>); 5] = [
        ("deep", deep.collect()),
        ("wide", wide.collect()),
        ("execs", execs.collect()),
        ("threads", threads.collect()),
        ("again", again.collect()),
    ];
    for (name, packets) in shapes {
        let mut file = [section(order), interface(order, NETLINK, Some(9))].concat();
        for (time, mut data) in (1..).zip(packets) {
            data[16 + 44..16 + 52].copy_from_slice(&u64::to_ne_bytes(time));
            file.extend(enhanced(order, 0, time, &data, &[]));
        }
        show_in_every_way(name, &file, 0);
    }
}

#[test]
fn a_hostile_capture_takes_little_memory() {
    /// The limit of address space in kilobytes, including the program and its libraries.
    const LIMIT: u32 = 200_000;
    let order = Order::NATIVE;
    let mut body = order.numbers(&[U16(NETLINK), U16(0), U32(0)]);
    while body.len() < 15 << 20 {
        body.extend(option(order, 1, &vec![b'x'; 65_532]));
    }
    body.extend(option(order, 0, &[]));
    let huge = block(order, 1, &body);
    let mut script = String::new();
    let program = env!("CARGO_BIN_EXE_proc-connector");
    write!(script, "ulimit -v {LIMIT} && exec '{program}' replay - --json").expect("memory");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    let last = enhanced(order, 0, 5, &packet(EXEC, &[7, 7]), &[]);
    let feeder = std::thread::spawn(move || {
        // If the program ends early, its output contains the reason.
        let _ = stdin.write_all(&section(order));
        for _ in 0..20 {
            let _ = stdin.write_all(&huge);
        }
        let _ = stdin.write_all(&last);
    });
    let output = child.wait_with_output().expect("an exit status");
    feeder.join().expect("a thread without a panic");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[test]
fn input_that_is_not_a_capture_is_named() {
    let gzip = [&b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"[..], b"capture.pcapng\0", &[0x5a; 40]].concat();
    let scratch = ScratchFile::containing("capture.pcapng.gz", &gzip);
    let directory = Scratch::new("directory");
    let directory = directory.file(".");
    for (path, words) in [
        (scratch.path(), &["gzip", "gzip -dc FILE | proc-connector replay -"][..]),
        (env!("CARGO_BIN_EXE_proc-connector"), &["not a capture", "ELF"]),
        ("/proc/self/status", &["not a capture", "text"]),
        (&directory, &["directory"]),
    ] {
        let output = run(&["replay", path]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(words.iter().all(|word| errors.contains(word)), "{errors}");
        assert!(errors.contains(path) && output.stdout.is_empty(), "{errors}");
    }
}
