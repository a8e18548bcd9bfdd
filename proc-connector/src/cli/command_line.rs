//! The definition of the command line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
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
    let unknown = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    for word in unknown.into_iter().filter_map(|kind| error.get(kind)) {
        let ContextValue::String(word) = word else { continue };
        let (otlp, prometheus) = (cfg!(feature = "otlp"), cfg!(feature = "prometheus"));
        if let Some(features) = missing_features(word, otlp, prometheus) {
            let message = format!(
                "this program was built without {word}: build it with --features cli,{features}\n"
            );
            return Err(clap::Error::raw(error.kind(), message));
        }
    }
    let shown = words.iter().map(|word| shown(word.as_encoded_bytes()));
    // If the escaped words are valid, the error was invalid UTF-8, and its message quotes nothing.
    Err(Args::try_parse_from(shown).err().unwrap_or(error))
}

/// The features that a command or an option requires, if it is left out of a program with these.
fn missing_features(word: &str, otlp: bool, prometheus: bool) -> Option<&'static str> {
    match word {
        "export" if !otlp && !prometheus => Some("otlp,prometheus"),
        "otlp" | "otlp-metrics" | "--otlp" if !otlp => Some("otlp"),
        "prometheus" if !prometheus => Some("prometheus"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::missing_features;

    #[test]
    fn what_is_left_out_is_named_with_its_feature() {
        for (word, otlp, prometheus, expected) in [
            ("export", false, false, Some("otlp,prometheus")),
            ("export", true, false, None),
            ("otlp", false, true, Some("otlp")),
            ("otlp-metrics", false, true, Some("otlp")),
            ("--otlp", false, false, Some("otlp")),
            ("prometheus", true, false, Some("prometheus")),
            ("prometheus", true, true, None),
            ("--otlp", true, false, None),
            ("listen", false, false, None),
        ] {
            assert_eq!(missing_features(word, otlp, prometheus), expected, "{word}");
        }
    }
}
