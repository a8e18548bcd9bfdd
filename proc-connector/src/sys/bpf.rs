//! BPF maps and programs (`bpf(2)`), and attaching a program to a socket.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use proc_connector_sys as uapi;

use super::call::{check, long, socklen_of};

/// The bytes of one instruction, a `struct bpf_insn` of `bpf.h`. That struct has bit fields, which
/// Rust lacks.
pub(crate) type Instruction = [u8; 8];

/// The kinds of maps in use.
#[derive(Clone, Copy, Debug)]
pub(super) enum MapKind {
    /// A ring buffer of this size in bytes.
    Ring(u32),
    /// A mappable array with one element of this size in bytes.
    SharedWords(u32),
    /// An array with an element of this size in bytes for each CPU.
    CpuBuffers { bytes: u32, cpus: u32 },
    /// An array with one program.
    ProgramSlot,
    /// A hash table with 64-bit keys. When it is full, it refuses new keys or evicts old ones.
    HashTable { keys: u32, value_bytes: u32, evicts: bool },
}

/// Creates a BPF map.
pub(super) fn create_map(kind: MapKind, name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the request consists of integers, for which zero is valid.
    let mut request: uapi::bpf_attr_map_create = unsafe { MaybeUninit::zeroed().assume_init() };
    request.map_name = object_name(name);
    match kind {
        MapKind::Ring(bytes) => {
            request.map_type = uapi::BPF_MAP_TYPE_RINGBUF;
            request.max_entries = bytes;
        }
        MapKind::SharedWords(bytes) => {
            request.map_type = uapi::BPF_MAP_TYPE_ARRAY;
            request.map_flags = uapi::BPF_F_MMAPABLE;
            request.key_size = 4;
            request.value_size = bytes;
            request.max_entries = 1;
        }
        MapKind::CpuBuffers { bytes, cpus } => {
            request.map_type = uapi::BPF_MAP_TYPE_ARRAY;
            request.key_size = 4;
            request.value_size = bytes;
            request.max_entries = cpus;
        }
        MapKind::ProgramSlot => {
            request.map_type = uapi::BPF_MAP_TYPE_PROG_ARRAY;
            request.key_size = 4;
            request.value_size = 4;
            request.max_entries = 1;
        }
        MapKind::HashTable { keys, value_bytes, evicts } => {
            request.map_type =
                if evicts { uapi::BPF_MAP_TYPE_LRU_HASH } else { uapi::BPF_MAP_TYPE_HASH };
            request.key_size = 8;
            request.value_size = value_bytes;
            request.max_entries = keys;
        }
    }
    // SAFETY: BPF_MAP_CREATE takes this request, which holds no pointers.
    unsafe { bpf(uapi::BPF_MAP_CREATE, &request) }
}

/// The request of the commands for elements of a map, an anonymous member of `union bpf_attr`.
#[repr(C)]
pub(super) struct ElementRequest {
    map_fd: u32,
    /// The next member is aligned to 8 bytes.
    padding: u32,
    key: u64,
    /// The value, or the next key.
    value: u64,
    flags: u64,
}

impl ElementRequest {
    pub(super) fn new<K, V>(
        map: BorrowedFd<'_>,
        key: *const K,
        value: *const V,
        flags: u64,
    ) -> io::Result<Self> {
        let map_fd = u32::try_from(map.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (key, value) = (address(key), address(value));
        Ok(Self { map_fd, padding: 0, key, value, flags })
    }
}

/// Sets an element of an array whose values have 32 bits.
pub(super) fn update_map(map: BorrowedFd<'_>, key: u32, value: i32) -> io::Result<()> {
    let request = ElementRequest::new(map, &raw const key, &raw const value, 0)?;
    // SAFETY: the command takes this request. Its pointers refer to live integers of the sizes of the
    // map's keys and values.
    unsafe { bpf_command(uapi::BPF_MAP_UPDATE_ELEM, &request) }?;
    Ok(())
}

/// A loaded socket filter.
#[derive(Debug)]
pub(crate) struct Program {
    fd: OwnedFd,
}

impl Program {
    /// Loads a program. Unless `log` is empty, the kernel's verifier writes a NUL-terminated text
    /// to it.
    pub(crate) fn load(
        instructions: &[Instruction],
        name: &CStr,
        licence: &CStr,
        log: &mut [u8],
    ) -> io::Result<Self> {
        let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
        // SAFETY: the request consists of integers, for which zero is valid.
        let mut request: uapi::bpf_attr_prog_load = unsafe { MaybeUninit::zeroed().assume_init() };
        request.prog_type = uapi::BPF_PROG_TYPE_SOCKET_FILTER;
        request.prog_name = object_name(name);
        request.insns = address(instructions.as_ptr());
        request.insn_cnt = u32::try_from(instructions.len()).map_err(too_large)?;
        request.license = address(licence.as_ptr());
        if !log.is_empty() {
            request.log_level = 1;
            request.log_buf = address(log.as_mut_ptr());
            request.log_size = u32::try_from(log.len()).map_err(too_large)?;
        }
        // SAFETY: BPF_PROG_LOAD takes this request. Its pointers come with the lengths of the
        // memory they point to, or point to a NUL-terminated text, and all of it outlives the call.
        let fd = unsafe { bpf(uapi::BPF_PROG_LOAD, &request) }?;
        Ok(Self { fd })
    }

    /// Attaches the program to a socket as its filter, which replaces the present one.
    pub(crate) fn attach(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let program: libc::c_int = self.fd.as_raw_fd();
        // SAFETY: the pointer and the length describe a live integer, which is only read.
        check(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_BPF,
                (&raw const program).cast(),
                socklen_of::<libc::c_int>(),
            )
        })?;
        Ok(())
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Issues a command that returns a descriptor.
///
/// # Safety
///
/// `request` must be the struct that the command takes, and its pointers must be valid for it.
unsafe fn bpf<T>(command: uapi::bpf_cmd, request: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for the request.
    let fd = unsafe { bpf_command(command, request) }?;
    // SAFETY: the call above created this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Issues a command, and returns the result of the system call.
///
/// # Safety
///
/// `request` must be the struct that the command takes, and its pointers must be valid for it.
pub(super) unsafe fn bpf_command<T>(
    command: uapi::bpf_cmd,
    request: &T,
) -> io::Result<libc::c_int> {
    // SAFETY: the pointer and the length describe a live request, which the caller vouches for.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, long(command), std::ptr::from_ref(request), size_of::<T>())
    };
    check(libc::c_int::try_from(result).unwrap_or(-1))
}

/// A pointer as the 64-bit integer that requests hold.
fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// A name for tools such as `bpftool` to show, cut to the length that the kernel accepts.
fn object_name(name: &CStr) -> [c_char; uapi::BPF_OBJ_NAME_LEN as usize] {
    let mut cut = [0; uapi::BPF_OBJ_NAME_LEN as usize];
    let max_len = cut.len() - 1;
    for (to, &from) in cut[..max_len].iter_mut().zip(name.to_bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    cut
}
