//! The files of the spool.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::disk;
use super::error::Error;

/// A directory that no other exporter uses.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The kernel unlocks the file when the program ends.
    lock: Flock<File>,
}

impl Directory {
    /// Creates the directory if it is missing, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Directory { directory: path.to_owned(), error };
        // The records may contain arguments of every user.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let file = open(&path.join("lock"), OFlag::O_CREAT).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(Error::InUse { directory: path.to_owned() }),
            Err((_, error)) => Err(failed(error.into())),
        }
    }

    /// Creates the directory again if it was removed.
    pub(super) fn restore(&mut self) -> Result<(), Error> {
        if is_removed(&self.lock) {
            *self = Self::lock(&self.path.clone())?;
        }
        Ok(())
    }

    /// Whether somebody has removed the directory.
    pub(super) fn is_removed(&self) -> bool {
        is_removed(&self.lock)
    }

    pub(super) fn state_path(&self) -> PathBuf {
        self.path.join("state")
    }

    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016x}.segment"))
    }

    pub(super) fn open_state(&self) -> Result<File, Error> {
        let file = self.state_path();
        open(&file, OFlag::O_CREAT).map_err(|error| Error::Write { file, error })
    }

    pub(super) fn open_segment(&self, number: u64) -> io::Result<File> {
        open(&self.segment_path(number), OFlag::empty())
    }

    pub(super) fn create_segment(&self, number: u64) -> io::Result<File> {
        let path = self.segment_path(number);
        disk::create(|| open(&path, OFlag::O_CREAT | OFlag::O_EXCL))
    }

    pub(super) fn remove_segment(&self, number: u64) -> io::Result<()> {
        disk::remove(&self.segment_path(number))
    }

    /// The numbers of the segments, in order. Other files are ignored.
    pub(super) fn segments(&self) -> Result<Vec<u64>, Error> {
        let failed = |error| Error::Directory { directory: self.path.clone(), error };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            numbers.extend(name.to_str().and_then(number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Whether an open file has no name any more.
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// The number in the name of a segment.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".segment")?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_number = digits.len() == 16 && digits.bytes().all(is_digit);
    is_number.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// Opens a regular file to read and write. Only its owner can read a new one.
fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    // Opening a pipe would wait for its writer.
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file =
        File::options().read(true).write(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}
