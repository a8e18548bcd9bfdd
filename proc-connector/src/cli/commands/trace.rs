//! `trace`: the processes of one command, from its start to its end.

mod found;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::program::TracedChild;
use proc_connector::{
    Error, EventMask, ExitStatus, Filter, ProcConnector, Received, Shutdown, WallClock,
};

use crate::cli::Failure;
use crate::cli::output::columns::short_time;
use crate::cli::output::picture::{Files, Forest, Look, Program, Target, write_tree};
use crate::cli::pipeline::follow::{Child, Follower};
use crate::cli::pipeline::machine;
use crate::cli::pipeline::receive::{Transport, monotonic_ns, report_granted};
use crate::cli::shown::{complain, shown, stderr, word};
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Draw to this file too: a timeline (.svg), trace events for Perfetto (.json), or the events
    /// of these processes as `watch --json` writes them (.jsonl). May be given more than once.
    #[arg(short, long, value_name = "FILE", value_parser = target())]
    output: Vec<Target>,

    /// Print no tree.
    #[arg(short, long)]
    quiet: bool,

    /// Give every process a line of its own, and every line its full length.
    #[arg(long)]
    full: bool,

    /// How events get here.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,

    /// Receive buffer, as the number of events it holds. Where the kernel grants fewer, a line on
    /// standard error says how many.
    #[arg(long, value_name = "EVENTS", value_parser = values::capacity, allow_negative_numbers = true)]
    buffer: Option<usize>,

    /// The command, and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// How the command line reads the name of a file.
pub(crate) fn target() -> impl clap::builder::TypedValueParser<Value = Target> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PathBufValueParser::new().try_map(Target::of)
}

/// How long after the command's end its last events may come: the kernel sends an exit after it has
/// told the parent (`do_exit` in kernel/exit.c).
const LATE: Duration = Duration::from_millis(500);
/// The same for its descendants, of which some may simply go on.
const LATE_OTHERS: Duration = Duration::from_millis(20);

/// Columns for whoever reads the tree elsewhere than on a terminal.
const NO_TERMINAL: usize = 120;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut events = open(args)?;
    report_granted(args.buffer, &events);
    let mut files = Files::open(&args.output)?;
    // After the connector, and before there is anything to follow.
    let table = machine::processes()?;
    let start_ns = monotonic_ns();
    let running = start(&args.command, events.shutdown_handle())?;
    let begun = files.begin();
    let title = title(&args.command);
    let program = Program { at_ns: None, name: name(&args.command), command: Some(title.clone()) };
    let child = Child { tgid: running.id(), parent: process::id(), start_ns, program };
    let mut trace = Trace { follower: Follower::of_child(table, &child), files };
    let followed = begun.and_then(|()| trace.until_shutdown(&mut events));
    // Whatever became of the trace, nobody else waits for the command.
    let status = running.wait().map_err(Failure::Waiting)?;
    let end_ns = monotonic_ns();
    let followed = followed.and_then(|()| trace.drain(&mut events, end_ns));
    trace.follower.child_ended(child, end_ns, wait_status(status));
    let forest = trace.follower.into_forest();
    tell(args, &forest);
    let drawn = trace.files.finish(&forest, &title);
    let code = status.code().or_else(|| status.signal().map(|signal| signal | 0x80));
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    match followed.and(drawn) {
        Err(failure) if !failure.is_closed_pipe() => {
            // The status of the command is what the caller wants to know.
            complain(failure);
            Ok(if code == 0 { ExitCode::FAILURE } else { code.into() })
        }
        _ => Ok(code.into()),
    }
}

/// Starts the command, with this program's input and outputs; ends the receives when it has ended.
fn start(words: &[OsString], ended: Shutdown) -> Result<TracedChild, Failure> {
    let started = match words {
        [] => Err(io::ErrorKind::InvalidInput.into()),
        [name, arguments @ ..] => TracedChild::start(Command::new(name).args(arguments), ended),
    };
    started.map_err(|error| {
        let name = words.first().map(OsString::as_os_str).unwrap_or_default();
        let error = found::reason(name, error);
        Failure::Command { name: shown(name.as_encoded_bytes()), error }
    })
}

fn wait_status(status: process::ExitStatus) -> ExitStatus {
    ExitStatus::from_raw(u32::from_ne_bytes(status.into_raw().to_ne_bytes()))
}

/// Opens a connector for what makes up a tree; for raw events, for all of them.
fn open(args: &Args) -> Result<ProcConnector, Failure> {
    WallClock::try_new().map_err(Failure::Clock)?;
    let filter = if args.output.iter().any(Target::is_lines) {
        Filter::default()
    } else {
        Filter::new(EventMask::FORK | EventMask::EXEC | EventMask::EXIT | EventMask::COMM)
    };
    let mut builder = ProcConnector::builder().filter(filter).context(true);
    if let Some(events) = args.buffer {
        builder = builder.receive_buffer_events(events);
    }
    let ring = builder.clone().transport(proc_connector::Transport::Ring);
    // Nothing is noted there, so what is to be known of a process has to be read while it is there.
    let socket = builder.coalesce(Duration::ZERO).transport(proc_connector::Transport::Socket);
    let opened = match args.transport {
        Transport::Ring => ring.open(),
        Transport::Socket => socket.open(),
        Transport::Auto => match ring.open() {
            Err(Error::RingUnavailable { .. }) => socket.open(),
            opened => opened,
        },
    };
    Ok(opened?)
}

struct Trace {
    follower: Follower,
    files: Files,
}

impl Trace {
    fn until_shutdown(&mut self, events: &mut ProcConnector) -> Result<(), Failure> {
        loop {
            let batch = match self.follower.rescan_in() {
                Some(time) => events.recv_batch_timeout(time),
                None => events.recv_batch(),
            };
            let batch = match batch {
                Err(Error::Shutdown) => return Ok(()),
                batch => batch?,
            };
            self.take(batch);
            self.follower.rescan_if_due(false);
        }
    }

    /// Takes what is there after the command's end, and what comes late.
    fn drain(&mut self, events: &mut ProcConnector, ended_ns: u64) -> Result<(), Failure> {
        let ended = Instant::now();
        loop {
            let batch = events.recv_batch_timeout(Duration::ZERO)?;
            let count = self.take(batch);
            let late = match self.follower.ended() {
                (true, true) => Duration::ZERO,
                (true, false) => LATE_OTHERS,
                (false, _) => LATE,
            };
            // On a busy machine there may always be more, and there may be much to catch up with.
            let passed = match count {
                0 => ended.elapsed(),
                _ => Duration::from_nanos(self.follower.now_ns().saturating_sub(ended_ns)),
            };
            if passed >= late && (count == 0 || passed > Duration::ZERO) {
                break;
            }
            if count == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.follower.rescan_if_due(true);
        Ok(())
    }

    /// How many there were.
    fn take<'a>(&mut self, batch: impl Iterator<Item = Received<'a>>) -> usize {
        let clock = WallClock::new();
        let mut count = 0;
        for received in batch {
            count += 1;
            if !self.follower.take(&received) {
                continue;
            }
            let time = match &received {
                Received::Event(event) => clock.time(event.timestamp_ns()),
                Received::Lost(_) => SystemTime::now(),
            };
            self.files.take(&received, Some(time));
        }
        self.files.flush();
        count
    }
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

/// The tree and its sum on standard error: standard output is the command's.
fn tell(args: &Args, forest: &Forest) {
    let mut output = stderr();
    let totals = forest.totals();
    let mut tell = || -> io::Result<()> {
        if !args.quiet {
            let terminal = terminal_size::terminal_size_of(io::stderr());
            let width = terminal.map_or(NO_TERMINAL, |(width, _)| width.0.into());
            let look = Look { width: Some(width).filter(|_| !args.full), full: args.full };
            write_tree(forest, look, &mut output)?;
            let length = short_time(forest.end_ns.saturating_sub(forest.begin_ns));
            output.line(format_args!("{totals}, {length}"))?;
        }
        if !forest.losses.is_empty() {
            let lost = "proc-connector: events were lost, so processes and ends may be missing \
                        here; a larger --buffer holds more";
            output.line(format_args!("{lost}"))?;
        }
        Ok(())
    };
    // The terminal may be gone by now, which is no reason to fail.
    let _ = tell();
}
