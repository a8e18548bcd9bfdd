//! `trace`: runs a command and shows the tree of its processes.

use std::ffi::OsString;
use std::io;
use std::num::NonZero;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use proc_connector::parser::filter::TreeRoot;
use proc_connector::program::{TracedChild, start_traced};
use proc_connector::{
    Error, EventMask, ExitStatus, Filter, ProcConnector, Shutdown, Transport, WallClock,
};

use super::not_started;
use crate::cli::failure::Failure;
use crate::cli::options::listen::ReceiveOptions;
#[cfg(feature = "otlp")]
use crate::cli::options::spans::{SpanOptions, Spans};
use crate::cli::options::target::target;
use crate::cli::output::chart::{
    Consumption, Files, Forest, Look, OnFailure, Program, SortKey, Target, write_profile,
    write_tree,
};
use crate::cli::output::columns::short_time;
use crate::cli::pipeline::flow::Identified;
use crate::cli::pipeline::follow::{Child, Follower};
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::stage::{Choose, Stage};
use crate::cli::pipeline::{connect, receive};
use crate::cli::redact::{RedactOptions, Redactor};
use crate::cli::shown::{complain, shown, stderr, word};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write a file in addition to the tree: a timeline of the processes (.svg), a page with a
    /// timeline, search and a table (.html), trace events for Perfetto (.json), the events as with
    /// `watch --json` (.jsonl), or the compilations of a build (`compile_commands.json`, which requires
    /// the ring). May be given more than once.
    #[arg(short, long, value_name = "FILE", value_parser = target())]
    output: Vec<Target>,

    /// Do not print the tree and the profile.
    #[arg(short, long)]
    quiet: bool,

    /// Print the profile also below a small tree: the most expensive programs and processes, the
    /// parallelism, and the critical path. By default, a trace of 10 processes or more has one.
    #[arg(long, conflicts_with = "quiet")]
    profile: bool,

    /// Print one line per process, and do not cut lines.
    #[arg(long)]
    full: bool,

    /// Sort the processes that have the same parent, the largest value first. cpu and mem include the
    /// descendants of each process, and require the ring. The profile is sorted by the same key.
    #[arg(long, value_name = "KEY", conflicts_with = "quiet")]
    sort: Option<SortKey>,

    #[cfg(feature = "otlp")]
    #[command(flatten)]
    spans: SpanOptions,

    #[command(flatten)]
    redact: RedactOptions,

    #[command(flatten)]
    receive: ReceiveOptions,

    /// Run this command, with these arguments.
    #[arg(required = true, trailing_var_arg = true)]
    #[arg(value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// How long to wait for the last events of the command. The kernel wakes the waiting parent before it
/// reports the exit (`do_exit` in `kernel/exit.c`).
const LATE: Duration = Duration::from_millis(500);
/// How long to wait for the exits of its descendants, some of which may keep running, and of threads,
/// which the kernel reports after the parent can reap the process.
const LATE_OTHERS: Duration = Duration::from_millis(20);

/// The number of processes from which a trace has a profile by default.
const MIN_PROFILE: usize = 10;

/// The width of the tree if standard error is not a terminal.
const NO_TERMINAL: usize = 120;

type Trace = Identified<Follower, Files>;

/// Variables of the command: each with its value, or `None` if it is unset.
type Variables = Vec<(&'static str, Option<String>)>;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut events = open(args)?;
    let mut files = Files::open(&args.output, OnFailure::Continue)?;
    // The table must exist before the command starts, and the connector before the table.
    let redactor = args.redact.redactor();
    let identify = Identify::live_redacted(redactor.as_ref())?;
    #[cfg(feature = "otlp")]
    let spans = args.spans.begin(args.quiet)?;
    #[cfg(feature = "otlp")]
    let variables = spans.as_ref().map(Spans::variables).into_iter().flatten().collect();
    #[cfg(not(feature = "otlp"))]
    let variables = Variables::new();
    let start_ns = WallClock::now_ns();
    let running = start(&args.command, variables, &events.shutdown_handle())?;
    let begun = files.begin();
    let words = shown_words(&args.command, redactor.as_ref());
    let title = title(&words);
    let program =
        Program { name: name(&words), command: Some(title.clone()), ..Program::default() };
    let child = Child { tgid: running.id(), parent: process::id(), start_ns, program };
    let follower = Follower::for_child(&child);
    #[cfg(feature = "otlp")]
    let has_spans = spans.as_ref().is_some_and(Spans::are_sent_here);
    #[cfg(feature = "otlp")]
    let follower = if has_spans { follower.with_details() } else { follower };
    let mut trace = Trace::new(identify, follower, files, u64::MAX);
    trace = trace.redacting(redactor);
    let received = begun.and_then(|()| receive::receive(&mut events, None, &mut trace));
    // Waits even after a failure, because only this process can.
    let status = running.wait().map_err(Failure::Waiting)?;
    let end_ns = WallClock::now_ns();
    let received = received.and_then(|_| receive_late(&mut events, &mut trace, end_ns));
    let Trace { choose: mut follower, sink: files, .. } = trace;
    follower.child_ended(child, end_ns, wait_status(status));
    let mut forest = follower.into_forest();
    forest.cores = thread::available_parallelism().ok().map(NonZero::get);
    report(args, &forest, events.stats().transport);
    let drawn = files.finish(&forest, &title);
    #[cfg(feature = "otlp")]
    if let Some(spans) = spans {
        spans.send(&forest, args.quiet);
    }
    let code = status.code().or_else(|| status.signal().map(|signal| signal | 0x80));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    match received.and(drawn) {
        Err(failure) if !failure.is_closed_pipe() => {
            // The caller needs the status of the command, unless that hides the failure.
            complain(failure);
            Ok(if code == 0 { ExitCode::FAILURE } else { code.into() })
        }
        _ => Ok(code.into()),
    }
}

/// Starts the command with this program's standard streams. Its end shuts the connector down.
fn start(
    words: &[OsString],
    variables: Variables,
    ended: &Shutdown,
) -> Result<TracedChild, Failure> {
    let started = match words {
        [] => Err(io::ErrorKind::InvalidInput.into()),
        [name, arguments @ ..] => {
            let mut command = Command::new(name);
            for (name, value) in variables {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            start_traced(command.args(arguments), ended)
        }
    };
    started.map_err(|error| {
        let name = words.first().map(OsString::as_os_str).unwrap_or_default();
        let error = not_started::reason(name, error);
        Failure::Command { name: shown(name.as_encoded_bytes()), error }
    })
}

fn wait_status(status: process::ExitStatus) -> ExitStatus {
    ExitStatus::from_raw(u32::from_ne_bytes(status.into_raw().to_ne_bytes()))
}

/// Opens a connector for the events that a tree requires, or for all events of the tree if a file
/// contains events. The root is this process, so that the fork of the command is received.
fn open(args: &Args) -> Result<ProcConnector, Failure> {
    let filter = if args.output.iter().any(Target::is_lines) {
        Filter::default()
    } else {
        Filter::new(EventMask::FORK | EventMask::EXEC | EventMask::EXIT | EventMask::COMM)
    };
    let with_cwd = args.output.iter().any(Target::is_compile_commands);
    if with_cwd && args.redact.anonymous {
        return Err(Failure::Contradiction(
            "compile_commands.json requires the arguments that --anonymous leaves out: omit one of them",
        ));
    }
    let tree = filter.clone().descendants_of(&[TreeRoot::new(process::id())])?;
    let events = match connect::open_for_trace(&args.receive, tree, with_cwd) {
        // Without a usable `/proc`, the processes of the tree are found among all.
        Err(Failure::Connector(Error::Os(_))) => {
            connect::open_for_trace(&args.receive, filter, with_cwd)
        }
        opened => opened,
    }?;
    let stats = events.stats();
    if with_cwd && stats.transport != Transport::Ring {
        let file = "compile_commands.json";
        return Err(Failure::RequiresRing { file, reason: stats.no_ring });
    }
    Ok(events)
}

/// Receives the events that are queued at the end of the command, and late ones.
fn receive_late(
    events: &mut ProcConnector,
    trace: &mut Trace,
    ended_ns: u64,
) -> Result<(), Failure> {
    let ended = Instant::now();
    loop {
        let (count, _) = receive::pass_batch(events.recv_batch_timeout(Duration::ZERO)?, trace)?;
        trace.after_batch(Instant::now())?;
        let late = match trace.choose.ended() {
            (true, true) => Duration::ZERO,
            (true, false) => LATE_OTHERS,
            (false, _) => LATE,
        };
        // On a busy machine the queue may never be empty, or contain many events from before the end.
        // The time of the last event then shows how much has been received.
        let passed = match count {
            0 => ended.elapsed(),
            _ => Duration::from_nanos(trace.choose.now_ns().saturating_sub(ended_ns)),
        };
        if passed >= late && (count == 0 || passed > Duration::ZERO) {
            break;
        }
        if count == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    if trace.has_losses && trace.identify.rescan().is_some() {
        trace.choose.follow(trace.identify.table(), None);
    }
    trace.finish()
}

/// The words of the command, without what the redactor leaves out.
fn shown_words(command: &[OsString], redactor: Option<&Redactor>) -> Vec<OsString> {
    let Some(redactor) = redactor else { return command.to_vec() };
    let words: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
    redactor.command(&words).into_iter().map(OsString::from_vec).collect()
}

/// The command as a title.
fn title(command: &[OsString]) -> String {
    let words: Vec<String> = command.iter().map(|part| word(part.as_encoded_bytes())).collect();
    words.join(" ")
}

/// The name of the command's file.
fn name(command: &[OsString]) -> Option<String> {
    let file = Path::new(command.first()?).file_name()?;
    Some(shown(file.as_encoded_bytes()))
}

/// Writes the tree, its totals and the profile to standard error, because the command uses standard output.
fn report(args: &Args, forest: &Forest, transport: Transport) {
    let mut output = stderr();
    let (totals, usage) = (forest.totals(), usage(forest, transport));
    let mut write = || -> io::Result<()> {
        if !args.quiet {
            let terminal = terminal_size::terminal_size_of(io::stderr());
            let width = terminal.map_or(NO_TERMINAL, |(width, _)| width.0.into());
            let look = Look {
                width: Some(width).filter(|_| !args.full),
                full: args.full,
                sort: args.sort,
            };
            write_tree(forest, look, &mut output)?;
            let length = short_time(forest.end_ns.saturating_sub(forest.begin_ns));
            output.line(format_args!("{totals}, {length}{usage}"))?;
            if args.profile || totals.processes >= MIN_PROFILE {
                write_profile(forest, args.sort, look.width, &mut output)?;
            }
        }
        if !forest.losses.is_empty() {
            let lost = "proc-connector: events were lost, so processes and exits may be missing \
                        from the tree; try a larger --buffer";
            output.line(format_args!("{lost}"))?;
        }
        Ok(())
    };
    // The trace succeeds even if the terminal is gone.
    let _ = write();
}

/// What the processes used together, or why that is unknown.
fn usage(forest: &Forest, transport: Transport) -> String {
    match (Consumption::new(forest), transport) {
        (Some(consumption), _) => format!(", {}", consumption.text(forest)),
        (None, Transport::Socket) => {
            "; CPU time, memory and I/O require the ring transport".to_owned()
        }
        (None, _) => "; CPU time, memory and I/O are unknown".to_owned(),
    }
}
