//! Folders of `/proc`, held open: all that is read through one is about the process that it was
//! opened for, even if another gets its id meanwhile.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;

use super::{check, check_len, retry_on_interrupt};

/// `/proc/PID`.
#[derive(Debug)]
pub(crate) struct ProcDir(File);

impl ProcDir {
    /// Opens the folder of the process that has this id now.
    pub(crate) fn open(tgid: u32) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags).open(format!("/proc/{tgid}")).map(Self)
    }

    /// Reads a file of the folder from its start, at most as much as the buffer holds, and gives
    /// what was read. The kernel makes such a file anew when it is read, and gives less than it was
    /// asked for only at its end.
    pub(crate) fn read<'b>(&self, name: &CStr, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let mut file = self.open_file(name)?;
        let len = retry_on_interrupt(|| file.read(buffer))?;
        Ok(&buffer[..len])
    }

    /// Where a link of the folder leads to, as far as the buffer holds it.
    pub(crate) fn read_link<'b>(&self, name: &CStr, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        // SAFETY: the name ends with a zero, and the pointer and the length are those of a live
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
        Ok(&buffer[..len])
    }

    /// The names in a folder of the folder that are numbers.
    pub(crate) fn numbers(&self, name: &str) -> io::Result<Vec<u32>> {
        let folder = std::fs::read_dir(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))?;
        numbers(folder)
    }

    fn open_file(&self, name: &CStr) -> io::Result<File> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let fd = retry_on_interrupt(|| {
            // SAFETY: the name ends with a zero.
            check(unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags) })
        })?;
        // SAFETY: the kernel has just given this descriptor, which nothing else owns.
        Ok(unsafe { File::from_raw_fd(fd) })
    }
}

/// The ids of all processes.
pub(crate) fn process_ids() -> io::Result<Vec<u32>> {
    numbers(std::fs::read_dir("/proc")?)
}

fn numbers(folder: std::fs::ReadDir) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in folder {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}
