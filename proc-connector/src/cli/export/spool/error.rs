//! Why the spool cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::cli::cause::Cause;
use crate::cli::shown::shown;

/// Why the spool cannot be opened, read or written.
#[derive(Debug)]
pub(crate) enum Error {
    /// The directory cannot be created or read.
    Directory {
        directory: PathBuf,
        error: io::Error,
    },
    /// Another exporter uses the directory.
    InUse {
        directory: PathBuf,
    },
    /// A newer program has written the file.
    NewerVersion {
        file: PathBuf,
        version: u32,
    },
    Read {
        file: PathBuf,
        error: io::Error,
    },
    Write {
        file: PathBuf,
        error: io::Error,
    },
    /// The batch is larger than the capacity permits.
    TooLarge {
        bytes: u64,
        limit: u64,
    },
    /// The batches that must be kept fill the spool.
    Full {
        capacity: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |path: &PathBuf| shown(path.as_os_str().as_encoded_bytes());
        match self {
            Self::Directory { directory, error } => write!(
                f,
                "cannot use {} as the spool: {}; choose a writable directory with --spool",
                name(directory),
                Cause(error)
            ),
            Self::InUse { directory } => write!(
                f,
                "another exporter uses the spool {}: stop it, or choose another directory with --spool",
                name(directory)
            ),
            Self::NewerVersion { file, version } => write!(
                f,
                "{} was written by a newer version of this program (format {version}): choose another \
                 directory with --spool",
                name(file)
            ),
            Self::Read { file, error } => {
                write!(f, "cannot read {} of the spool: {}", name(file), Cause(error))
            }
            Self::Write { file, error } => {
                write!(f, "cannot write {} of the spool: {}", name(file), Cause(error))
            }
            Self::TooLarge { bytes, limit } => write!(
                f,
                "a batch of {bytes} bytes is too large for the spool, which accepts {limit} bytes: \
                 increase its capacity with --spool-size"
            ),
            Self::Full { capacity } => write!(
                f,
                "the spool of {capacity} bytes is too small for the batches that it must keep: increase \
                 its capacity with --spool-size"
            ),
        }
    }
}

impl std::error::Error for Error {}
