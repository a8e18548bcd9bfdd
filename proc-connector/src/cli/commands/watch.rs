//! `watch`: events as they happen.

use std::io::{self, BufWriter, IsTerminal};

use proc_connector::{Error, Filter, ProcConnector};

use crate::cli::Failure;
use crate::cli::options::events::Choice;
use crate::cli::options::format::Format;
use crate::cli::output::human::Human;
use crate::cli::output::json::Json;
use crate::cli::pipeline::identify::{Who, Whose};
use crate::cli::pipeline::receive::Listening;
use crate::cli::shown::{complain, on_stdout};
use crate::cli::standard::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    format: Format,

    /// With --json, who made each event and with which arguments an exec was, as `task`: noted in
    /// the kernel, which takes the ring.
    #[arg(long, requires = "json")]
    context: bool,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    whose: Whose,

    #[command(flatten)]
    listening: Listening,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args { format, context, choice, whose, listening } = args;
    let Format { json, who, .. } = format;
    let stdout = output()?;
    // First, so that a wrong choice is refused wherever this runs.
    let filter = if *json { choice.filter() } else { choice.filter_for_the_eye() }?;
    let summary = if *json && !who && !whose.chooses() {
        let mut events = listening.open(&filter, *context).map_err(nothing_to_watch)?;
        tell_of_no_context(*context, &events);
        choice.check_processes()?;
        let mut output = Json::new(BufWriter::new(stdout));
        listening.run(&mut events, choice, &mut output)
    } else {
        let uids = whose.uids()?;
        // Processes are known by all of their events; the choice among those is made here.
        let mut events = listening.open(&Filter::default(), true).map_err(nothing_to_watch)?;
        tell_of_no_context(*context, &events);
        choice.check_processes()?;
        let known = Who::live(whose, uids)?;
        if known.is_waiting() {
            report_waiting();
        }
        if *json {
            let output = BufWriter::new(stdout);
            let with = (*context, *who);
            let mut output = Json::with_who(output, known, filter, with);
            listening.run(&mut events, choice, &mut output)
        } else {
            let output = on_stdout(stdout);
            let mut output = Human::new(output, known, filter, format.page());
            listening.run(&mut events, choice, &mut output)
        }
    }?;
    summary.tell();
    Ok(())
}

/// Says why what was asked for will not be there.
fn tell_of_no_context(context: bool, events: &ProcConnector) {
    if let (true, Some(reason)) = (context, events.stats().no_ring) {
        complain(format_args!("no event has a `task`, which requires the ring: {reason}"));
    }
}

/// Says once on a terminal that there is nothing to show yet, which looks like a mistake in the
/// choice. Elsewhere it would look like an error of another program.
fn report_waiting() {
    if io::stderr().is_terminal() {
        complain("waiting: no process matches yet");
    }
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
