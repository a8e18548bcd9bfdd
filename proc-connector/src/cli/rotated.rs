//! The file of a recording, or the numbered files of one that begins another file from time to time.
//!
//! A file contains whole blocks at any time: if writing fails, for example because the disk is full, the
//! part of a block at its end is removed. A numbered file has the suffix `.part` until it is complete.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::blocks::{Blocks, Format};
use super::failure::Failure;
use super::values;

/// When to begin another file.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("rotation").multiple(true)))]
pub(crate) struct RotationOptions {
    /// Begin another file when this one has this many bytes, such as 500K, 100M or 2G. The files are
    /// numbered: events-00001.pcapng. Each is complete by itself, and has the suffix .part until it is.
    #[arg(long, value_name = "BYTES", value_parser = values::bytes, group = "rotation")]
    rotate_size: Option<u64>,

    /// Begin another file after this time, such as 1h.
    #[arg(long, value_name = "TIME", value_parser = values::positive_duration, group = "rotation")]
    rotate_time: Option<Duration>,

    /// Keep only the latest complete files: remove the oldest when there are more than this number.
    #[arg(long, value_name = "N", value_parser = values::count, requires = "rotation")]
    keep: Option<u64>,
}

impl RotationOptions {
    pub(crate) fn is_given(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_time.is_some()
    }
}

/// The numbered files of a recording.
#[derive(Debug)]
pub(crate) struct Rotation {
    size: u64,
    time: Option<Duration>,
    keep: usize,
    directory: PathBuf,
    stem: OsString,
    extension: Option<OsString>,
    /// The numbers of the complete files, the oldest first.
    complete: VecDeque<u64>,
    /// The number of the file that is being written, and when it was begun.
    current: Option<(u64, Instant)>,
    next: u64,
}

impl Rotation {
    /// Finds the files of earlier recordings with this name. Completes one that was killed.
    pub(crate) fn new(options: &RotationOptions, path: &Path) -> Result<Self, Failure> {
        let in_file = |error| Failure::File { path: path.to_owned(), error };
        let Some(stem) = path.file_stem().map(OsStr::to_owned) else {
            return Err(in_file(io::ErrorKind::InvalidInput.into()));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut new = Self {
            size: options.rotate_size.unwrap_or(u64::MAX),
            time: options.rotate_time,
            keep: options.keep.and_then(|keep| keep.try_into().ok()).unwrap_or(usize::MAX),
            directory: parent.unwrap_or(Path::new(".")).to_owned(),
            stem,
            extension: path.extension().map(OsStr::to_owned),
            complete: VecDeque::new(),
            current: None,
            next: 1,
        };
        new.find_existing().map_err(in_file)?;
        Ok(new)
    }

    fn find_existing(&mut self) -> io::Result<()> {
        let mut complete = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let Some((number, is_part)) = self.number(&name) else { continue };
            if is_part {
                let part = self.directory.join(&name);
                // Another recording holds its lock.
                let file = File::options().write(true).open(&part)?;
                drop(Blocks::lock(file, Format::Pcapng)?);
                fs::rename(&part, self.path(number))?;
            }
            complete.push(number);
        }
        complete.sort_unstable();
        complete.dedup();
        self.next = complete.last().map_or(1, |last| last + 1);
        self.complete = complete.into();
        Ok(())
    }

    /// The number of one of the files, and whether it is incomplete.
    fn number(&self, name: &OsStr) -> Option<(u64, bool)> {
        let name = name.as_encoded_bytes();
        let rest = name.strip_prefix(self.stem.as_encoded_bytes())?.strip_prefix(b"-")?;
        let (rest, is_part) = match rest.strip_suffix(b".part") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let digits = match &self.extension {
            Some(extension) => {
                rest.strip_suffix(extension.as_encoded_bytes())?.strip_suffix(b".")?
            }
            None => rest,
        };
        let is_number = digits.len() >= 5 && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
        Some((number, is_part))
    }

    fn path(&self, number: u64) -> PathBuf {
        let mut name = self.stem.clone();
        name.push(format!("-{number:05}"));
        if let Some(extension) = &self.extension {
            name.push(".");
            name.push(extension);
        }
        self.directory.join(name)
    }

    fn part(&self, number: u64) -> PathBuf {
        let mut path = self.path(number).into_os_string();
        path.push(".part");
        path.into()
    }

    /// Begins the next file.
    pub(crate) fn open(&mut self) -> Result<Blocks, Failure> {
        let number = self.next;
        let path = self.part(number);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let opened = options.open(&path).and_then(|file| Blocks::lock(file, Format::Pcapng));
        let blocks = opened.map_err(|error| Failure::File { path, error })?;
        self.next += 1;
        self.current = Some((number, Instant::now()));
        Ok(blocks)
    }

    /// Whether a file of this length should end.
    pub(crate) fn is_due(&self, len: u64) -> bool {
        len >= self.size || self.due_in() == Some(Duration::ZERO)
    }

    /// The time until the file should end.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let (_, since) = self.current?;
        Some(self.time?.saturating_sub(since.elapsed()))
    }

    /// Gives the complete file its name, and removes the oldest files.
    pub(crate) fn complete(&mut self) -> Result<(), Failure> {
        let Some((number, _)) = self.current.take() else { return Ok(()) };
        let path = self.part(number);
        fs::rename(&path, self.path(number)).map_err(|error| Failure::File { path, error })?;
        self.complete.push_back(number);
        while self.complete.len() > self.keep {
            let Some(oldest) = self.complete.pop_front() else { break };
            let path = self.path(oldest);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::File { path, error });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// After a failure, the file has whole blocks up to that.
impl Drop for Rotation {
    fn drop(&mut self) {
        let _ = self.complete();
    }
}
