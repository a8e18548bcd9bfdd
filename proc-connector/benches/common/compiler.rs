//! What the ring records of a compiler that a user of a terminal has started.

use proc_connector_core::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector_core::testing::context::RawExtension;

/// What is recorded at each event of a task.
pub(crate) fn task(tgid: u32, comm: &[u8]) -> RawExtension {
    let pair = |number: u32| (u64::from(number) << 32 | u64::from(number)).into();
    let task = TaskHdr {
        cgroup_id: 4711.into(),
        pid_tgid: pair(tgid),
        uid_gid: pair(1000),
        euid_egid: pair(1000),
        session: 400.into(),
        tty: (136 << 20 | 5).into(),
        login_uid: 1000.into(),
        audit_session: 3.into(),
        ns_tgid: tgid.into(),
        pid_ns: 4_026_531_836.into(),
        css_set: 0xffff_8880_1234_5678.into(),
        ..TaskHdr::default()
    };
    let mut extension = RawExtension { task, ..RawExtension::default() };
    extension.task.comm[..comm.len()].copy_from_slice(comm);
    extension.recorded = Recorded::from_bits_truncate(0xfff | Recorded::CSS_SET.bits())
        - Recorded::ARGS
        - Recorded::ARGS_CUT;
    extension
}

/// The same at the exec of a compiler with these arguments.
pub(crate) fn executed(task: RawExtension, args: &[u8]) -> RawExtension {
    let file = ExecHdr {
        ino: 1_234_567.into(),
        ctime_sec: 1_700_000_000.into(),
        ctime_nsec: 123_456_789.into(),
        dev: (254 << 20).into(),
        nlink: 1.into(),
        ..ExecHdr::default()
    };
    let parts =
        [args, b"/usr/bin/gcc", b"x86_64-linux-gnu-gcc-12\0bin\0usr\0", b"project\0user\0home\0"];
    task.with_exec(file, parts)
}

/// The same at the exit of a process.
pub(crate) fn ended(mut task: RawExtension) -> RawExtension {
    let usage = UsageHdr {
        cpu_ns: 12_345_678.into(),
        utime: 8_000_000.into(),
        stime: 4_000_000.into(),
        nvcsw: 12.into(),
        nivcsw: 3.into(),
        min_flt: 1234.into(),
        write_bytes: 40_960.into(),
        max_rss: 23_456_768.into(),
        ..UsageHdr::default()
    };
    (task.usage, task.process_usage) = (Some(usage), Some(usage));
    task
}
