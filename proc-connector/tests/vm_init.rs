//! The init process of the machines that `cargo xtask vm-test` boots: runs the test binaries listed
//! in `/plan`, then powers off. If it is not the init process, it does nothing.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::tcdrain;

/// One line per run: the user (`root` or `nobody`), the name of the binary in `/tests`, and its
/// arguments.
const PLAN: &str = "/plan";

/// An id that neither users nor groups use.
const NOBODY: u32 = 65534;

fn main() {
    if std::process::id() != 1 || !Path::new(PLAN).is_file() {
        return;
    }
    // A panic of the init process would panic the kernel, which reboots. That ends the emulator
    // without the line that reports success.
    match prepare().and_then(|()| run_plan()) {
        Ok(Tally { runs, failed: 0 }) if runs > 0 => say(&format!("all {runs} runs passed")),
        Ok(Tally { runs, failed }) => say(&format!("{failed} of {runs} runs failed")),
        Err(error) => say(&format!("init failed: {error}")),
    }
    let _ = tcdrain(io::stdout());
    // The emulator exits on a reboot.
    let refused = reboot(RebootMode::RB_AUTOBOOT);
    panic!("the machine did not power off: {refused:?}");
}

/// The number of runs, and of failed ones.
struct Tally {
    runs: usize,
    failed: usize,
}

fn prepare() -> io::Result<()> {
    for (kind, target) in
        [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")]
    {
        mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>)?;
    }
    say(&format!("booted {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()));
    Ok(())
}

fn run_plan() -> io::Result<Tally> {
    let plan = fs::read_to_string(PLAN)?;
    let mut tally = Tally { runs: 0, failed: 0 };
    for line in plan.lines() {
        let mut words = line.split(' ');
        let (Some(user), Some(name)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("not a line of a plan: {line}")));
        };
        let mut test = Command::new(format!("/tests/{name}"));
        test.args(words).current_dir("/tmp").env_clear().env("PROC_CONNECTOR_REQUIRE_LIVE", "1");
        if user != "root" {
            test.uid(NOBODY).gid(NOBODY);
        }
        let start = Instant::now();
        let status = test.status()?;
        let seconds = start.elapsed().as_secs_f64();
        let result = if status.success() { "ok".to_owned() } else { format!("FAILED, {status}") };
        say(&format!("{name} {user}: {result} after {seconds:.1} s"));
        tally.runs += 1;
        tally.failed += usize::from(!status.success());
    }
    Ok(tally)
}

fn say(line: &str) {
    let mut stdout = io::stdout();
    // If the console is gone, the error cannot be reported.
    let _ = writeln!(stdout, "vm-test: {line}").and_then(|()| stdout.flush());
}
