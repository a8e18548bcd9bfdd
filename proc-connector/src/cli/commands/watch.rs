//! `watch`: shows events as they happen.

use std::io::{self, BufWriter, IsTerminal};

use proc_connector::{Error, Filter, ProcConnector};

use crate::cli::failure::Failure;
use crate::cli::host::zone;
use crate::cli::options::events::EventOptions;
use crate::cli::options::format::{Format, FormatOptions};
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::human::Human;
use crate::cli::output::json::Json;
use crate::cli::output::ocsf::Ocsf;
use crate::cli::output::sink::Sink;
use crate::cli::pipeline::choose::{Chooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::{Direct, Identified};
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::{connect, receive};
use crate::cli::redact::RedactOptions;
use crate::cli::shown::{complain, on_stdout};
use crate::cli::standard;

/// The capacity of the output buffer, in bytes: about as much as a pause between two batches collects
/// on a busy machine.
const JSON_BUFFER: usize = 1 << 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatOptions,

    /// Add `task` to each object: the task that caused the event, its resource usage at an exit, and the
    /// program and arguments at an exec, as the kernel recorded them (requires --json and the ring).
    #[arg(long)]
    context: bool,

    #[command(flatten)]
    choice: EventOptions,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    redact: RedactOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args { format: options, context, choice, processes, redact, listen } = args;
    let format = options.format(*context)?;
    let stdout = standard::output()?;
    // Before the connector is opened, so that an invalid choice is reported on every machine.
    let events = choice.choice(options.includes_threads(format))?;
    let conditions = Conditions::live(processes)?;
    let needs_processes = options.who || !conditions.rest().is_empty() || choice.depends_on_ends();
    if format == Format::Json && !needs_processes {
        let mut events = open(args, &conditions.filter(choice.filter()?)?, *context)?;
        // Reading the processes of the machine is only useful if a person reads the answer.
        if conditions.are_any() && io::stderr().is_terminal() {
            report_waiting(&ProcessChooser::live(&conditions, Identify::live()?.table())?);
        }
        let sink = Json::with_parts(BufWriter::with_capacity(JSON_BUFFER, stdout), *context, false);
        let mut flow = Direct::new(sink, choice.count()).redacting(redact.redactor());
        receive::listen(&mut events, listen.duration, &mut flow)?.report();
        return Ok(());
    }
    // The table needs all events of the chosen processes; the program filters them.
    let mut connector = open(args, &conditions.filter(Filter::default())?, true)?;
    let identify = Identify::live_redacted(redact.redactor().as_ref())?;
    let chooser = ProcessChooser::live(&conditions, identify.table())?;
    report_waiting(&chooser);
    let chooser = Chooser::new(events, chooser);
    let buffer = |stdout| BufWriter::with_capacity(JSON_BUFFER, stdout);
    match format {
        Format::Json => {
            let sink = Json::with_parts(buffer(stdout), *context, options.who);
            show(args, &mut connector, identify, chooser, sink)
        }
        Format::Ocsf => show(args, &mut connector, identify, chooser, Ocsf::new(buffer(stdout))),
        Format::Text => {
            let sink = Human::new(on_stdout(stdout), options.columns(), zone::local());
            show(args, &mut connector, identify, chooser, sink)
        }
    }
}

fn show(
    args: &Args,
    events: &mut ProcConnector,
    identify: Identify,
    chooser: Chooser<'_>,
    sink: impl Sink,
) -> Result<(), Failure> {
    let mut flow = Identified::new(identify, chooser, sink, args.choice.count());
    flow = flow.redacting(args.redact.redactor());
    receive::listen(events, args.listen.duration, &mut flow)?.report();
    Ok(())
}

/// Opens a connector, and checks the options that depend on it.
fn open(args: &Args, filter: &Filter, context: bool) -> Result<ProcConnector, Failure> {
    let events = connect::open(&args.listen, filter, context).map_err(suggest_replay)?;
    if let (true, Some(reason)) = (args.context, events.stats().no_ring) {
        complain(format_args!(
            "no event has a `task`, which requires the ring transport: {reason}"
        ));
    }
    args.choice.check_processes()?;
    connect::report_user_space(&events);
    Ok(events)
}

/// Reports on a terminal that no process matches yet, because silence would look like a failure. In a
/// log, this message would.
fn report_waiting(chooser: &ProcessChooser<'_>) {
    if chooser.has_chosen_none() && io::stderr().is_terminal() {
        complain("waiting: no process matches yet");
    }
}

/// Suggests the demo recording if this machine does not deliver events to this user.
fn suggest_replay(failure: Failure) -> Failure {
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
