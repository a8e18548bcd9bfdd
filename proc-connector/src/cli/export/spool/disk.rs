//! All changes of files, so that tests can end the program at each.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Writes bytes at a place of a file, by one system call unless the disk is full.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(test)]
    if let Some(part) = fate::before(Some(bytes.len()))? {
        file.write_all_at(&bytes[..part], offset)?;
        return Err(fate::dead());
    }
    file.write_all_at(bytes, offset)
}

/// Writes bytes within a page of a file. A signal does not interrupt that, so no part of them is written.
pub(super) fn write_in_page(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(test)]
    fate::before(None)?;
    file.write_all_at(bytes, offset)
}

pub(super) fn truncate(file: &File, len: u64) -> io::Result<()> {
    #[cfg(test)]
    fate::before(None)?;
    file.set_len(len)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fate::before(None)?;
    fs::remove_file(path)
}

/// Runs before a file is created.
pub(super) fn create(create: impl FnOnce() -> io::Result<File>) -> io::Result<File> {
    #[cfg(test)]
    fate::before(None)?;
    create()
}

/// When the program is to end. Afterwards, this thread cannot change a file.
#[cfg(test)]
pub(super) mod fate {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static CHANGES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static PART: Cell<usize> = const { Cell::new(0) };
    }

    /// Lets this thread make `changes` more changes. Of one more write, it makes a part.
    pub(crate) fn end_after(changes: u32, part: usize) {
        CHANGES_LEFT.set(Some(changes));
        PART.set(part);
    }

    /// Begins another life. Returns whether the last one ended.
    pub(crate) fn begin() -> bool {
        CHANGES_LEFT.replace(None) == Some(u32::MAX)
    }

    pub(super) fn dead() -> io::Error {
        io::Error::other("the test ends here")
    }

    /// Returns the number of bytes that this last write may have.
    pub(super) fn before(bytes: Option<usize>) -> io::Result<Option<usize>> {
        match CHANGES_LEFT.get() {
            None => Ok(None),
            Some(u32::MAX) => Err(dead()),
            Some(0) => {
                CHANGES_LEFT.set(Some(u32::MAX));
                match bytes {
                    Some(bytes) => Ok(Some(PART.get() % (bytes + 1))),
                    None => Err(dead()),
                }
            }
            Some(left) => {
                CHANGES_LEFT.set(Some(left - 1));
                Ok(None)
            }
        }
    }
}
