//! `record`: writes events to a capture file.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::capture::Origin;
use proc_connector::process::Survey;
use proc_connector::{Filter, ProcConnector, Received};

use crate::cli::blocks::{Blocks, Format};
use crate::cli::failure::Failure;
use crate::cli::options::events::EventOptions;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::capture::{Capture, Output, Raw};
use crate::cli::output::sink::{Details, Item, Sink};
use crate::cli::output::unwritten::CountUnwritten;
use crate::cli::output_file;
use crate::cli::pipeline::choose::{Chooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::Identified;
use crate::cli::pipeline::identify::{Identify, is_permanent};
use crate::cli::pipeline::stage::Stage;
use crate::cli::pipeline::summary::Summary;
use crate::cli::pipeline::{connect, receive};
use crate::cli::redact::{RedactOptions, Redactor};
use crate::cli::rotated::{Rotation, RotationOptions};
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

    /// Write bare netlink messages, for other parsers: without times of day, names and arguments. Lost
    /// events are a message of the type 4 (overrun).
    #[arg(long, conflicts_with = "rotation")]
    raw: bool,

    #[command(flatten)]
    rotation: RotationOptions,

    #[command(flatten)]
    choice: EventOptions,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let format = if args.raw { Format::Messages } else { Format::Pcapng };
    if standard::is_dash(&args.file) {
        if args.rotation.is_given() {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "standard output cannot be divided into files: name a file",
            );
            return Err(Failure::File { path: args.file.clone(), error });
        }
        let output = standard::output()?;
        if output.is_terminal() {
            return Err(Failure::BinaryToTerminal);
        }
        let open = || Blocks::continuing(output.as_fd().try_clone_to_owned()?.into(), format);
        return record(args, || Ok((Box::new(open()?), None)));
    }
    let in_file = |error| Failure::File { path: args.file.clone(), error };
    let recorded = if args.rotation.is_given() {
        record(args, || {
            let mut rotation = Rotation::new(&args.rotation, &args.file)?;
            Ok((Box::new(rotation.open()?), Some(rotation)))
        })
    } else {
        // Opening a pipe waits for its reader. A signal still ends the program here.
        let place = output_file::find(&args.file).map_err(in_file)?;
        let open = || place.open_for_recording(format).map_err(in_file);
        record(args, || Ok((Box::new(open()?), None)))
    };
    recorded.map_err(|failure| match failure {
        Failure::Output(error) => in_file(error),
        failure => failure,
    })
}

fn record(
    args: &Args,
    open: impl FnOnce() -> Result<(Output, Option<Rotation>), Failure>,
) -> Result<(), Failure> {
    let redactor = args.redact.redactor();
    let conditions = Conditions::live(&args.processes)?;
    let filter = args.choice.filter()?;
    // Patterns of names need the context of each event, and the table of processes needs all events.
    let is_plain = conditions.rest().is_empty();
    let in_kernel = if is_plain { filter.clone() } else { Filter::default() };
    // First, so that an existing file keeps its contents if recording is not possible.
    let in_kernel = conditions.filter(in_kernel)?;
    let mut events = connect::open(&args.listen, &in_kernel, !args.raw || !is_plain)?;
    args.choice.check_processes()?;
    connect::report_user_space(&events);
    let identify = if is_plain { None } else { Some(Identify::live_redacted(redactor.as_ref())?) };
    let chooser = match &identify {
        None => None,
        Some(identify) => Some(ProcessChooser::live(&conditions, identify.table())?),
    };
    let chooser = chooser.map(|processes| Chooser::plain(filter, processes));
    let chosen = identify.zip(chooser);
    if args.raw {
        let (output, _) = open()?;
        let (_, summary) = listen(args, &mut events, chosen, redactor, Raw::new(output))?;
        summary.report();
        return Ok(());
    }
    let survey = survey(redactor.as_ref())?;
    let (output, rotation) = open()?;
    let sink = Capture::new(output, origin(args), rotation, survey)?;
    let (sink, summary) = listen(args, &mut events, chosen, redactor, sink)?;
    sink.finish()?;
    summary.report();
    Ok(())
}

/// Records until the end. Returns the sink and the summary.
fn listen<S: Sink>(
    args: &Args,
    events: &mut ProcConnector,
    chosen: Option<(Identify, Chooser<'_>)>,
    redactor: Option<Redactor>,
    sink: S,
) -> Result<(S, Summary), Failure> {
    let (count, duration) = (args.choice.count(), args.listen.duration);
    let sink = CountUnwritten::new(sink);
    if let Some((identify, chooser)) = chosen {
        let flow = Identified::new(identify, chooser, sink, count);
        let mut flow = flow.redacting(redactor);
        let summary = receive::listen(events, duration, &mut flow);
        if flow.sink.has_failed() {
            count_rest(events, &mut flow);
        }
        return Ok((flow.sink.finish()?, summary?));
    }
    let mut flow = Unidentified { sink, redactor, recorded: 0, wanted: count };
    let summary = receive::listen(events, duration, &mut flow);
    if flow.sink.has_failed() {
        count_rest(events, &mut flow);
    }
    Ok((flow.sink.finish()?, summary?))
}

/// Records all events that the source delivers. A recording needs neither the process of an event nor its
/// end: a replay finds them again.
#[derive(Debug)]
struct Unidentified<S> {
    sink: S,
    redactor: Option<Redactor>,
    recorded: u64,
    /// The number of events after which the recording ends.
    wanted: u64,
}

impl<S: Sink> Unidentified<S> {
    fn write(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<(), Failure> {
        let (process, user, is_over, end) = (None, None, None, None);
        let details = Details::default();
        self.sink.write(&Item { received, time, process, user, is_over, end, details })
    }
}

impl<S: Sink> Stage for Unidentified<S> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        match self.redactor.take() {
            None => self.write(received, time)?,
            Some(mut redactor) => {
                let written = self.write(&redactor.apply(received), time);
                self.redactor = Some(redactor);
                written?;
            }
        }
        self.recorded += u64::from(matches!(received, Received::Event(_)));
        Ok(self.recorded < self.wanted)
    }

    fn due_in(&self) -> Option<Duration> {
        self.sink.due_in()
    }

    fn after_batch(&mut self, _: Instant) -> Result<bool, Failure> {
        self.sink.flush()?;
        Ok(self.recorded < self.wanted)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.sink.flush()
    }

    fn shown(&self) -> u64 {
        self.recorded
    }
}

/// Counts the queued events that cannot be written any more.
fn count_rest(events: &mut ProcConnector, flow: &mut impl Stage) {
    // The failure to write is the one to report.
    let _ = receive::receive_rest(events, flow);
}

fn origin(args: &Args) -> Origin {
    let mut origin = Origin::this_machine();
    if args.redact.anonymous {
        origin.host = None;
    }
    let options = [args.choice.to_string(), args.processes.to_string()];
    let options: Vec<String> = options.into_iter().filter(|text| !text.is_empty()).collect();
    origin.filter = Some(options.join(" ")).filter(|filter| !filter.is_empty());
    origin
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
