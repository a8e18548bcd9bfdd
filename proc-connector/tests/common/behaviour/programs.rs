//! Executable files of a few instructions: their processes live for some 100 us, and need no C
//! library, no environment and no arguments.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::truth::{Deleted, Image, joined};

/// The programs, with their names.
const PROGRAMS: [(&str, &[u8]); 5] =
    [("chain", CHAIN), ("fault", FAULT), ("overwrite", OVERWRITE), ("quit", QUIT), ("wait", WAIT)];

/// Executes its second argument with the arguments from there on, or exits with the value of that
/// digit if it is no program. Exits with 0 without a second argument.
const CHAIN: &[u8] = &[
    0x48, 0x8b, 0x7c, 0x24, 0x10, //   mov rdi, [rsp+16]
    0x48, 0x85, 0xff, //               test rdi, rdi
    0x74, 0x19, //                     jz 1
    0x48, 0x8d, 0x74, 0x24, 0x10, //   lea rsi, [rsp+16]
    0x31, 0xd2, //                     xor edx, edx
    0xb8, 0x3b, 0x00, 0x00, 0x00, //   mov eax, SYS_execve
    0x0f, 0x05, //                     syscall
    0x48, 0x8b, 0x7c, 0x24, 0x10, //   mov rdi, [rsp+16]
    0x0f, 0xb6, 0x3f, //               movzx edi, byte [rdi]
    0x83, 0xe7, 0x0f, //               and edi, 15
    0xb8, 0xe7, 0x00, 0x00, 0x00, // 1 mov eax, SYS_exit_group
    0x0f, 0x05, //                     syscall
];

/// Replaces every byte of its arguments, waits for 3 ms, and exits with 0.
const OVERWRITE: &[u8] = &[
    0x48, 0x8b, 0x0c, 0x24, //       mov rcx, [rsp]
    0x48, 0x8b, 0x7c, 0x24, 0x08, // mov rdi, [rsp+8]
    0x80, 0x3f, 0x00, //             1 cmp byte [rdi], 0
    0x75, 0x0a, //                   jne 2
    0x48, 0xff, 0xc9, //             dec rcx
    0x74, 0x0d, //                   jz 3
    0x48, 0xff, 0xc7, //             inc rdi
    0xeb, 0xf1, //                   jmp 1
    0xc6, 0x07, 0x58, //             2 mov byte [rdi], 'X'
    0x48, 0xff, 0xc7, //             inc rdi
    0xeb, 0xe9, //                   jmp 1
    0x68, 0xc0, 0xc6, 0x2d, 0x00, // 3 push 3000000
    0x6a, 0x00, //                   push 0
    0x48, 0x89, 0xe7, //             mov rdi, rsp
    0x31, 0xf6, //                   xor esi, esi
    0xb8, 0x23, 0x00, 0x00, 0x00, // mov eax, SYS_nanosleep
    0x0f, 0x05, //                   syscall
    0x31, 0xff, //                   xor edi, edi
    0xb8, 0xe7, 0x00, 0x00, 0x00, // mov eax, SYS_exit_group
    0x0f, 0x05, //                   syscall
];

/// Exits with the number of its arguments.
const QUIT: &[u8] = &[
    0x48, 0x8b, 0x3c, 0x24, //       mov rdi, [rsp]
    0xb8, 0xe7, 0x00, 0x00, 0x00, // mov eax, SYS_exit_group
    0x0f, 0x05, //                   syscall
];

/// Waits for a signal that ends it.
const WAIT: &[u8] = &[
    0xb8, 0x22, 0x00, 0x00, 0x00, // 1 mov eax, SYS_pause
    0x0f, 0x05, //                   syscall
    0xeb, 0xf7, //                   jmp 1
];

/// Writes to address zero.
const FAULT: &[u8] = &[
    0x31, 0xc0, // xor eax, eax
    0x89, 0x00, // mov [rax], eax
];

/// Where the code is loaded.
const ADDRESS: u64 = 0x40_0000;
const HEADERS_LEN: u64 = 64 + 56;

/// Whether this machine can execute the programs.
pub(crate) const ARE_SUPPORTED: bool =
    cfg!(all(target_arch = "x86_64", target_pointer_width = "64"));

/// The directory of the executable files.
#[derive(Clone, Debug)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// The programs that [`write_all`](Self::write_all) wrote to a directory.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.canonicalize().expect("a directory"))
    }

    /// Writes all programs. No process may be created meanwhile: it would hold the files open for
    /// writing, so that the kernel refuses to execute them.
    pub(crate) fn write_all(directory: &Path) {
        for (name, code) in PROGRAMS {
            let path = directory.join(name);
            fs::write(&path, elf(code)).expect("a writable directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an own file");
        }
        let path = directory.join("broken");
        fs::write(&path, elf_at(1 << 63, QUIT)).expect("a writable directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an own file");
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

/// The image that an exec of `path` with these words produces.
pub(crate) fn image(path: &str, words: &[&str]) -> Image {
    let file = fs::metadata(path).expect("a program");
    let exe = fs::canonicalize(path).expect("a program");
    Image {
        args: joined(words),
        exe: exe.to_str().expect("UTF-8").to_owned(),
        filename: path.to_owned(),
        device: file.dev(),
        inode: file.ino(),
        deleted: Deleted::Never,
    }
}

pub(crate) fn c_string(word: &str) -> CString {
    CString::new(word).expect("no NUL")
}

pub(crate) fn c_strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| c_string(word)).collect()
}

/// The bytes of a program.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let (_, code) = PROGRAMS.iter().find(|(known, _)| *known == name).expect("a known program");
    elf(code)
}

/// An executable file of the code only.
fn elf(code: &[u8]) -> Vec<u8> {
    elf_at(ADDRESS, code)
}

/// The same for another address. If it is one of the kernel, the exec replaces the memory of the
/// process before it fails.
fn elf_at(address: u64, code: &[u8]) -> Vec<u8> {
    let len = HEADERS_LEN + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // ET_EXEC, EM_X86_64, EV_CURRENT.
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    // The entry point, the offsets of program and section headers.
    for word in [address + HEADERS_LEN, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    // Flags, then the sizes and numbers of headers.
    file.extend([0; 4]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, address, address, len, len, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
