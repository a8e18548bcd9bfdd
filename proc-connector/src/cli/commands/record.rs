//! `record`: writes events to a capture file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use proc_connector::Filter;
use proc_connector::capture::{Origin, Writer};
use proc_connector::process::Survey;

use crate::cli::failure::Failure;
use crate::cli::options::events::EventOptions;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::capture::Capture;
use crate::cli::output_file;
use crate::cli::pipeline::choose::{Chooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::{Direct, Identified};
use crate::cli::pipeline::identify::{Identify, is_permanent};
use crate::cli::pipeline::{connect, receive};
use crate::cli::redact::{RedactOptions, Redactor};
use crate::cli::shown::complain;
use crate::cli::standard;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the capture (pcapng) to this file; `-` is standard output. A new file is
    /// readable only by its owner; an existing file keeps its mode.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    redact: RedactOptions,

    #[command(flatten)]
    choice: EventOptions,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if standard::is_dash(&args.file) {
        let output = standard::output()?;
        if output.is_terminal() {
            return Err(Failure::BinaryToTerminal);
        }
        return record(args, || Ok(output));
    }
    let in_file = |error| Failure::File { path: args.file.clone(), error };
    // Opening a pipe waits for its reader. A signal still ends the program here.
    let place = output_file::find(&args.file).map_err(in_file)?;
    let recorded = record(args, || place.open().map_err(in_file));
    recorded.map_err(|failure| match failure {
        Failure::Output(error) => in_file(error),
        failure => failure,
    })
}

fn record<W: Write>(
    args: &Args,
    output: impl FnOnce() -> Result<W, Failure>,
) -> Result<(), Failure> {
    let redactor = args.redact.redactor();
    let conditions = Conditions::live(&args.processes)?;
    let filter = args.choice.filter()?;
    // The table of processes needs all events.
    let is_plain = conditions.rest().is_empty();
    let in_kernel = if is_plain { filter.clone() } else { Filter::default() };
    // First, so that an existing file keeps its contents if recording is not possible.
    let mut events = connect::open(&args.listen, &conditions.filter(in_kernel)?, true)?;
    args.choice.check_processes()?;
    connect::report_user_space(&events);
    let mut origin = Origin::this_machine();
    if args.redact.anonymous {
        origin.host = None;
    }
    let options = [args.choice.to_string(), args.processes.to_string()];
    let options: Vec<String> = options.into_iter().filter(|text| !text.is_empty()).collect();
    origin.filter = Some(options.join(" ")).filter(|filter| !filter.is_empty());
    let identify = if is_plain { None } else { Some(Identify::live_redacted(redactor.as_ref())?) };
    let survey = survey(redactor.as_ref())?;
    let sink = Capture::new(Writer::with_origin(output()?, &origin)?, survey)?;
    let (count, duration) = (args.choice.count(), args.listen.duration);
    let (sink, summary) = if let Some(identify) = identify {
        let processes = ProcessChooser::live(&conditions, identify.table())?;
        let chooser = Chooser::plain(filter, processes);
        let mut flow = Identified::new(identify, chooser, sink, count).redacting(redactor);
        let summary = receive::listen(&mut events, duration, &mut flow)?;
        (flow.sink, summary)
    } else {
        let mut flow = Direct::new(sink, count).redacting(redactor);
        let summary = receive::listen(&mut events, duration, &mut flow)?;
        (flow.sink, summary)
    };
    sink.finish()?;
    summary.report();
    Ok(())
}

/// Opens `/proc`. Without a usable `/proc` it warns, and the recording has no processes that existed before.
fn survey(redactor: Option<&Redactor>) -> Result<Option<Survey>, Failure> {
    let survey = match redactor {
        None => Survey::new(),
        Some(redactor) => Survey::redacted(redactor.rules()),
    };
    match survey {
        Ok(survey) => Ok(Some(survey)),
        Err(error) if is_permanent(error.kind()) => {
            complain(format_args!(
                "warning: the recording has no processes that exist already: {error}"
            ));
            Ok(None)
        }
        Err(error) => Err(Failure::Proc(error)),
    }
}
