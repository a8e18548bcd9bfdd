//! Simulates other machines with namespaces: mounts and clocks of a single process.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::helper_process::{HelperProcess, command, pause, print_number};
use super::{CAP_SYS_ADMIN, require_capability, transport_name};
use proc_connector::Transport;

/// Skips the test if namespaces cannot be created.
pub(crate) fn require_namespaces() {
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
}

/// Runs a role that contains its own checks.
pub(crate) fn run_role(role: &str) {
    let status = command(role)
        .env(TRANSPORT, transport_name())
        .stdin(Stdio::null())
        .status()
        .expect("this binary can be started");
    assert!(status.success(), "{role}: {status}");
}

const TRANSPORT: &str = "PROC_CONNECTOR_TEST_TRANSPORT";

/// In a role: the transport of the test.
pub(crate) fn test_transport() -> Transport {
    match std::env::var(TRANSPORT).as_deref() {
        Ok("ring") => Transport::Ring,
        Ok("socket") => Transport::Socket,
        _ => Transport::Auto,
    }
}

/// In a role: a subcommand of the program that listens over the test's transport.
pub(crate) fn listening(program: &str, subcommand: &str) -> Command {
    let transport = std::env::var(TRANSPORT).expect("a test that started this");
    let mut command = Command::new(program);
    command.args([subcommand, "--transport", &transport]).stdin(Stdio::null());
    command
}

/// In a role: unshares the mount namespace.
pub(crate) fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a privileged process");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
}

/// In a role: mounts a file system over a directory.
pub(crate) fn mount_over(directory: &str, kind: &str, options: &str) {
    let (source, flags) = (Some(kind), MsFlags::empty());
    mount(source, directory, Some(kind), flags, Some(options)).expect("a privileged process");
}

/// A role: the first process of a pid namespace, which mounts the `/proc` of that namespace.
pub(crate) fn mounts_proc_of_its_pid_namespace() {
    assert_eq!(std::process::id(), 1);
    mount_over("/proc", "proc", "");
    print_number(1);
    pause();
}

/// In a role next to [`mounts_proc_of_its_pid_namespace`]: covers `/proc` with that of another pid
/// namespace, until the result is dropped.
pub(crate) fn cover_with_proc_of_another_pid_namespace() -> HelperProcess {
    own_mounts();
    let own = File::open("/proc/self/ns/pid").expect("/proc is mounted");
    unshare(CloneFlags::CLONE_NEWPID).expect("a privileged process");
    let mut first = HelperProcess::start("mounts_proc_of_its_pid_namespace");
    assert_eq!(first.read_number(), 1);
    // Later children must be created in the original namespace.
    setns(own, CloneFlags::CLONE_NEWPID).expect("its own namespace");
    // This process shares the mounts.
    assert!(fs::read_link("/proc/self").is_err());
    first
}

/// In a role: creates later children in a time namespace whose clocks are ahead of the initial ones
/// by these numbers of seconds.
pub(crate) fn shift_clocks(monotonic: i64, boottime: i64) {
    /// `CLONE_NEWTIME`, which nix does not define.
    const NEW_TIME: i32 = 0x80;
    unshare(CloneFlags::from_bits_retain(NEW_TIME)).expect("a privileged process");
    let offsets = format!("monotonic {monotonic} 0\nboottime {boottime} 0\n");
    fs::write("/proc/self/timens_offsets", offsets).expect("offsets that the kernel accepts");
}
