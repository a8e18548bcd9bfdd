//! Files to which a recording writes.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A file that contains whole blocks only.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Flock<File>,
    format: Format,
    /// The length of the blocks. `None` for a pipe or a device.
    len: Option<u64>,
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
        let len = file.metadata()?.is_file().then_some(0);
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { file, format, len, is_cut: false }),
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
            self.len = self.len.map(|len| len + bytes.len() as u64);
            return Ok(bytes.len());
        };
        self.is_cut = true;
        let mut whole = 0;
        while let Some(block) = self.format.first(&bytes[whole..written]) {
            whole += block.len();
        }
        if let Some(len) = self.len {
            let len = len + whole as u64;
            // The error is the one to report.
            let _ = file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len)));
        }
        let events = self.format.events(&bytes[whole..]);
        Err(io::Error::new(error.kind(), Unwritten { error, events }))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
