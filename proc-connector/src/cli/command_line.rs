//! The definition of the command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use super::commands::{doctor, record, replay, stats, trace, watch};
use super::exit_status;
use super::shown::{self, shown};

/// Process events of this machine, from the kernel, as they happen.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = shown::RULE)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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

/// Parses the command line. Errors repeat parts of it, so they come from parsing it again escaped.
pub(super) fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let error = match Args::try_parse_from(words) {
        Ok(args) => return Ok(args),
        Err(error) => error,
    };
    let shown = words.iter().map(|word| shown(word.as_encoded_bytes()));
    // Only invalid UTF-8 becomes valid by that, and its error repeats nothing.
    Err(Args::try_parse_from(shown).err().unwrap_or(error))
}
