//! `watch`: events as they happen.

use std::io::{self, BufWriter};

use proc_connector::Error;

use super::Failure;
use super::choice::Choice;
use super::human::Human;
use super::json::Json;
use super::listen::Listening;
use super::names::Names;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,

    /// With --json, who made each event and with which arguments an exec was, as `task`: noted in
    /// the kernel, which takes the ring.
    #[arg(long, requires = "json")]
    context: bool,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    listening: Listening,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Args { json, context, choice, listening } = args;
    // Names for the eye come from there too.
    let context = *context || !json;
    let mut events = listening.open(choice, context).map_err(nothing_to_watch)?;
    let summary = if *json {
        let mut output = Json::new(BufWriter::new(io::stdout().lock()));
        listening.run(&mut events, choice, &mut output)
    } else {
        let output = BufWriter::new(anstream::stdout().lock());
        listening.run(&mut events, choice, &mut Human::new(output, Names::live()))
    }?;
    summary.tell();
    Ok(())
}

/// Whoever came to see it work can, on a machine that does not let them watch too.
fn nothing_to_watch(failure: Failure) -> Failure {
    match failure {
        Failure::Connector(
            error @ (Error::PermissionDenied
            | Error::NotInitialNamespace { .. }
            | Error::ConnectorUnavailable
            | Error::NotAcknowledged),
        ) => Failure::NothingToWatch(error),
        other => other,
    }
}
