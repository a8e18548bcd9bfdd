//! Boots a machine, prints its console, and waits for its result.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// The prefix of the lines that the init process prints.
const MARK: &str = "vm-test: ";

/// The console is the emulator's standard output. A panic reboots the machine, which ends the
/// emulator. The limit allows unprivileged tests a large receive buffer.
const PARAMETERS: &str = "console=ttyS0 quiet panic=-1 sysctl.net.core.rmem_max=134217728";

/// The result of a boot.
#[derive(Debug)]
pub(super) struct Boot {
    /// The time until the init process started.
    pub(super) booted: Option<Duration>,
    pub(super) all: Duration,
    /// `Ok` if the machine reported that all tests passed.
    pub(super) verdict: Result<String, String>,
    /// All lines of its console.
    pub(super) console: Vec<String>,
}

/// A machine to boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'a> {
    /// Precedes each line of its console.
    pub(super) name: &'a str,
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    /// An additional kernel parameter.
    pub(super) parameter: &'a str,
}

impl Machine<'_> {
    /// Boots the machine, and waits until it is off.
    pub(super) fn boot(self, timeout: Duration) -> Result<Boot> {
        let start = Instant::now();
        let mut emulator = Emulator(self.qemu().spawn().context(PROGRAM)?);
        let console = emulator.0.stdout.take().context("the machine has no console")?;
        Ok(watch(self.name, console, start, timeout))
    }

    fn qemu(self) -> Command {
        let mut qemu = Command::new(PROGRAM);
        // Without `rdrand`, the machine has no source of entropy, and programs that request random
        // numbers block forever.
        qemu.args(["-accel", "tcg", "-cpu", "qemu64,+rdrand", "-m", "512"])
            .args(["-nic", "none", "-no-reboot"])
            // Not `-nographic`, with which the firmware clears the terminal first.
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", &format!("{PARAMETERS} {}", self.parameter)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        qemu
    }
}

/// Prints and evaluates the console until the machine is off.
fn watch(
    name: &str,
    console: impl Read + Send + 'static,
    start: Instant,
    timeout: Duration,
) -> Boot {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });

    let mut boot = Boot {
        booted: None,
        all: Duration::ZERO,
        verdict: Err("ended without a result".to_owned()),
        console: Vec::new(),
    };
    loop {
        match lines.recv_timeout(timeout.saturating_sub(start.elapsed())) {
            Ok(line) => {
                println!("{name:<4} | {line}");
                if let Some(said) = said(&line) {
                    boot.note(said, start.elapsed());
                }
                boot.console.push(line);
            }
            // The console is closed: the machine is off.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                boot.verdict = Err(format!("timed out after {} s", timeout.as_secs()));
                break;
            }
        }
    }
    boot.all = start.elapsed();
    boot
}

impl Boot {
    /// Evaluates a line of the init process.
    fn note(&mut self, said: &str, after: Duration) {
        if said.starts_with("booted ") {
            self.booted = Some(after);
        } else if said.starts_with("all ") && said.ends_with(" passed") {
            self.verdict = Ok(said.to_owned());
        } else if said.ends_with(" failed") || said.starts_with("init failed") {
            self.verdict = Err(said.to_owned());
        }
    }
}

/// The text of a line that the init process printed. Output of a test may precede it on the same
/// line.
fn said(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, said)| said)
}

/// A running emulator, killed on drop.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // The emulator has already ended, unless it timed out.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_final_line_makes_a_success() {
        let verdict = |lines: &[&str]| {
            let mut boot = Boot {
                booted: None,
                all: Duration::ZERO,
                verdict: Err("ended".to_owned()),
                console: Vec::new(),
            };
            for said in lines.iter().copied().filter_map(said) {
                boot.note(said, Duration::from_secs(3));
            }
            (boot.booted.is_some(), boot.verdict.is_ok())
        };
        assert_eq!(verdict(&["all 3 runs passed"]), (false, false));
        assert_eq!(
            verdict(&["vm-test: booted 6.1.0", "vm-test: live_open root: ok"]),
            (true, false)
        );
        assert_eq!(verdict(&["vm-test: 1 of 3 runs failed"]), (false, false));
        assert_eq!(verdict(&["left over vm-test: all 3 runs passed"]), (false, true));
    }
}
