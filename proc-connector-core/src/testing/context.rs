//! Contexts as the ring transport writes them.

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::context::layout::{
    ExecHdr, ExitHdr, ExtensionHdr, IdentityHdr, Recorded, TaskHdr, UsageHdr,
};

/// The parts of a context.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct RawContext {
    pub identity: IdentityHdr,
    /// The parts after the identity, if there are any.
    pub extension: Option<RawExtension>,
}

/// The parts after the identity. The bits of parts with a header of their own are added.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct RawExtension {
    pub recorded: Recorded,
    pub task: TaskHdr,
    pub usage: Option<UsageHdr>,
    pub process_usage: Option<UsageHdr>,
    pub exec: Option<ExecHdr>,
    pub tail: Vec<u8>,
}

impl Default for RawExtension {
    fn default() -> Self {
        Self {
            recorded: Recorded::empty(),
            task: TaskHdr::default(),
            usage: None,
            process_usage: None,
            exec: None,
            tail: Vec::new(),
        }
    }
}

/// A usage with a different value in each field.
pub fn distinct_usage() -> UsageHdr {
    UsageHdr {
        cpu_ns: 30.into(),
        utime: 20.into(),
        stime: 10.into(),
        nvcsw: 1.into(),
        nivcsw: 2.into(),
        min_flt: 3.into(),
        maj_flt: 4.into(),
        read_bytes: 5.into(),
        write_bytes: 6.into(),
        max_rss: 7.into(),
    }
}

impl RawExtension {
    /// The extension with the process id and the thread id of the acting task.
    #[must_use]
    pub fn with_ids(mut self, tgid: u32, pid: u32) -> Self {
        self.recorded |= Recorded::PID_TGID;
        self.task.pid_tgid = pair(tgid, pid).into();
        self
    }

    /// The extension with the real and the effective user id, in the groups with id 0.
    #[must_use]
    pub fn with_users(mut self, real: u32, effective: u32) -> Self {
        self.recorded |= Recorded::UID_GID | Recorded::EUID_EGID;
        self.task.uid_gid = pair(0, real).into();
        self.task.euid_egid = pair(0, effective).into();
        self
    }

    /// The extension with the name of the thread, of at most 16 bytes.
    #[must_use]
    pub fn with_comm(mut self, comm: &[u8]) -> Self {
        self.recorded |= Recorded::COMM;
        self.task.comm = [0; 16];
        self.task.comm[..comm.len()].copy_from_slice(comm);
        self
    }

    /// The extension with the program of an exec: its arguments, each with a NUL at its end, the name
    /// by which it was executed, its path, and the working directory. A
    /// [path](crate::KernelPath::new) begins with its last name.
    #[must_use]
    pub fn with_exec(mut self, exec: ExecHdr, parts: [&[u8]; 4]) -> Self {
        let len = |part: usize| u32::try_from(parts[part].len()).unwrap_or(u32::MAX).into();
        self.recorded |= Recorded::ARGS | Recorded::PROGRAM | Recorded::FILENAME;
        self.recorded |= Recorded::EXE | Recorded::CWD;
        self.exec = Some(ExecHdr {
            args_len: len(0),
            filename_len: len(1),
            exe_len: len(2),
            cwd_len: len(3),
            ..exec
        });
        self.tail = parts.concat();
        self
    }

    /// The extension with the id of the cgroup.
    #[must_use]
    pub fn with_cgroup(mut self, id: u64) -> Self {
        self.recorded |= Recorded::CGROUP_ID;
        self.task.cgroup_id = id.into();
        self
    }
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl RawContext {
    /// The context of an action of process `tgid`, created at `start`, and its parent.
    pub fn of_process((tgid, start): (u32, u64), (parent, parent_start): (u32, u64)) -> Self {
        let identity = IdentityHdr {
            tgid: tgid.into(),
            parent_tgid: parent.into(),
            start_boottime: start.into(),
            parent_start_boottime: parent_start.into(),
            detail: 0.into(),
        };
        Self { identity, extension: None }
    }

    /// The context of a fork whose child was created at `start`.
    #[must_use]
    pub fn with_child_start(mut self, start: u64) -> Self {
        self.identity.detail = start.into();
        self
    }

    /// The context of an exit: `None` if the process continues, or else its wait status.
    #[must_use]
    pub fn with_end(mut self, status: Option<u32>) -> Self {
        let exit = ExitHdr {
            state: (if status.is_some() { ExitHdr::OVER } else { ExitHdr::CONTINUES }).into(),
            status: status.unwrap_or_default().into(),
        };
        self.identity.detail = zerocopy::transmute!(exit);
        self
    }

    /// The context with these parts after the identity.
    #[must_use]
    pub fn with_extension(mut self, extension: RawExtension) -> Self {
        self.extension = Some(extension);
        self
    }

    /// The bytes that follow an event in the ring.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.identity.as_bytes().to_vec();
        let Some(extension) = &self.extension else { return bytes };
        let RawExtension { recorded, task, usage, process_usage, exec, tail } = extension;
        let mut recorded = *recorded;
        recorded.set(Recorded::USAGE, usage.is_some());
        recorded.set(Recorded::PROCESS_USAGE, process_usage.is_some());
        recorded.set(Recorded::EXEC, exec.is_some());
        let header = ExtensionHdr { recorded: recorded.bits().into(), ..ExtensionHdr::default() };
        bytes.extend(header.as_bytes());
        bytes.extend(task.as_bytes());
        bytes.extend(usage.iter().chain(process_usage).flat_map(IntoBytes::as_bytes));
        bytes.extend(exec.iter().flat_map(IntoBytes::as_bytes));
        bytes.extend(tail);
        bytes
    }
}
