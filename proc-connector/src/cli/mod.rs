//! The command line: what can be asked for, and how it ends.

mod cause;
mod commands;
#[cfg(feature = "dist")]
mod dist;
mod exit_status;
mod host;
mod options;
mod output;
mod output_file;
mod pipeline;
mod shown;
mod standard;
mod values;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proc_connector::capture;

use self::cause::{Cause, NotReceived, NotStarted};
use self::commands::{doctor, record, replay, stats, trace, watch};
use self::host::{descriptors, present};
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
    let args = match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(args) => args,
        Err(answer) => return print(&answer),
    };
    // Running out of descriptors later would interrupt a command, or show as missing names.
    let enough = descriptors::make_sure_of_enough();
    let result = enough.and_then(|()| match args.command {
        Command::Watch(args) => watch::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Record(args) => record::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Stats(args) => stats::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Trace(args) => trace::run(&args),
        Command::Doctor(args) => doctor::run(&args)
            .map(|works| if works { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    });
    match result {
        Ok(code) => code,
        // The reader has seen enough.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
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

/// Prints the answer to a command line that runs no command: an error or help.
fn print(answer: &clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(1).into();
    if answer.use_stderr() {
        // There is no other place to report a failure of this.
        let _ = answer.print();
        return code;
    }
    let printed = standard::output()
        .map(drop)
        .and_then(|()| Ok(answer.print().and_then(|()| io::stdout().flush())?));
    match printed {
        Err(failure) if !failure.is_closed_pipe() => {
            complain(failure);
            ExitCode::FAILURE
        }
        _ => code,
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
    /// The end of a command that runs cannot be waited for.
    Waiting(io::Error),
    /// The processes of this machine cannot be listed.
    Proc(io::Error),
    /// Times of the kernel cannot be understood here.
    Clock(io::Error),
    /// What was chosen does not exist.
    Absent(present::Absent),
    BinaryToTerminal,
    Usage(proc_connector::TooManyTgids),
    Output(io::Error),
    /// The program was started without this standard stream.
    Closed(&'static str),
    /// The descriptors that every command needs cannot be opened.
    Descriptors(io::Error),
    /// The handlers of signals cannot be installed.
    Signals(io::Error),
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
    /// Whether the output's reader has gone.
    fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) | Self::File { error, .. } => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    /// The same, knowing which file was read.
    fn in_file(self, file: &Path) -> Self {
        match self {
            Self::Capture { error, .. } => Self::Capture { file: file.to_owned(), error },
            Self::Unread { unread, .. } => Self::Unread { file: file.to_owned(), unread },
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
            Self::Connector(error) => NotReceived(error).fmt(f),
            Self::NothingToWatch(error) => write!(
                f,
                "{error}\nTo see a recording of such events: proc-connector replay --demo"
            ),
            Self::Capture { file, error } => write!(f, "{}: {error}", shown_path(file)),
            Self::Unread { file, unread } => write!(f, "{}: {unread}", shown_path(file)),
            Self::File { path, error } => write!(f, "{}: {}", shown_path(path), Cause(error)),
            Self::Command { name, error } => write!(f, "cannot run {name}: {}", NotStarted(error)),
            Self::Waiting(error) => write!(f, "cannot wait for the command: {}", Cause(error)),
            Self::Proc(error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "cannot read /proc: {error}; is it mounted?")
            }
            Self::Proc(error) => write!(f, "cannot read /proc: {}", Cause(error)),
            Self::Clock(error) => write!(f, "cannot say when events happen: {error}"),
            Self::BinaryToTerminal => f.write_str(
                "a capture is not for the eye: name a file, or direct the output to one",
            ),
            Self::Absent(error) => error.fmt(f),
            Self::Usage(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {}", Cause(error)),
            Self::Closed(stream) => {
                write!(f, "standard {stream} is closed: redirect it to a file, or to /dev/null")
            }
            Self::Descriptors(error) => {
                let needed = descriptors::NEEDED;
                write!(f, "cannot open {needed} more files: {}", Cause(error))
            }
            Self::Signals(error) => write!(f, "cannot handle signals: {}", Cause(error)),
        }
    }
}

fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}
