//! The definition of the command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

#[cfg(any(feature = "otlp", feature = "prometheus"))]
use super::commands::export;
use super::commands::{doctor, record, replay, stats, trace, wait, watch};
use super::exit_status;
use super::shown::{self, shown};

/// Watch, record and replay the process events that the Linux kernel reports.
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
    /// Record events to a capture file, until Ctrl-C.
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Record(record::Args),
    /// Show the events of a capture file, recorded on this or another machine.
    #[command(after_help = exit_status::help(exit_status::REPLAY))]
    Replay(replay::Args),
    /// Run a command and show the tree of its processes: how each ended, and what it used.
    #[command(after_help = exit_status::help(exit_status::TRACE))]
    Trace(trace::Args),
    /// Wait for processes to end, show how each ended, and pass their status on.
    #[command(after_help = exit_status::help(exit_status::WAIT))]
    Wait(wait::Args),
    /// Show event rates, and what ended processes used, until Ctrl-C.
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Stats(stats::Args),
    /// Pass events, or counts of them, on to programs that collect them, until Ctrl-C.
    #[cfg(any(feature = "otlp", feature = "prometheus"))]
    #[command(after_help = exit_status::help(exit_status::LISTENING))]
    Export(export::Args),
    /// Check whether this machine delivers process events, and suggest fixes.
    #[command(after_help = exit_status::help(exit_status::DOCTOR))]
    Doctor(doctor::Args),
}

/// The definition of the command line, for its man pages and completions.
#[cfg(test)]
#[allow(dead_code, reason = "the test `cli_dist` includes this module and calls it")]
pub(crate) fn definition() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Parses the command line. Error messages quote its words, so after an error the escaped words are
/// parsed for the message.
pub(super) fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let error = match Args::try_parse_from(words) {
        Ok(args) => return Ok(args),
        Err(error) => error,
    };
    let shown = words.iter().map(|word| shown(word.as_encoded_bytes()));
    // If the escaped words are valid, the error was invalid UTF-8, and its message quotes nothing.
    Err(Args::try_parse_from(shown).err().unwrap_or(error))
}
