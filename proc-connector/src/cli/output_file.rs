//! Opens output files, and decides on their permissions and on the files to refuse.
//!
//! A recording contains the commands of every user, with their arguments. Therefore only its owner can
//! read a new file; an existing file keeps its mode. In a world-writable directory such as `/tmp`, the
//! symbolic links, files and pipes of other users are refused, unless their owner is root or owns the
//! directory. The kernel has the same rule, but off by default: `fs.protected_symlinks`,
//! `fs.protected_regular` and `fs.protected_fifos` (`Documentation/admin-guide/sysctl/fs.rst`). A file
//! there with a second hard link is refused too, because the link may lead to any file. All other links
//! are followed, so that `/dev/stdout` and the user's own links work.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::blocks::{Blocks, Format};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

/// The destination of an output.
#[derive(Debug)]
pub(super) enum Place {
    /// The name does not exist yet.
    New(NewFile),
    /// The existing file, open, with its contents.
    Existing(File),
}

/// A file to create.
#[derive(Debug)]
pub(super) struct NewFile {
    directory: OwnedFd,
    name: OsString,
}

/// The most symbolic links in a row, as in the kernel.
const MAX_LINKS: usize = 40;

impl Place {
    /// Creates the file, or empties the existing one, unless another recording writes to it.
    pub(super) fn open_for_recording(self, format: Format) -> io::Result<Blocks> {
        match self {
            Self::New(new) => Blocks::lock(new.create()?, format),
            Self::Existing(file) => Blocks::lock(file, format)?.empty(),
        }
    }
}

/// Resolves a name without changing any file.
pub(super) fn find(path: &Path) -> io::Result<Place> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name().filter(|_| !ends_with_slash(&path)) else {
            return open_plainly(&path);
        };
        let directory = open_directory(path.parent().unwrap_or(Path::new("")))?;
        let found = match openat(&directory, name, OFlag::O_PATH | FLAGS, Mode::empty()) {
            Err(Errno::ENOENT) => {
                return Ok(Place::New(NewFile { directory, name: name.to_owned() }));
            }
            found => found?,
        };
        let in_directory = fstat(&directory)?;
        let status = fstat(&found)?;
        refuse_planted(&in_directory, &status)?;
        if kind(&status) != SFlag::S_IFLNK {
            let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | FLAGS;
            let file = File::from(openat(&directory, name, flags, Mode::empty())?);
            // Checked again, because another file may have taken its place.
            refuse_planted(&in_directory, &fstat(&file)?)?;
            return Ok(Place::Existing(file));
        }
        if fstatfs(&found)?.filesystem_type() == PROC_SUPER_MAGIC {
            // Only the kernel creates links in `/proc`, and some lead to objects without a name.
            return open_plainly(&path);
        }
        let target = readlinkat(&found, "")?;
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(Errno::ELOOP.into())
}

const FLAGS: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_CLOEXEC);

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn open_plainly(path: &Path) -> io::Result<Place> {
    File::options().write(true).open(path).map(Place::Existing)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|error| match error {
        Errno::ENOENT => {
            let text = format!("the directory {} does not exist: create it first", path.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        }
        error => error.into(),
    })
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

fn refuse_planted(directory: &FileStat, found: &FileStat) -> io::Result<()> {
    let is_shared = directory.st_mode & Mode::S_IWOTH.bits() != 0;
    let owner = found.st_uid;
    let is_trusted = [0, geteuid().as_raw(), directory.st_uid].contains(&owner);
    let what = match kind(found) {
        // Another user may have created this link.
        SFlag::S_IFREG if found.st_nlink > 1 => "a file with other hard links".to_owned(),
        _ if is_trusted => return Ok(()),
        SFlag::S_IFLNK => format!("a symbolic link owned by another user (uid {owner})"),
        SFlag::S_IFREG => format!("a file owned by another user (uid {owner})"),
        SFlag::S_IFIFO => format!("a pipe owned by another user (uid {owner})"),
        _ => return Ok(()),
    };
    if !is_shared {
        return Ok(());
    }
    let text = format!(
        "refusing to write to {what} in a world-writable directory: choose another name, or remove \
         it first"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

impl NewFile {
    /// Creates the file. Fails if another file has taken the name meanwhile.
    pub(super) fn create(&self) -> io::Result<File> {
        self.create_as(&self.name)
    }

    /// Writes the file under a temporary name and renames it when it is complete. This replaces a file
    /// that appeared under the name meanwhile.
    pub(super) fn write(&self, write: impl FnOnce(File) -> io::Result<()>) -> io::Result<()> {
        let (beside, file) = self.create_beside()?;
        let written = write(file).and_then(|()| {
            renameat(&self.directory, &*beside, &self.directory, &*self.name)?;
            Ok(())
        });
        if written.is_err() {
            let _ = self.remove_as(&beside);
        }
        written
    }

    /// Removes the file after [`create`](Self::create).
    pub(super) fn remove(&self) -> io::Result<()> {
        self.remove_as(&self.name)
    }

    /// Checks that files can be created in this directory.
    pub(super) fn try_out(&self) -> io::Result<()> {
        let (beside, _) = self.create_beside()?;
        self.remove_as(&beside)
    }

    /// Creates a file in the same directory, under an unused name.
    fn create_beside(&self) -> io::Result<(OsString, File)> {
        let mut attempt = 0;
        loop {
            let name: OsString =
                format!(".proc-connector-{}-{attempt}.tmp", std::process::id()).into();
            match self.create_as(&name) {
                // Left by an earlier process with this id, or planted.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1;
                }
                created => return created.map(|file| (name, file)),
            }
        }
    }

    fn create_as(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | FLAGS;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(self.directory.as_fd(), name, flags, mode)?.into())
    }

    fn remove_as(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)?)
    }
}
