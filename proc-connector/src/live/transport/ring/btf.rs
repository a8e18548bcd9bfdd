//! Offsets of members in the running kernel's structs, from its type information (BTF).
//!
//! `/sys/kernel/btf/vmlinux` consists of a header, the types, and a string table that holds their
//! names (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`). This parser reads structs and
//! their members, and skips all other types by their lengths.

use std::fs;

/// Offsets in bytes of the members that identify a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskOffsets {
    /// `pid` in `struct task_struct`, which `tgid` immediately follows.
    pub(super) pid_tgid: u32,
    /// `comm` in `struct task_struct`.
    pub(super) comm: u32,
}

impl TaskOffsets {
    /// The offsets in the running kernel. `None` if it was built without type information.
    pub(super) fn of_running_kernel() -> Option<Self> {
        let vmlinux = fs::read(VMLINUX).ok()?;
        let btf = Btf::parse(&vmlinux)?;
        let task = btf.find_struct(b"task_struct")?;
        let pid_tgid = btf.member_offset(task, b"pid")?;
        (btf.member_offset(task, b"tgid")? == pid_tgid + 4)
            .then_some(Self { pid_tgid, comm: btf.member_offset(task, b"comm")? })
    }
}

/// Offsets in bytes of the members that lead from a task to its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArgOffsets {
    /// `mm` in `struct task_struct`.
    pub(super) mm: u32,
    /// `arg_start` in `struct mm_struct`.
    pub(super) arg_start: u32,
    /// `arg_end` in `struct mm_struct`.
    pub(super) arg_end: u32,
}

impl ArgOffsets {
    /// The offsets in the running kernel. `None` if it was built without type information.
    pub(super) fn of_running_kernel() -> Option<Self> {
        let vmlinux = fs::read(VMLINUX).ok()?;
        let btf = Btf::parse(&vmlinux)?;
        let task = btf.find_struct(b"task_struct")?;
        let memory = btf.find_struct(b"mm_struct")?;
        Some(Self {
            mm: btf.member_offset(task, b"mm")?,
            arg_start: btf.member_offset(memory, b"arg_start")?,
            arg_end: btf.member_offset(memory, b"arg_end")?,
        })
    }
}

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Parsed type information.
struct Btf<'a> {
    /// Type `id` is at index `id - 1`.
    types: Vec<Type<'a>>,
    /// The string table.
    names: &'a [u8],
}

#[derive(Clone, Copy)]
struct Type<'a> {
    /// Offset in the string table.
    name: u32,
    info: u32,
    /// The members of a struct or union, 12 bytes each. Empty for other types.
    members: &'a [u8],
}

const MAGIC: u32 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;

/// The most levels of nested anonymous structs and unions to search.
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
            let after_header = rest.get(12..)?;
            let len = extra_len(info)?;
            let members = if is_aggregate(info) { after_header.get(..len)? } else { &[] };
            types.push(Type { name, info, members });
            rest = after_header.get(len..)?;
        }
        Some(Self { types, names })
    }

    fn find_struct(&self, name: &[u8]) -> Option<Type<'a>> {
        let matches = |ty: &&Type<'a>| {
            kind(ty.info) == KIND_STRUCT && !ty.members.is_empty() && self.is_named(ty.name, name)
        };
        self.types.iter().find(matches).copied()
    }

    /// The offset in bytes of a struct's member, which may be in an anonymous struct or union.
    fn member_offset(&self, parent: Type<'a>, name: &[u8]) -> Option<u32> {
        self.nested_member_offset(parent, name, MAX_DEPTH)
    }

    fn nested_member_offset(&self, parent: Type<'a>, name: &[u8], depth: u32) -> Option<u32> {
        for member in parent.members.chunks_exact(12) {
            let [name_at, ty, bits] = [word(member, 0)?, word(member, 4)?, word(member, 8)?];
            // In a struct with bit fields (`kind_flag`), the upper byte is a bit field's width.
            let bits = if parent.info >> 31 == 0 { bits } else { bits & 0x00ff_ffff };
            if self.is_named(name_at, name) {
                return Some(bits / 8);
            }
            let nested = usize::try_from(ty).ok().and_then(|id| self.types.get(id.checked_sub(1)?));
            let nested = nested.filter(|nested| name_at == 0 && is_aggregate(nested.info));
            if let Some(nested) = nested.filter(|_| depth > 0) {
                if let Some(inner) = self.nested_member_offset(*nested, name, depth - 1) {
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

/// How many bytes follow the 12 bytes of a type. `None` for an unknown kind.
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
