//! Why a command fails, and the message that reports it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use proc_connector::NoRing;
use proc_connector::capture;
use proc_connector::parser::filter::TooManyAlternatives;
use proc_connector::program::Chain;

#[cfg(feature = "prometheus")]
use super::cause::NotServed;
use super::cause::{Cause, NotReceived, NotStarted};
use super::host::present::Absent;
use super::shown::shown;

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    Connector(proc_connector::Error),
    /// The same for `watch`, with the suggestion to replay a recording.
    NothingToWatch(proc_connector::Error),
    Capture {
        file: PathBuf,
        error: capture::Error,
    },
    /// Some packets of a capture could not be read.
    Unread {
        file: PathBuf,
        unread: Unread,
    },
    /// A file cannot be opened or written.
    File {
        path: PathBuf,
        error: io::Error,
    },
    /// Metrics cannot be served on this address.
    #[cfg(feature = "prometheus")]
    Serve {
        address: std::net::SocketAddr,
        error: io::Error,
    },
    /// A command cannot be run.
    Command {
        name: String,
        error: io::Error,
    },
    /// A file requires the ring. Without a reason, the user has chosen the socket.
    RequiresRing {
        file: &'static str,
        reason: Option<NoRing>,
    },
    /// Options that contradict each other by their values.
    Contradiction(&'static str),
    /// A variable of the environment or an option has a value that cannot be used.
    #[cfg(feature = "otlp")]
    Setting(String),
    /// The spool cannot be used.
    #[cfg(feature = "otlp")]
    Spool(String),
    /// A thread cannot be started.
    #[cfg(feature = "otlp")]
    Thread(io::Error),
    /// Waiting for the end of a process failed.
    Waiting(io::Error),
    /// The processes of this machine cannot be listed.
    Proc(io::Error),
    /// The kernel's time stamps cannot be converted to the time of day.
    Clock(io::Error),
    /// An option selects something that does not exist.
    Absent(Absent),
    BinaryToTerminal,
    /// OCSF requires the time of day, which a recording does not have.
    NoTimeOfDay,
    Usage(proc_connector::TooManyTgids),
    /// The same for other lists of a filter.
    TooMany(TooManyAlternatives),
    Output(io::Error),
    /// The program was started without this standard stream.
    Closed(&'static str),
    /// The descriptors that every command needs cannot be opened.
    Descriptors {
        needed: usize,
        error: io::Error,
    },
    /// The signal handlers cannot be installed.
    Signals(io::Error),
}

/// Packets of a capture that could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unread {
    pub(super) packets: u64,
    /// The packets among them that the capturing program cut short.
    pub(super) cut: u64,
}

impl From<proc_connector::Error> for Failure {
    fn from(error: proc_connector::Error) -> Self {
        Self::Connector(error)
    }
}

impl From<capture::Error> for Failure {
    fn from(error: capture::Error) -> Self {
        Self::Capture { file: PathBuf::new(), error }
    }
}

impl Failure {
    /// The exit status of the program.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::TooMany(_)
            | Self::BinaryToTerminal
            | Self::Contradiction(_)
            | Self::Absent(Absent::NameOfRecorded(_)) => 2,
            #[cfg(feature = "otlp")]
            Self::Setting(_) => 2,
            // As in shells.
            Self::Command { error, .. } if error.kind() == io::ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            _ => 1,
        }
    }

    /// Whether the reader of the output has closed it.
    pub(super) fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) | Self::File { error, .. } => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    /// Adds the name of the file that was read.
    pub(super) fn in_file(self, file: &Path) -> Self {
        match self {
            Self::Capture { error, .. } => Self::Capture { file: file.to_owned(), error },
            Self::Unread { unread, .. } => Self::Unread { file: file.to_owned(), unread },
            other => other,
        }
    }
}

impl From<Absent> for Failure {
    fn from(error: Absent) -> Self {
        Self::Absent(error)
    }
}

impl From<proc_connector::TooManyTgids> for Failure {
    fn from(error: proc_connector::TooManyTgids) -> Self {
        Self::Usage(error)
    }
}

impl From<TooManyAlternatives> for Failure {
    fn from(error: TooManyAlternatives) -> Self {
        Self::TooMany(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector(error) => NotReceived(error).fmt(f),
            Self::NothingToWatch(error) => write!(
                f,
                "{error}\nTo see a recording instead, run `proc-connector replay --demo`"
            ),
            Self::Capture { file, error } => write!(f, "{}: {}", shown_path(file), Chain(error)),
            Self::Unread { file, unread } => write!(f, "{}: {unread}", shown_path(file)),
            Self::File { path, error } => write!(f, "{}: {}", shown_path(path), Cause(error)),
            #[cfg(feature = "prometheus")]
            Self::Serve { address, error } => NotServed { address, error }.fmt(f),
            Self::Command { name, error } => write!(f, "cannot run {name}: {}", NotStarted(error)),
            Self::RequiresRing { file, reason: Some(reason) } => {
                write!(f, "{file} requires the ring transport: {reason}")
            }
            Self::RequiresRing { file, reason: None } => {
                write!(f, "{file} requires the ring transport: use --transport ring or auto")
            }
            Self::Contradiction(text) => f.write_str(text),
            #[cfg(feature = "otlp")]
            Self::Setting(text) => f.write_str(text),
            #[cfg(feature = "otlp")]
            Self::Spool(text) => f.write_str(text),
            #[cfg(feature = "otlp")]
            Self::Thread(error) => write!(f, "cannot start a thread: {}", Cause(error)),
            Self::Waiting(error) => write!(f, "cannot wait for the process: {}", Cause(error)),
            Self::Proc(error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "cannot read /proc: {error}; mount it with `mount -t proc proc /proc`")
            }
            Self::Proc(error) => write!(f, "cannot read /proc: {}", Cause(error)),
            Self::Clock(error) => write!(f, "cannot determine when events happen: {error}"),
            Self::BinaryToTerminal => f.write_str(
                "refusing to write a binary capture to a terminal: name a file, or redirect the output",
            ),
            Self::NoTimeOfDay => f.write_str(
                "this recording has no time of day, which OCSF requires: use --format json",
            ),
            Self::Absent(error) => error.fmt(f),
            Self::Usage(error) => error.fmt(f),
            Self::TooMany(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write to standard output: {}", Cause(error)),
            Self::Closed(stream) => {
                write!(f, "standard {stream} is closed: connect it to a file or to /dev/null")
            }
            Self::Descriptors { needed, error } => {
                write!(f, "cannot open {needed} file descriptors: {}", Cause(error))
            }
            Self::Signals(error) => write!(f, "cannot install signal handlers: {}", Cause(error)),
        }
    }
}

fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, cut } = *self;
        let s = if packets == 1 { "" } else { "s" };
        write!(f, "{packets} packet{s} could not be read")?;
        if cut > 0 {
            write!(
                f,
                ", {cut} of them because the capturing program cut them short: capture again with \
                 the snap length 0 (`tcpdump -s 0`)"
            )?;
        }
        Ok(())
    }
}
