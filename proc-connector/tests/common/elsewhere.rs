//! Other machines, as far as namespaces can make one: mounts and clocks of a process of its own.

use std::fs;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::actor::command;
use super::{CAP_SYS_ADMIN, capable, skip, transport};
use proc_connector::Transport;

/// Skips the test where no other machine can be made.
pub(crate) fn need_namespaces() {
    if !capable(CAP_SYS_ADMIN, "CAP_SYS_ADMIN") {
        skip("needs CAP_SYS_ADMIN");
    }
}

/// Has a process play an act that checks something itself.
pub(crate) fn checked_by(act: &str) {
    let status = command(act)
        .env(TRANSPORT, transport_name())
        .stdin(Stdio::null())
        .status()
        .expect("this binary can be started");
    assert!(status.success(), "{act}: {status}");
}

const TRANSPORT: &str = "PROC_CONNECTOR_TEST_TRANSPORT";

/// The transport of the test, as the program's option has it.
fn transport_name() -> &'static str {
    match transport() {
        Transport::Ring => "ring",
        Transport::Socket => "socket",
        _ => "auto",
    }
}

/// In the act: the test's transport.
pub(crate) fn transport_of_test() -> Transport {
    match std::env::var(TRANSPORT).as_deref() {
        Ok("ring") => Transport::Ring,
        Ok("socket") => Transport::Socket,
        _ => Transport::Auto,
    }
}

/// In the act: the program's subcommand that listens, over the test's transport.
pub(crate) fn listening(program: &str, subcommand: &str) -> Command {
    let transport = std::env::var(TRANSPORT).expect("a test that started this");
    let mut command = Command::new(program);
    command.args([subcommand, "--transport", &transport]).stdin(Stdio::null());
    command
}

/// In the act: mounts are from now on this process's own.
pub(crate) fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a privileged process");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("mounts of its own");
}

/// In the act: a file system over a directory.
pub(crate) fn mount_over(directory: &str, kind: &str, options: &str) {
    let (source, flags) = (Some(kind), MsFlags::empty());
    mount(source, directory, Some(kind), flags, Some(options)).expect("a privileged process");
}

/// In the act: children are from now on in a time namespace whose clocks are ahead of the initial one's
/// by so many seconds.
pub(crate) fn shift_clocks(monotonic: i64, boottime: i64) {
    /// `CLONE_NEWTIME`, which nix does not have.
    const NEW_TIME: i32 = 0x80;
    unshare(CloneFlags::from_bits_retain(NEW_TIME)).expect("a privileged process");
    let offsets = format!("monotonic {monotonic} 0\nboottime {boottime} 0\n");
    fs::write("/proc/self/timens_offsets", offsets).expect("offsets that the kernel takes");
}
