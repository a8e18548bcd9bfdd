//! Where the running kernel stores a value, from its type information (BTF).
//!
//! `/sys/kernel/btf/vmlinux` consists of a header, the types, and a string table that holds their
//! names (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`).

use std::fs;

use super::asm::Size;

/// Type information of a kernel.
#[derive(Debug)]
pub(super) struct Btf {
    bytes: Vec<u8>,
    /// The position in `bytes` of each type. Type `id` is at index `id - 1`.
    types: Vec<usize>,
    /// The position of the string table.
    names: usize,
    /// `struct task_struct`, where most searches start.
    task: Option<Type>,
}

/// How to reach a value from the address of a struct: load a pointer at each of the first offsets,
/// and the value at the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) pointers: Vec<i16>,
    pub(super) offset: i16,
    /// The size of the value. `None` for a struct or an array, of which only the address is of use.
    pub(super) size: Option<Size>,
}

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const TASK: &str = "task_struct";
const MAGIC: u16 = 0xeb9f;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const TYPE_TAG: u32 = 18;

/// The most levels of nested anonymous structs, and of typedefs and qualifiers around a type.
const MAX_DEPTH: u32 = 8;

/// The place of a type in `Btf::bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Type(usize);

impl Btf {
    /// The types of the running kernel. `None` if it was built without type information.
    pub(super) fn of_running_kernel() -> Option<Self> {
        Self::parse(fs::read(VMLINUX).ok()?)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let [header_len, types_at, types_len, names_at] =
            [4, 8, 12, 16].map(|at| word(&bytes, at).map(|word| word as usize));
        let names = header_len?.checked_add(names_at?)?;
        let mut at = header_len?.checked_add(types_at?)?;
        let end = at.checked_add(types_len?)?;
        let mut types = Vec::new();
        while at < end {
            types.push(at);
            at = at.checked_add(12 + extra_len(word(&bytes, at + 4)?)?)?;
        }
        let mut btf = Self { bytes, types, names, task: None };
        btf.task = btf.find_struct(TASK);
        Some(btf)
    }

    /// The way from a struct to a value. The path names a member of the struct, and continues with
    /// `.member` in a struct, `->member` behind a pointer or `[index]` in an array.
    pub(super) fn walk(&self, from: &str, path: &str) -> Option<Walk> {
        let mut ty = self.find_struct(from)?;
        let mut pointers = Vec::new();
        let mut offset = 0_u32;
        for part in parts(path) {
            match part {
                Part::Pointer => {
                    ty = self.target(ty, PTR)?;
                    pointers.push(i16::try_from(offset).ok()?);
                    offset = 0;
                }
                Part::Member(name) => {
                    let (at, member) = self.member(self.resolve(ty)?, name, MAX_DEPTH)?;
                    offset = offset.checked_add(at)?;
                    ty = member;
                }
                Part::Index(index) => {
                    ty = self.target(ty, ARRAY)?;
                    offset = offset.checked_add(index.checked_mul(self.size(ty)?)?)?;
                }
            }
        }
        let size = self.scalar_size(ty);
        Some(Walk { pointers, offset: i16::try_from(offset).ok()?, size })
    }

    /// The offset of a member in a struct, in bytes.
    pub(super) fn offset(&self, of: &str, path: &str) -> Option<i32> {
        let walk = self.walk(of, path)?;
        walk.pointers.is_empty().then_some(walk.offset.into())
    }

    /// The size of a struct in bytes.
    pub(super) fn struct_size(&self, name: &str) -> Option<u32> {
        self.size(self.find_struct(name)?)
    }

    fn find_struct(&self, name: &str) -> Option<Type> {
        if let Some(task) = self.task.filter(|_| name == TASK) {
            return Some(task);
        }
        let types = self.types.iter().map(|&at| Type(at));
        let mut structs = types.filter(|&ty| self.kind(ty) == STRUCT && self.count(ty) > 0);
        structs.find(|&ty| self.is_named(self.word(ty, 0), name))
    }

    /// The offset in bytes and the type of a member, which may be in an anonymous struct or union.
    fn member(&self, parent: Type, name: &str, depth: u32) -> Option<(u32, Type)> {
        if !matches!(self.kind(parent), STRUCT | UNION) {
            return None;
        }
        for index in 0..self.count(parent) {
            let at = 12 + 12 * index;
            let ty = self.by_id(self.word(parent, at + 4));
            // In a struct with bit fields (`kind_flag`), the upper byte is a bit field's width.
            let has_bit_fields = self.info(parent) >> 31 != 0;
            let bits = self.word(parent, at + 8);
            let bits = if has_bit_fields { bits & 0x00ff_ffff } else { bits };
            let name_at = self.word(parent, at);
            if self.is_named(name_at, name) {
                return Some((bits / 8, ty?));
            }
            if name_at == 0 && depth > 0 {
                if let Some((inner, ty)) = self.member(ty?, name, depth - 1) {
                    return Some((inner.checked_add(bits / 8)?, ty));
                }
            }
        }
        None
    }

    /// A type without typedefs and qualifiers.
    fn resolve(&self, ty: Type) -> Option<Type> {
        let mut ty = ty;
        for _ in 0..=MAX_DEPTH {
            match self.kind(ty) {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => {
                    ty = self.by_id(self.word(ty, 8))?;
                }
                _ => return Some(ty),
            }
        }
        None
    }

    /// The type that a pointer points to, or that an array consists of.
    fn target(&self, ty: Type, kind: u32) -> Option<Type> {
        let ty = self.resolve(ty).filter(|&ty| self.kind(ty) == kind)?;
        // A pointer has the id in place of a size, and an array after its header.
        self.by_id(self.word(ty, if kind == PTR { 8 } else { 12 })).and_then(|ty| self.resolve(ty))
    }

    fn size(&self, ty: Type) -> Option<u32> {
        let ty = self.resolve(ty)?;
        match self.kind(ty) {
            INT | STRUCT | UNION | ENUM => Some(self.word(ty, 8)),
            PTR => u32::try_from(size_of::<usize>()).ok(),
            _ => None,
        }
    }

    fn scalar_size(&self, ty: Type) -> Option<Size> {
        let ty = self.resolve(ty)?;
        if !matches!(self.kind(ty), INT | PTR | ENUM) {
            return None;
        }
        match self.size(ty)? {
            4 => Some(Size::Word),
            8 => Some(Size::Double),
            _ => None,
        }
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.types.get(index).map(|&at| Type(at))
    }

    fn kind(&self, ty: Type) -> u32 {
        kind(self.info(ty))
    }

    fn count(&self, ty: Type) -> usize {
        count(self.info(ty))
    }

    fn info(&self, ty: Type) -> u32 {
        self.word(ty, 4)
    }

    /// A word of a type. `parse` has checked that all types are complete, so the 0 is never used.
    fn word(&self, ty: Type, at: usize) -> u32 {
        word(&self.bytes, ty.0 + at).unwrap_or_default()
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let at = usize::try_from(at).ok().and_then(|at| self.names.checked_add(at));
        let rest = at.and_then(|at| self.bytes.get(at..));
        let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// A part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Member(&'a str),
    Index(u32),
    Pointer,
}

fn parts(path: &str) -> impl Iterator<Item = Part<'_>> {
    path.split("->").enumerate().flat_map(|(number, segment)| {
        let pointer = (number > 0).then_some(Part::Pointer);
        let names = segment.split(['.', '[']).map(|name| {
            let index = name.strip_suffix(']').and_then(|index| index.parse().ok());
            index.map_or(Part::Member(name), Part::Index)
        });
        pointer.into_iter().chain(names)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().map(u32::from_ne_bytes).ok()
}

const fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

const fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// How many bytes follow the 12 bytes of a type. `None` for an unknown kind.
fn extra_len(info: u32) -> Option<usize> {
    Some(match kind(info) {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        PTR | 7..=12 | 16 | TYPE_TAG => 0,
        // Integers, variables, declaration tags.
        INT | 14 | 17 => 4,
        ARRAY => 12,
        // Structs, unions, sections, enumerations of 64 bits.
        STRUCT | UNION | 15 | 19 => 12 * count(info),
        // Enumerations, and prototypes of functions.
        ENUM | 13 => 8 * count(info),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_at_members_pointers_and_indices() {
        use Part::{Index, Member, Pointer};
        let path: Vec<Part<'_>> = parts("signal->pids[3]->numbers[0].nr").collect();
        let expected = [
            Member("signal"),
            Pointer,
            Member("pids"),
            Index(3),
            Pointer,
            Member("numbers"),
            Index(0),
            Member("nr"),
        ];
        assert_eq!(path, expected);
    }

    #[test]
    fn damaged_types_are_refused_or_lead_nowhere() {
        let Ok(vmlinux) = fs::read(VMLINUX) else { return };
        assert!(Btf::parse(vmlinux[..vmlinux.len() / 3].to_vec()).is_none());
        let btf = Btf::parse(vmlinux).expect("the kernel's own types");
        assert_eq!(btf.walk("task_struct", "no_such_member"), None);
        assert_eq!(btf.walk("no_such_struct", "pid"), None);
        assert_eq!(btf.walk("task_struct", "pid->pid"), None);
        let pid = btf.walk("task_struct", "group_leader->pid").expect("a way");
        assert_eq!((pid.pointers.len(), pid.size), (1, Some(Size::Word)));
    }
}
