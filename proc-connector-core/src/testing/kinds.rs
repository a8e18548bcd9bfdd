//! A second copy of `enum proc_cn_event` of `cn_proc.h`, which does not depend on the bindings and
//! can therefore test them.

pub const NONE: u32 = 0;
pub const FORK: u32 = 0x0000_0001;
pub const EXEC: u32 = 0x0000_0002;
pub const UID: u32 = 0x0000_0004;
pub const GID: u32 = 0x0000_0040;
pub const SID: u32 = 0x0000_0080;
pub const PTRACE: u32 = 0x0000_0100;
pub const COMM: u32 = 0x0000_0200;
pub const NONZERO_EXIT: u32 = 0x2000_0000;
pub const COREDUMP: u32 = 0x4000_0000;
pub const EXIT: u32 = 0x8000_0000;
/// A bit that no kernel has used so far.
pub const NEW_KIND: u32 = 0x0000_0400;

/// Each named kind of event, and the bytes of `event_data` that it needs at least.
pub const EVENTS: [(u32, usize); 9] = [
    (FORK, 16),
    (EXEC, 8),
    (UID, 16),
    (GID, 16),
    (SID, 8),
    (PTRACE, 16),
    (COMM, 24),
    (COREDUMP, 8),
    (EXIT, 16),
];
