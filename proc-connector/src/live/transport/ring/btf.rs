//! Where the running kernel has what a task is, from its own type information.
//!
//! `/sys/kernel/btf/vmlinux` is a header, types, and the names they point to
//! (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`). Only structs and their members are of
//! interest here; all else is skipped by its length.

use std::fs;

/// Offsets in bytes of what leads from a task to its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArgOffsets {
    /// `mm` in `struct task_struct`.
    pub(super) mm: u32,
    /// `arg_start` in `struct mm_struct`.
    pub(super) arg_start: u32,
    /// `arg_end` in `struct mm_struct`.
    pub(super) arg_end: u32,
}

/// Offsets in bytes of what a task says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskOffsets {
    /// `pid` in `struct task_struct`, with `tgid` right behind it.
    pub(super) pid_tgid: u32,
    /// `comm` in `struct task_struct`.
    pub(super) comm: u32,
}

impl TaskOffsets {
    /// Those of the kernel that runs.
    pub(super) fn of_running_kernel() -> Option<Self> {
        Self::find(&fs::read(VMLINUX).ok()?)
    }

    fn find(bytes: &[u8]) -> Option<Self> {
        let btf = Btf::parse(bytes)?;
        let task = btf.structure(b"task_struct")?;
        let pid_tgid = btf.member(task, b"pid")?;
        (btf.member(task, b"tgid")? == pid_tgid + 4)
            .then_some(Self { pid_tgid, comm: btf.member(task, b"comm")? })
    }
}

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

impl ArgOffsets {
    /// Those of the kernel that runs; `None` if it was built without type information.
    pub(super) fn of_running_kernel() -> Option<Self> {
        Self::find(&fs::read(VMLINUX).ok()?)
    }

    fn find(bytes: &[u8]) -> Option<Self> {
        let btf = Btf::parse(bytes)?;
        let task = btf.structure(b"task_struct")?;
        let memory = btf.structure(b"mm_struct")?;
        Some(Self {
            mm: btf.member(task, b"mm")?,
            arg_start: btf.member(memory, b"arg_start")?,
            arg_end: btf.member(memory, b"arg_end")?,
        })
    }
}

/// Type information, taken apart.
struct Btf<'a> {
    /// Types by their id less 1.
    types: Vec<Type<'a>>,
    names: &'a [u8],
}

#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    /// Of a struct: its members, 12 bytes each.
    members: &'a [u8],
}

const MAGIC: u32 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;

/// Structs in structs, down to this depth.
const MAX_DEPTH: u32 = 8;

impl<'a> Btf<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        if u32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?)) != MAGIC {
            return None;
        }
        let [header_len, types_at, types_len, names_at, names_len] =
            [4, 8, 12, 16, 20].map(|at| word(bytes, at).map(|word| word as usize));
        let body = bytes.get(header_len?..)?;
        let section = |at: Option<usize>, len: Option<usize>| {
            let (at, len) = (at?, len?);
            body.get(at..at.checked_add(len)?)
        };
        let names = section(names_at, names_len)?;
        let mut rest = section(types_at, types_len)?;
        let mut types = Vec::new();
        while !rest.is_empty() {
            let (name, info) = (word(rest, 0)?, word(rest, 4)?);
            let behind = rest.get(12..)?;
            let len = extra_len(info)?;
            let members = if is_aggregate(info) { behind.get(..len)? } else { &[] };
            types.push(Type { name, info, members });
            rest = behind.get(len..)?;
        }
        Some(Self { types, names })
    }

    fn structure(&self, name: &[u8]) -> Option<Type<'a>> {
        let is_it = |ty: &&Type<'a>| {
            kind(ty.info) == KIND_STRUCT && !ty.members.is_empty() && self.is_named(ty.name, name)
        };
        self.types.iter().find(is_it).copied()
    }

    /// Where a struct has a member, in bytes, nameless structs in it included.
    fn member(&self, of: Type<'a>, name: &[u8]) -> Option<u32> {
        self.member_within(of, name, MAX_DEPTH)
    }

    fn member_within(&self, of: Type<'a>, name: &[u8], depth: u32) -> Option<u32> {
        for member in of.members.chunks_exact(12) {
            let [named, ty, bits] = [word(member, 0)?, word(member, 4)?, word(member, 8)?];
            // Where a struct has bit fields, the upper byte is a field's width.
            let bits = if of.info >> 31 == 0 { bits } else { bits & 0x00ff_ffff };
            if self.is_named(named, name) {
                return Some(bits / 8);
            }
            let nested = usize::try_from(ty).ok().and_then(|id| self.types.get(id.checked_sub(1)?));
            let nested = nested.filter(|nested| named == 0 && is_aggregate(nested.info));
            if let Some(nested) = nested.filter(|_| depth > 0) {
                if let Some(inner) = self.member_within(*nested, name, depth - 1) {
                    return inner.checked_add(bits / 8);
                }
            }
        }
        None
    }

    fn is_named(&self, at: u32, name: &[u8]) -> bool {
        let rest = usize::try_from(at).ok().and_then(|at| self.names.get(at..));
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().map(u32::from_ne_bytes).ok()
}

const fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

const fn is_aggregate(info: u32) -> bool {
    matches!(kind(info), KIND_STRUCT | KIND_UNION)
}

/// Bytes that follow the 12 of a type; `None` for a kind that is not known.
fn extra_len(info: u32) -> Option<usize> {
    let count = (info & 0xffff) as usize;
    Some(match kind(info) {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays, structs, unions, sections, enumerations of 64 bits.
        3 => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * count,
        // Enumerations, and prototypes of functions.
        6 | 13 => 8 * count,
        _ => return None,
    })
}
