//! The command line: what can be asked for, and how it ends.

mod called;
mod choice;
mod columns;
#[cfg(feature = "dist")]
mod dist;
mod doctor;
mod exit_status;
mod format;
mod human;
mod json;
mod layout;
mod listen;
mod moment;
mod names;
mod picture;
mod present;
mod record;
mod replay;
mod sink;
mod stats;
mod summary;
mod trace;
mod users;
mod values;
mod watch;
mod who;
mod zone;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proc_connector::capture;

/// Process events of this machine, from the kernel, as they happen.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show events as they happen, until Ctrl-C.
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Watch(watch::Args),
    /// Write events to a capture file as they happen, until Ctrl-C.
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Record(record::Args),
    /// Show the events of a capture file, recorded here or elsewhere.
    #[command(after_help = exit_status::help(exit_status::REPLAY))]
    Replay(replay::Args),
    /// Run a command, and show the tree of its processes: how long each lived, and how it ended.
    #[command(after_help = exit_status::help(exit_status::TRACE))]
    Trace(trace::Args),
    /// Show how much of what happens, and who does it, until Ctrl-C.
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Stats(stats::Args),
    /// Find out whether this machine lets one listen, and what to do if not.
    #[command(after_help = exit_status::help(exit_status::DOCTOR))]
    Doctor(doctor::Args),
}

/// Runs the program. Errors go to standard error and exit with 1, bad usage exits with 2.
pub(crate) fn run() -> ExitCode {
    #[cfg(feature = "dist")]
    if let Some(done) = dist::run_if_wanted() {
        return done;
    }
    let result = match Args::parse().command {
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
            eprintln!("proc-connector: {failure}");
            match failure {
                Failure::Usage(_)
                | Failure::BinaryToTerminal
                | Failure::Absent(present::Absent::NameOfRecorded(_)) => ExitCode::from(2),
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
    /// What was chosen does not exist.
    Absent(present::Absent),
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
            other => other,
        }
    }
}

impl From<present::Absent> for Failure {
    fn from(error: present::Absent) -> Self {
        Self::Absent(error)
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
            Self::Capture { file, error } => write!(f, "{}: {error}", file.display()),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Command { name, error } => write!(f, "cannot run {name}: {error}"),
            Self::Proc(error) => write!(f, "cannot read /proc: {error}; is it mounted?"),
            Self::BinaryToTerminal => f.write_str(
                "a capture is not for the eye: name a file, or direct the output to one",
            ),
            Self::Absent(error) => error.fmt(f),
            Self::Usage(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}
