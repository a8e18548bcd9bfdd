//! Context of an event: facts about the task that caused it, recorded by a BPF program.
//!
//! No kernel header defines this format. The ring transport of `proc-connector` writes it after the
//! datagram, in the host's byte order.

use core::mem::size_of;

use zerocopy::byteorder::{NativeEndian, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The header of a context. The arguments follow it.
///
/// The ring transport of `proc-connector` writes it. It is not part of the public API.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
#[allow(clippy::exhaustive_structs, reason = "the layout is fixed by the ring")]
pub struct ContextHdr {
    /// The fields that are present: bits of [`Noted`].
    pub noted: U32<NativeEndian>,
    /// Bytes of arguments after the header.
    pub args_len: U32<NativeEndian>,
    /// `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: U64<NativeEndian>,
    /// Id of the task's cgroup.
    pub cgroup_id: U64<NativeEndian>,
    /// Process id in the upper half, thread id in the lower.
    pub pid_tgid: U64<NativeEndian>,
    /// Group id in the upper half, user id in the lower.
    pub uid_gid: U64<NativeEndian>,
    /// Name of the task.
    pub comm: [u8; 16],
}

/// Bytes of a [`ContextHdr`].
#[doc(hidden)]
pub const HEADER_LEN: usize = size_of::<ContextHdr>();

bitflags::bitflags! {
    /// The parts of a context that are present, as in `ContextHdr::noted`.
    #[doc(hidden)]
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
        /// The arguments are truncated.
        const ARGS_CUT = 1 << 6;
    }
}

/// The task that caused an event, recorded in the kernel at the time of the event.
///
/// Which task it is depends on the kind of event:
///
/// | event | task |
/// |---|---|
/// | fork | the thread that called fork or clone |
/// | exec | the process, with the name of its new program |
/// | exit, coredump | the thread that ends |
/// | uid, gid, sid, comm | the thread that made the change |
/// | ptrace | the tracer |
///
/// A part is `None` if the kernel does not let the program of a socket read it. Ids are those of the
/// initial namespaces.
///
/// ```
/// use proc_connector_core::Context;
/// # use proc_connector_core::context::{ContextHdr, Noted};
/// # use zerocopy::IntoBytes;
/// # let arguments = b"ls\0-l\0";
/// # let header = ContextHdr {
/// #     noted: (Noted::PID_TGID | Noted::COMM | Noted::ARGS).bits().into(),
/// #     args_len: 6.into(),
/// #     boot_ns: 0.into(),
/// #     cgroup_id: 0.into(),
/// #     pid_tgid: ((7 << 32) | 8).into(),
/// #     uid_gid: 0.into(),
/// #     comm: *b"ls\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
/// # };
/// # let bytes = [header.as_bytes(), arguments].concat();
///
/// // Thread 8 of process 7 executed `ls -l`. The user was not recorded.
/// let context = Context::parse(&bytes).expect("the header is complete");
/// assert_eq!((context.tgid(), context.pid(), context.uid()), (Some(7), Some(8), None));
/// assert_eq!(context.comm(), Some(&b"ls"[..]));
/// let args = context.args().expect("the arguments were recorded");
/// assert!(args.iter().eq([&b"ls"[..], b"-l"]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    header: &'a ContextHdr,
    /// The header and the arguments.
    bytes: &'a [u8],
}

impl<'a> Context<'a> {
    /// Reads a header and its arguments; `None` if `bytes` is too short.
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

    /// Thread id.
    pub fn pid(&self) -> Option<u32> {
        self.noted(Noted::PID_TGID, low(self.header.pid_tgid))
    }

    /// Process id.
    pub fn tgid(&self) -> Option<u32> {
        self.noted(Noted::PID_TGID, high(self.header.pid_tgid))
    }

    /// Real user id.
    pub fn uid(&self) -> Option<u32> {
        self.noted(Noted::UID_GID, low(self.header.uid_gid))
    }

    /// Real group id.
    pub fn gid(&self) -> Option<u32> {
        self.noted(Noted::UID_GID, high(self.header.uid_gid))
    }

    /// Id of the cgroup in the version 2 hierarchy: the inode number of its directory.
    pub fn cgroup_id(&self) -> Option<u64> {
        self.noted(Noted::CGROUP_ID, self.header.cgroup_id.get())
    }

    /// Time of the event, in nanoseconds of `CLOCK_BOOTTIME`. This clock continues while the machine
    /// is suspended.
    pub fn boot_ns(&self) -> Option<u64> {
        self.noted(Noted::BOOT_NS, self.header.boot_ns.get())
    }

    /// Name of the thread: up to 15 bytes in any encoding, without a NUL.
    pub fn comm(&self) -> Option<&'a [u8]> {
        let comm = self.header.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        self.noted(Noted::COMM, comm)
    }

    /// Arguments of an exec; `None` for other kinds, or if the BPF program could not read them.
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

#[expect(clippy::cast_possible_truncation, reason = "this is the lower half")]
fn low(pair: U64<NativeEndian>) -> u32 {
    pair.get() as u32
}

fn high(pair: U64<NativeEndian>) -> u32 {
    (pair.get() >> 32) as u32
}

/// The arguments of a process, starting with the name of its program.
///
/// ```
/// use proc_connector_core::Args;
///
/// let args = Args::new(b"ls\0-l\0/tm", true);
/// assert!(args.iter().eq([&b"ls"[..], b"-l", b"/tm"]));
/// assert!(args.is_cut(), "the last argument is incomplete");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<'a> {
    bytes: &'a [u8],
    is_cut: bool,
}

impl<'a> Args<'a> {
    /// Arguments as the kernel stores them, and whether they are truncated.
    pub const fn new(bytes: &'a [u8], is_cut: bool) -> Self {
        Self { bytes, is_cut }
    }

    /// The arguments as the kernel stores them. Each ends with a NUL, except the last of truncated
    /// arguments.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the arguments are truncated.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The arguments one by one. The last of truncated arguments may be incomplete.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let all = self.bytes.strip_suffix(&[0]).unwrap_or(self.bytes);
        let none = self.bytes.is_empty();
        all.split(|&byte| byte == 0).filter(move |_| !none)
    }
}
