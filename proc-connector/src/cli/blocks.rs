//! Files to which a recording writes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A file that contains whole blocks only.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Flock<File>,
    /// The length of the blocks. `None` for a pipe or a device.
    len: Option<u64>,
}

impl Blocks {
    /// Takes a file for this recording, before its contents are changed. Fails if another recording
    /// has it.
    pub(crate) fn lock(file: File) -> io::Result<Self> {
        let len = file.metadata()?.is_file().then_some(0);
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { file, len }),
            Err((_, Errno::EWOULDBLOCK)) => {
                let text = "another recording writes to this file: choose another name";
                Err(io::Error::new(io::ErrorKind::WouldBlock, text))
            }
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Removes the contents of an existing file.
    pub(crate) fn empty(self) -> io::Result<Self> {
        empty(&self.file)?;
        Ok(self)
    }
}

/// Writes everything that it is given, or nothing.
impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = &*self.file;
        if let Err(error) = file.write_all(bytes) {
            if let Some(len) = self.len {
                // The error is the one to report.
                let _ = file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len)));
            }
            return Err(error);
        }
        self.len = self.len.map(|len| len + bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Empties a file; a pipe or a device has no length.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}
