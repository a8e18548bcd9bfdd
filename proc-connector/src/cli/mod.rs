//! The command line: what can be asked for, and how it ends.

mod choice;
mod columns;
#[cfg(feature = "dist")]
mod dist;
mod doctor;
mod format;
mod human;
mod json;
mod listen;
mod machine;
mod names;
mod picture;
mod record;
mod replay;
mod shown;
mod sink;
mod stats;
mod summary;
mod trace;
mod trees;
mod users;
mod watch;
mod who;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use proc_connector::capture;

use self::shown::{complain, shown};

/// Process events of this machine, from the kernel, as they happen.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = shown::RULE)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show events as they happen, until Ctrl-C.
    Watch(watch::Args),
    /// Write events to a capture file as they happen, until Ctrl-C.
    Record(record::Args),
    /// Show the events of a capture file, recorded here or elsewhere.
    Replay(replay::Args),
    /// Run a command, and show the tree of its processes: how long each lived, and how it ended.
    Trace(trace::Args),
    /// Show how much of what happens, and who does it, until Ctrl-C.
    Stats(stats::Args),
    /// Find out whether this machine lets one listen, and what to do if not.
    Doctor(doctor::Args),
}

/// Runs the program. Errors go to standard error and exit with 1, bad usage exits with 2.
pub(crate) fn run() -> ExitCode {
    #[cfg(feature = "dist")]
    if let Some(done) = dist::run_if_wanted() {
        return done;
    }
    let args = match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    let result = match args.command {
        Command::Watch(args) => watch::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Record(args) => record::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Stats(args) => stats::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Trace(args) => trace::run(&args),
        Command::Doctor(args) => doctor::run(&args)
            .map(|works| if works { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    };
    match result {
        Ok(code) => code,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever read this has seen enough.
            ExitCode::SUCCESS
        }
        Err(failure) => {
            complain(&failure);
            match failure {
                Failure::Usage(_) | Failure::BinaryToTerminal => ExitCode::from(2),
                // As shells have it.
                Failure::Command { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                    ExitCode::from(127)
                }
                Failure::Command { .. } => ExitCode::from(126),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Parses the command line. Errors repeat parts of it, so they come from parsing it again escaped.
fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let error = match Args::try_parse_from(words) {
        Ok(args) => return Ok(args),
        Err(error) => error,
    };
    let shown = words.iter().map(|word| shown(word.as_encoded_bytes()));
    // Only invalid UTF-8 becomes valid by that, and its error repeats nothing.
    Err(Args::try_parse_from(shown).err().unwrap_or(error))
}

/// Why a command ended early.
#[derive(Debug)]
enum Failure {
    Connector(proc_connector::Error),
    /// The same where somebody came to watch.
    NothingToWatch(proc_connector::Error),
    Capture {
        file: PathBuf,
        error: capture::Error,
    },
    /// Packets of a capture that could not be read, between others that were.
    Unread {
        file: PathBuf,
        unread: replay::Unread,
    },
    /// A file that cannot be opened or made.
    File {
        path: PathBuf,
        error: io::Error,
    },
    /// A command that cannot be run.
    Command {
        name: String,
        error: io::Error,
    },
    /// The processes of this machine cannot be listed.
    Proc(io::Error),
    /// Times of the kernel cannot be understood here.
    Clock(io::Error),
    BinaryToTerminal,
    Usage(proc_connector::TooManyTgids),
    Output(io::Error),
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
    /// The same, knowing which file was read.
    fn in_file(self, file: &Path) -> Self {
        match self {
            Self::Capture { error, .. } => Self::Capture { file: file.to_owned(), error },
            Self::Unread { unread, .. } => Self::Unread { file: file.to_owned(), unread },
            other => other,
        }
    }
}

impl From<proc_connector::TooManyTgids> for Failure {
    fn from(error: proc_connector::TooManyTgids) -> Self {
        Self::Usage(error)
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
            Self::Connector(error) => error.fmt(f),
            Self::NothingToWatch(error) => write!(
                f,
                "{error}\nTo see a recording of such events: proc-connector replay --demo"
            ),
            Self::Capture { file: path, error } => write!(f, "{}: {error}", shown_path(path)),
            Self::Unread { file, unread } => write!(f, "{}: {unread}", shown_path(file)),
            Self::File { path, error } => write!(f, "{}: {error}", shown_path(path)),
            Self::Command { name, error } => write!(f, "cannot run {name}: {error}"),
            Self::Proc(error) => write!(f, "cannot read /proc: {error}; is it mounted?"),
            Self::Clock(error) => write!(f, "cannot say when events happen: {error}"),
            Self::BinaryToTerminal => f.write_str(
                "a capture is not for the eye: name a file, or direct the output to one",
            ),
            Self::Usage(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

/// Reads a time such as `10s`, `500ms`, `1m 30s`; a bare number counts seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let usage = || format!("`{text}` is not a time: write it as 10s, 500ms or 1m30s");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|_| usage())?;
    duration.try_into().map_err(|_| usage())
}
