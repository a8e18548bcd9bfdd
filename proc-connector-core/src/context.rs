//! Who did it: what a program in the kernel noted of the task that made an event.
//!
//! Not part of any kernel header: `proc-connector`'s ring writes it behind the datagram, in the
//! host's byte order.

use core::mem::size_of;

use zerocopy::byteorder::{NativeEndian, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The head of what was noted. The arguments follow it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ContextHdr {
    /// Which of the fields are there: bits of [`Noted`].
    pub noted: U32<NativeEndian>,
    /// Bytes of arguments that follow.
    pub args_len: U32<NativeEndian>,
    /// `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: U64<NativeEndian>,
    /// The id of the task's cgroup.
    pub cgroup_id: U64<NativeEndian>,
    /// The task's process in the upper half, and its thread in the lower.
    pub pid_tgid: U64<NativeEndian>,
    /// The task's group in the upper half, and its user in the lower.
    pub uid_gid: U64<NativeEndian>,
    /// The task's name.
    pub comm: [u8; 16],
}

/// Bytes of a [`ContextHdr`].
pub const HEADER_LEN: usize = size_of::<ContextHdr>();

bitflags::bitflags! {
    /// The parts of a context, as `ContextHdr::noted` has them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Noted: u32 {
        /// `boot_ns`.
        const BOOT_NS = 1;
        /// `cgroup_id`.
        const CGROUP_ID = 1 << 1;
        /// `pid_tgid`.
        const PID_TGID = 1 << 2;
        /// `uid_gid`.
        const UID_GID = 1 << 3;
        /// `comm`.
        const COMM = 1 << 4;
        /// The arguments.
        const ARGS = 1 << 5;
        /// There were more arguments than were noted.
        const ARGS_CUT = 1 << 6;
    }
}

/// The task that made an event, as it was at the event, noted in the kernel.
///
/// Whose task that is depends on the kind:
///
/// | event | task |
/// |---|---|
/// | fork | the thread that forked, or started the thread |
/// | exec | the process, with its new program's name |
/// | exit, coredump | the thread that ends |
/// | uid, gid, sid, comm | the thread that changed it |
/// | ptrace | the tracer |
///
/// Each part is `None` where the kernel does not let a socket's program find it out. Ids are those
/// of the initial namespaces.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    header: &'a ContextHdr,
    /// The header and the arguments.
    bytes: &'a [u8],
}

impl<'a> Context<'a> {
    /// Reads a context, and what follows it as its arguments; `None` if the bytes are too few.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = ContextHdr::ref_from_prefix(bytes).ok()?;
        let args_len = usize::try_from(header.args_len.get()).ok()?;
        let bytes = bytes.get(..HEADER_LEN.checked_add(args_len)?)?;
        Some(Self { header, bytes })
    }

    /// The bytes of the context: its header and its arguments, without what follows them.
    /// [`parse`](Self::parse) reads them again.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The thread's id.
    pub fn pid(&self) -> Option<u32> {
        self.noted(Noted::PID_TGID, low(self.header.pid_tgid))
    }

    /// The process's id.
    pub fn tgid(&self) -> Option<u32> {
        self.noted(Noted::PID_TGID, high(self.header.pid_tgid))
    }

    /// The real user id.
    pub fn uid(&self) -> Option<u32> {
        self.noted(Noted::UID_GID, low(self.header.uid_gid))
    }

    /// The real group id.
    pub fn gid(&self) -> Option<u32> {
        self.noted(Noted::UID_GID, high(self.header.uid_gid))
    }

    /// The id of the cgroup in the hierarchy of version 2: the inode number of its folder.
    pub fn cgroup_id(&self) -> Option<u64> {
        self.noted(Noted::CGROUP_ID, self.header.cgroup_id.get())
    }

    /// When the event happened, in nanoseconds of `CLOCK_BOOTTIME`, which goes on while the machine
    /// is suspended.
    pub fn boot_ns(&self) -> Option<u64> {
        self.noted(Noted::BOOT_NS, self.header.boot_ns.get())
    }

    /// The thread's name: up to 15 bytes of any kind but zero.
    pub fn comm(&self) -> Option<&'a [u8]> {
        let comm = self.header.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        self.noted(Noted::COMM, comm)
    }

    /// The arguments of an exec; `None` for other kinds, and where they could not be read.
    pub fn args(&self) -> Option<Args<'a>> {
        let is_cut = self.has(Noted::ARGS_CUT);
        let bytes = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        self.noted(Noted::ARGS, Args { bytes, is_cut })
    }

    fn noted<T>(&self, part: Noted, value: T) -> Option<T> {
        self.has(part).then_some(value)
    }

    fn has(&self, part: Noted) -> bool {
        self.header.noted.get() & part.bits() != 0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low(pair: U64<NativeEndian>) -> u32 {
    pair.get() as u32
}

fn high(pair: U64<NativeEndian>) -> u32 {
    (pair.get() >> 32) as u32
}

/// The arguments of a process, its program's name first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    bytes: &'a [u8],
    is_cut: bool,
}

impl<'a> Args<'a> {
    /// Arguments as the kernel keeps them, and whether there are more.
    pub const fn new(bytes: &'a [u8], is_cut: bool) -> Self {
        Self { bytes, is_cut }
    }

    /// The arguments as the kernel keeps them: each ends with a zero, but for the last where
    /// there were more than were noted.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there were more than were noted.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The arguments one by one, the last of which may be cut short.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let all = self.bytes.strip_suffix(&[0]).unwrap_or(self.bytes);
        let none = self.bytes.is_empty();
        all.split(|&byte| byte == 0).filter(move |_| !none)
    }
}
