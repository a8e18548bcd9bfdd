//! `replay`: shows the events of a recording.

mod diff;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::stat::{SFlag, fstat};
use proc_connector::capture::Reader;

use crate::cli::failure::Failure;
use crate::cli::host::zone;
use crate::cli::options::events::EventOptions;
use crate::cli::options::format::{Format, FormatOptions};
use crate::cli::options::processes::ProcessOptions;
use crate::cli::options::target::target;
use crate::cli::output::chart::{Files, OnFailure, Target};
use crate::cli::output::human::Human;
use crate::cli::output::json::Json;
use crate::cli::output::ocsf::Ocsf;
use crate::cli::output::sink::Sink;
use crate::cli::pipeline::choose::{Chooser, DrawnChooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::{Direct, Identified};
use crate::cli::pipeline::follow::Follower;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::input::Input;
use crate::cli::pipeline::recording::{self, Outcome};
use crate::cli::pipeline::waiting_input::{Waiting, WaitingInput};
use crate::cli::shown::{OUTPUT_BUFFER, on_stdout, shown};
use crate::cli::standard;

/// A build of a program in C (`make -j2 test`), recorded by `demo/record.sh`. Its test causes events of
/// every kind.
const DEMO: &[u8] = include_bytes!("../../../demo/build.pcapng");

/// Larger files get a progress bar.
const LONG: u64 = 10_000_000;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true)))]
pub(crate) struct Args {
    /// Read this file: a capture from `record`, another capture of netlink packets (pcapng or pcap),
    /// or bare netlink messages; `-` is standard input. Unreadable packets are reported and skipped.
    #[arg(value_name = "FILE", group = "source")]
    file: Option<PathBuf>,

    /// Replay the recording built into this program: a small build, with a crash.
    #[arg(long, group = "source")]
    demo: bool,

    /// Compare two recordings of the same build by program: processes, CPU time, run time and peak
    /// memory, with the largest change first. --json writes one object. --tree, --comm, --user and --cgroup select the processes.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], group = "source")]
    #[arg(conflicts_with_all = ["context", "who", "output", "threads", "wide", "events"])]
    #[arg(conflicts_with_all = ["count", "pid", "failed", "processes"])]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    diff: Vec<PathBuf>,

    #[command(flatten)]
    format: FormatOptions,

    /// Add `task` to each object: the task that caused the event, its resource usage at an exit, and the
    /// program and arguments at an exec, as the kernel recorded them (requires --json).
    #[arg(long)]
    context: bool,

    /// Write a file instead of showing events: a timeline of the processes (.svg), a page with a
    /// timeline, search and a table (.html), trace events for Perfetto (.json), or the events as with
    /// --json (.jsonl). May be given more than once. --tree, --comm, --user and --cgroup select the
    /// processes.
    #[arg(short, long, value_name = "FILE", value_parser = target(), conflicts_with = "json")]
    output: Vec<Target>,

    #[command(flatten)]
    choice: EventOptions,

    #[command(flatten)]
    processes: ProcessOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.output.iter().any(Target::is_compile_commands) {
        return Err(Failure::Contradiction(
            "recordings have no working directories, which compile_commands.json requires: use `trace`",
        ));
    }
    if let [old, new] = &args.diff[..] {
        let processes = (&args.choice, &args.processes);
        return match args.format.format(false)? {
            Format::Ocsf => Err(Failure::Contradiction("--diff compares as text or as JSON")),
            format => diff::run([old, new], processes, format == Format::Json),
        };
    }
    if args.format.format(args.context)? != Format::Text && !args.output.is_empty() {
        return Err(Failure::Contradiction(
            "--output writes files instead of showing events: leave out --format",
        ));
    }
    let waiting = Rc::new(Waiting::default());
    let Some(file) = &args.file else {
        return show(args, "demo", DEMO, &waiting)
            .and_then(report_outcome)
            .map_err(|failure| failure.in_file(Path::new("the demo")));
    };
    let (name, is_file, outcome) = if standard::is_dash(file) {
        let input = standard::input()?;
        let is_file = fstat(&input).is_ok_and(|input| is_regular(input.st_mode));
        let title = "standard input";
        let outcome = if is_file {
            waiting.begin()?;
            show(args, title, input, &waiting)
        } else {
            show(args, title, WaitingInput::new(input, Rc::clone(&waiting))?, &waiting)
        };
        (Path::new(title), is_file, outcome)
    } else {
        let unreadable = |error| Failure::File { path: file.clone(), error };
        // Opening a pipe waits for its writer. A signal still ends the program here.
        let opened = File::open(file).map_err(unreadable)?;
        let metadata = opened.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        let is_file = metadata.is_file();
        let title = shown(file.as_os_str().as_encoded_bytes());
        let outcome = if is_file {
            waiting.begin()?;
            match progress(&opened) {
                Some(bar) => {
                    let outcome = show(args, &title, bar.wrap_read(opened), &waiting);
                    // The summary needs the line of the bar.
                    bar.finish_and_clear();
                    outcome
                }
                None => show(args, &title, opened, &waiting),
            }
        } else {
            show(args, &title, WaitingInput::new(opened, Rc::clone(&waiting))?, &waiting)
        };
        (file.as_path(), is_file, outcome)
    };
    outcome.and_then(report_outcome).map_err(|failure| failure.in_file(name))?;
    if is_file && waiting.is_cut_short() {
        // A file was not read to its end. For a stream, the signal is the end.
        waiting.end_by_signal();
    }
    Ok(())
}

fn is_regular(mode: u32) -> bool {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

fn show<'a>(
    args: &'a Args,
    title: &str,
    input: impl Input,
    waiting: &Waiting<'a>,
) -> Result<Outcome, Failure> {
    let Args { format: options, context, output, choice, processes, .. } = args;
    let format = options.format(*context)?;
    // First, so that existing files keep their contents if the recording cannot be read.
    let reader = match Reader::new(input) {
        Err(error) if waiting.explains(&error) => return Ok(Outcome::default()),
        reader => reader?,
    };
    if !output.is_empty() {
        return draw(args, title, reader, waiting);
    }
    let stdout = standard::output()?;
    let needs_processes = options.who || processes.is_any_given() || choice.depends_on_ends();
    if format == Format::Json && !needs_processes {
        let sink = BufWriter::with_capacity(OUTPUT_BUFFER, waiting.timed(stdout));
        let sink = Json::with_parts(sink, *context, false);
        let flow = shared(Direct::new(sink, choice.count()));
        return recording::read(reader.with_filter(choice.filter()?), title, &flow, waiting);
    }
    let processes = ProcessChooser::recorded(&Conditions::recorded(processes)?)?;
    let chooser = Chooser::new(choice.choice(options.includes_threads(format))?, processes);
    match format {
        Format::Json => {
            let sink = BufWriter::with_capacity(OUTPUT_BUFFER, waiting.timed(stdout));
            let sink = Json::with_parts(sink, *context, options.who);
            identified(args, title, reader, chooser, sink, waiting)
        }
        Format::Ocsf => {
            let sink = BufWriter::with_capacity(OUTPUT_BUFFER, waiting.timed(stdout));
            identified(args, title, reader, chooser, Ocsf::new(sink), waiting)
        }
        Format::Text => {
            let sink = on_stdout(waiting.timed(stdout));
            let sink = Human::new(sink, options.columns(), zone::local());
            identified(args, title, reader, chooser, sink, waiting)
        }
    }
}

/// Shows the events whose process is identified.
fn identified<'a>(
    args: &Args,
    title: &str,
    reader: Reader<impl Input>,
    chooser: Chooser<'a>,
    sink: impl Sink + 'a,
    waiting: &Waiting<'a>,
) -> Result<Outcome, Failure> {
    let identify = Identify::recorded();
    let flow = shared(Identified::new(identify, chooser, sink, args.choice.count()));
    recording::read(reader, title, &flow, waiting)
}

/// Draws the processes to files.
fn draw<'a>(
    args: &'a Args,
    title: &str,
    reader: Reader<impl Input>,
    waiting: &Waiting<'a>,
) -> Result<Outcome, Failure> {
    let processes = ProcessChooser::recorded(&Conditions::recorded(&args.processes)?)?;
    let chooser = Chooser::new(args.choice.choice(true)?, processes);
    let mut files = Files::open(&args.output, OnFailure::Stop)?;
    files.begin()?;
    let chooser = DrawnChooser { chooser, follower: Follower::for_recording() };
    let flow = shared(Identified::new(Identify::recorded(), chooser, files, args.choice.count()));
    let outcome = recording::read(reader, title, &flow, waiting)?;
    if let Some(Identified { choose, sink: files, .. }) =
        Rc::into_inner(flow).map(RefCell::into_inner)
    {
        files.finish(&choose.follower.into_forest(), title)?;
    }
    Ok(outcome)
}

fn shared<S>(stage: S) -> Rc<RefCell<S>> {
    Rc::new(RefCell::new(stage))
}

/// Reports the summary, and packets that could not be read.
fn report_outcome(outcome: Outcome) -> Result<(), Failure> {
    outcome.summary.report();
    outcome.report_unread()
}

/// A progress bar for a long file, on a terminal that shows no events.
fn progress(file: &File) -> Option<ProgressBar> {
    let len = file.metadata().ok()?.len();
    if len <= LONG || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return None;
    }
    let style = "{bar:40} {binary_bytes}/{binary_total_bytes}, {eta} left";
    Some(ProgressBar::new(len).with_style(ProgressStyle::with_template(style).ok()?))
}
