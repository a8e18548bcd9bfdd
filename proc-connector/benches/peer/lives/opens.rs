//! The files that the program opens and the links that it reads below `/proc`, for each process
//! life, counted by strace.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::run::{Loop, Scratch, forks, interrupt};
use crate::support::Table;

/// Counts, and prints a table.
pub(crate) fn print(program: &Path, scratch: &Scratch) {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        eprintln!("opens of /proc: left out, strace is not installed");
        return;
    }
    let mut table = Table::new(["opens and links read below /proc", "per life"]);
    for options in [&["watch"][..], &["watch", "--json", "--who"]] {
        for transport in ["ring", "socket"] {
            let opened = opened(program, &[options, &["--transport", transport]].concat(), scratch);
            table.row([format!("{}, {transport}", options.join(" ")), format!("{opened:.3}")]);
        }
    }
    table.print();
}

/// How often the running program opens a file below `/proc` or reads a link there for each process
/// life, while the loop runs.
fn opened(program: &Path, arguments: &[&str], scratch: &Scratch) -> f64 {
    let mut watch = Command::new(program);
    watch.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let watch = watch.spawn().expect("the program");
    let shell_loop = Loop::start(scratch);
    std::thread::sleep(Duration::from_secs(1));
    let calls = scratch.file("calls");
    // With `-y`, strace also prints the directory that a path is relative to.
    let strace = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=open,openat,openat2,readlink,readlinkat", "-o"])
        .arg(&calls)
        .args(["-p", &watch.id().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace");
    std::thread::sleep(Duration::from_secs(1));
    let forks_before = forks();
    shell_loop.run();
    std::thread::sleep(Duration::from_millis(500));
    let forks = forks() - forks_before;
    interrupt(strace);
    interrupt(watch);
    let lines = BufReader::new(File::open(calls).expect("the output of strace")).split(b'\n');
    let below_proc = |line: &[u8]| line.windows(5).any(|word| word == b"/proc");
    let count = lines.filter(|line| below_proc(line.as_ref().expect("a line"))).count();
    f64::from(u32::try_from(count).expect("a small count")) / forks
}
