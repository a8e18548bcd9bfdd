//! `/proc` and the directories of its processes, held open. A read through the directory of a
//! process concerns that process or fails, even if another process has its id by then.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::call::{check, check_len, retry_on_interrupt};

/// `/proc`, or a directory in it.
#[derive(Debug)]
pub(crate) struct ProcDir(OwnedFd);

impl ProcDir {
    /// Opens `/proc`, without checking what is mounted there.
    pub(crate) fn root() -> io::Result<Self> {
        open(libc::AT_FDCWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY).map(Self)
    }

    /// Opens the directory of the process that has this id now.
    pub(crate) fn process(&self, tgid: u32) -> io::Result<Self> {
        self.directory(&std::ffi::CString::new(tgid.to_string())?)
    }

    /// Opens a subdirectory.
    pub(crate) fn directory(&self, name: &CStr) -> io::Result<Self> {
        open(self.0.as_raw_fd(), name, libc::O_PATH | libc::O_DIRECTORY).map(Self)
    }

    /// Reads the start of a file, at most `buffer.len()` bytes, and returns the bytes read.
    ///
    /// One `read` suffices: the kernel generates the file at that call, and returns fewer bytes
    /// than fit only at the end of the file.
    pub(crate) fn read<'b>(&self, name: &CStr, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let mut file = self.file(name)?;
        let len = retry_on_interrupt(|| file.read(buffer))?;
        Ok(&buffer[..len])
    }

    /// Reads a whole file. A file longer than `limit` bytes fails with `EFBIG`.
    pub(crate) fn read_all(&self, name: &CStr, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(name)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        Ok(bytes)
    }

    /// Reads a link's target. A target that does not fit `buffer` fails with `ENAMETOOLONG`.
    pub(crate) fn read_link<'b>(&self, name: &CStr, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        // SAFETY: the name is NUL-terminated, and the pointer and the length describe a live
        // buffer.
        let len = unsafe {
            libc::readlinkat(
                self.0.as_raw_fd(),
                name.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        let len = check_len(len)?;
        if len == buffer.len() {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        Ok(&buffer[..len])
    }

    /// The metadata of the file that a link refers to.
    #[cfg(feature = "process")]
    pub(crate) fn metadata(&self, name: &CStr) -> io::Result<std::fs::Metadata> {
        File::from(open(self.0.as_raw_fd(), name, libc::O_PATH)?).metadata()
    }

    /// The names in a subdirectory that are numbers. `.` stands for this directory.
    pub(crate) fn numbers(&self, name: &CStr) -> io::Result<Vec<u32>> {
        let directory = open(self.0.as_raw_fd(), name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let mut numbers = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let entries = entries(directory.as_fd(), &mut buffer)?;
            if entries.is_empty() {
                return Ok(numbers);
            }
            let names = Names(entries);
            numbers.extend(
                names.filter_map(|name| std::str::from_utf8(name).ok()?.parse::<u32>().ok()),
            );
        }
    }

    fn file(&self, name: &CStr) -> io::Result<File> {
        open(self.0.as_raw_fd(), name, libc::O_RDONLY).map(File::from)
    }
}

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open(directory: RawFd, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let fd = retry_on_interrupt(|| {
        // SAFETY: the name is NUL-terminated, and without O_CREAT no mode is needed.
        check(unsafe { libc::openat(directory, name.as_ptr(), flags | libc::O_CLOEXEC) })
    })?;
    // SAFETY: the call above created this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next entries of a directory as the kernel packs them, empty at the directory's end.
fn entries<'b>(directory: BorrowedFd<'_>, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    // Not `readdir`, which requires a directory stream that owns the descriptor.
    // SAFETY: the pointer and the length describe a live buffer, which the kernel writes to.
    let len = unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            directory.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    Ok(&buffer[..len])
}

/// Iterates over the names in packed entries (`struct linux_dirent64` in `include/linux/dirent.h`):
/// an inode number and an offset of 8 bytes each, the entry's length (2 bytes), a file type (1
/// byte), and the NUL-terminated name.
struct Names<'a>(&'a [u8]);

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_ne_bytes(self.0.get(16..18)?.try_into().ok()?);
        let (entry, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        entry.get(19..)?.split(|&byte| byte == 0).next()
    }
}
