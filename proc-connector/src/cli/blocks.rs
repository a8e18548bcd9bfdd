//! Files to which a recording writes.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileTypeExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, OFlag, fcntl};

/// A file that contains whole blocks only.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Flock<File>,
    format: Format,
    /// Where the next block begins. `None` for a pipe or a device.
    end: Option<u64>,
    /// Whether a block is missing, so that no other may follow.
    is_cut: bool,
}

/// What the blocks are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Pcapng,
    /// Netlink messages.
    Messages,
}

/// Why events are missing at the end of a recording.
#[derive(Debug)]
pub(crate) struct Unwritten {
    error: io::Error,
    /// The number of events that were received but not written.
    pub(crate) events: u64,
}

impl Blocks {
    /// Takes a file for this recording, before its contents are changed. Fails if another recording
    /// has it.
    pub(crate) fn lock(file: File, format: Format) -> io::Result<Self> {
        let is_file = file.metadata()?.is_file();
        Self::lock_at(is_file.then_some(0), file, format)
    }

    /// Takes an open file, which the recording continues where the last program that wrote to it stopped.
    pub(crate) fn continuing(mut file: File, format: Format) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        let end = if !metadata.is_file() {
            None
        } else if flags.contains(OFlag::O_APPEND) {
            Some(metadata.len())
        } else {
            Some(file.stream_position()?)
        };
        Self::lock_at(end, file, format)
    }

    /// `end` is where the first block begins in a regular file.
    fn lock_at(end: Option<u64>, file: File, format: Format) -> io::Result<Self> {
        // Several recordings may write to the same device, such as `/dev/null`.
        let kind = file.metadata()?.file_type();
        let lock = if kind.is_char_device() {
            FlockArg::LockSharedNonblock
        } else {
            FlockArg::LockExclusiveNonblock
        };
        match Flock::lock(file, lock) {
            Ok(file) => Ok(Self { file, format, end, is_cut: false }),
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

/// Writes whole blocks. If not all of them fit, the file ends with the last one that does, the error is an
/// [`Unwritten`], and nothing is written from then on.
impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_cut {
            return Err(io::Error::other("an earlier part of the recording is missing"));
        }
        let mut file = &*self.file;
        let (written, failure) = write_most(&mut file, bytes);
        let Some(error) = failure else {
            self.end = self.end.map(|end| end + bytes.len() as u64);
            return Ok(bytes.len());
        };
        self.is_cut = true;
        let mut whole = 0;
        while let Some(block) = self.format.first(&bytes[whole..written]) {
            whole += block.len();
        }
        if let Some(end) = self.end {
            // The error is the one to report.
            let _ = cut(file, end + written as u64, end + whole as u64);
        }
        let events = self.format.events(&bytes[whole..]);
        Err(io::Error::new(error.kind(), Unwritten { error, events }))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shortens a file from this length to another, unless another program has written to it, too.
fn cut(mut file: &File, from: u64, to: u64) -> io::Result<()> {
    if file.metadata()?.len() == from {
        file.set_len(to)?;
        file.seek(SeekFrom::Start(to))?;
    }
    Ok(())
}

/// Writes until an error. Returns the number of written bytes.
fn write_most(output: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

impl Format {
    /// The first block, if it is whole.
    fn first(self, bytes: &[u8]) -> Option<&[u8]> {
        let len = match self {
            Self::Pcapng => number(bytes, 4)?,
            Self::Messages => number(bytes, 0)?,
        };
        let len = usize::try_from(len).ok().filter(|&len| len > 0)?;
        bytes.get(..len)
    }

    /// The number of events in whole blocks.
    fn events(self, mut blocks: &[u8]) -> u64 {
        let mut events = 0;
        while let Some(block) = self.first(blocks) {
            events += u64::from(self.is_event(block));
            blocks = &blocks[block.len()..];
        }
        events
    }

    fn is_event(self, block: &[u8]) -> bool {
        match self {
            // A packet without data has only notes.
            Self::Pcapng => {
                number(block, 0) == Some(ENHANCED_PACKET) && number(block, 20) != Some(0)
            }
            Self::Messages => block.len() > NETLINK_HEADER_LEN,
        }
    }
}

/// The type of an enhanced packet block. Its captured length is at the offset 20.
const ENHANCED_PACKET: u32 = 6;

const NETLINK_HEADER_LEN: usize = 16;

/// A number of the recording, which has the byte order of this machine.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, events } = self;
        let s = if *events == 1 { "" } else { "s" };
        match events {
            0 => error.fmt(f),
            _ => write!(f, "{error}: {events} received event{s} could not be written"),
        }
    }
}

impl Error for Unwritten {}

/// Empties a file; a pipe or a device has no length.
pub(crate) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_another_program_is_not_cut() {
        let path = std::env::temp_dir().join(format!("blocks-{}", std::process::id()));
        let mut file = File::create(&path).expect("a file");
        std::fs::remove_file(&path).expect("a file");
        file.write_all(b"block, part").expect("a disk");
        let len = |file: &File| file.metadata().expect("a file").len();
        cut(&file, 10, 5).expect("no error");
        assert_eq!(len(&file), 11);
        cut(&file, 11, 5).expect("no error");
        assert_eq!((len(&file), file.stream_position().expect("a file")), (5, 5));
    }

    #[test]
    fn several_recordings_may_write_to_a_device() {
        let open = || File::options().write(true).open("/dev/null").expect("a device");
        let first = Blocks::lock(open(), Format::Pcapng).expect("no conflict");
        Blocks::lock(open(), Format::Pcapng).expect("no conflict");
        drop(first);
    }
}
