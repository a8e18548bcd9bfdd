//! `replay`: what was recorded, as if it happened now.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::stat::{SFlag, fstat};
use proc_connector::capture::{self, Reader};
use proc_connector::{Filter, Received};

use super::record::is_standard;
use super::trace::target;
use crate::cli::Failure;
use crate::cli::options::events::Choice;
use crate::cli::options::format::Format;
use crate::cli::output::human::Human;
use crate::cli::output::json::Json;
use crate::cli::output::picture::Target;
use crate::cli::output::sink::Sink;
use crate::cli::pipeline::drawing::Drawing;
use crate::cli::pipeline::identify::{Who, Whose};
use crate::cli::pipeline::summary::Summary;
use crate::cli::pipeline::waiting_input::{LiveInput, Waiting};
use crate::cli::shown::{complain, on_stdout, report, shown};
use crate::cli::standard;

/// `make -j2 test` for a program in C, recorded with `record --anonymous` and reduced to the build's
/// own processes. The program's tests make threads with names, a session of another user, a traced
/// child, a failure and a crash, so there are events of every kind.
const DEMO: &[u8] = include_bytes!("../../../demo/build.pcapng");

/// Files of more bytes get a progress bar.
const LONG: u64 = 10_000_000;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true)))]
pub(crate) struct Args {
    /// A file from `record`, other netlink packets (pcapng or pcap), or netlink messages; `-` is
    /// standard input. Packets that cannot be read are reported and left out.
    #[arg(value_name = "FILE", group = "source")]
    file: Option<PathBuf>,

    /// Replay a recording that comes with the program: a small build, with a crash.
    #[arg(long, group = "source")]
    demo: bool,

    #[command(flatten)]
    format: Format,

    /// Draw to this file instead: a timeline of the processes (.svg), trace events for Perfetto
    /// (.json), or the events as of --json (.jsonl). May be given more than once. Which processes to
    /// draw, --tree, --comm, --user and --cgroup say.
    #[arg(short, long, value_name = "FILE", value_parser = target(), conflicts_with = "json")]
    output: Vec<Target>,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let waiting = Rc::new(Waiting::default());
    let Some(file) = &args.file else {
        return show(args, "demo", DEMO, &waiting)
            .and_then(Replayed::report)
            .map_err(|failure| failure.in_file(Path::new("the demo")));
    };
    let (name, is_file, replayed) = if is_standard(file) {
        let input = standard::input()?;
        let is_file = fstat(&input).is_ok_and(|input| is_regular(input.st_mode));
        let input =
            LiveInput::new(input, is_file, Rc::clone(&waiting)).map_err(Failure::Signals)?;
        let title = "standard input";
        (Path::new(title), is_file, show(args, title, input, &waiting))
    } else {
        let unreadable = |error| Failure::File { path: file.clone(), error };
        // Opening a pipe waits for its writer: until then a signal ends the program.
        let opened = File::open(file).map_err(unreadable)?;
        let metadata = opened.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        let is_file = metadata.is_file();
        let title = shown(file.as_os_str().as_encoded_bytes());
        let bar = progress(&opened);
        let input =
            LiveInput::new(opened, is_file, Rc::clone(&waiting)).map_err(Failure::Signals)?;
        let replayed = match bar {
            Some(bar) => {
                let replayed = show(args, &title, bar.wrap_read(input), &waiting);
                // It would take the summary's line.
                bar.finish_and_clear();
                replayed
            }
            None => show(args, &title, input, &waiting),
        };
        (file.as_path(), is_file, replayed)
    };
    replayed.and_then(Replayed::report).map_err(|failure| failure.in_file(name))?;
    if is_file && waiting.is_cut_short() {
        // A stream ends when it is asked to. This had an end of its own, which was not reached.
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
    input: impl Read,
    waiting: &Waiting<'a>,
) -> Result<Replayed, Failure> {
    let Args { format, output, choice, whose, .. } = args;
    let Format { json, who, .. } = format;
    // First, so that files stay as they are where there is nothing to draw.
    let reader = match Reader::new(input) {
        Err(error) if waiting.explains(&error) => return Ok(Replayed::default()),
        reader => reader?,
    };
    if !output.is_empty() {
        // Processes are known by all of their events; the choice among those is made here.
        let drawing = Drawing::open(output, Who::recorded(whose)?, choice.filter()?)?;
        let drawing = Rc::new(RefCell::new(drawing));
        let replayed = replay(args, title, Filter::default(), reader, &drawing, waiting);
        if let Some(failure) = drawing.borrow_mut().failure() {
            return Err(failure);
        }
        let replayed = replayed?;
        if let Some(drawing) = Rc::into_inner(drawing) {
            drawing.into_inner().finish(title)?;
        }
        return Ok(replayed);
    }
    let stdout = standard::output()?;
    if *json && !who && !whose.chooses() {
        let output = Json::new(BufWriter::new(waiting.timed(stdout)));
        return replay(args, title, choice.filter()?, reader, &shared(output), waiting);
    }
    let known = Who::recorded(whose)?;
    if *json {
        let output = BufWriter::new(waiting.timed(stdout));
        let output = Json::with_who(output, known, choice.filter()?, (true, *who));
        replay(args, title, Filter::default(), reader, &shared(output), waiting)
    } else {
        let output = on_stdout(waiting.timed(stdout));
        let output = Human::new(output, known, choice.filter_for_the_eye()?, format.page());
        replay(args, title, Filter::default(), reader, &shared(output), waiting)
    }
}

fn shared<S>(sink: S) -> Rc<RefCell<S>> {
    Rc::new(RefCell::new(sink))
}

fn replay<'a, S: Sink + 'a>(
    args: &Args,
    title: &str,
    filter: Filter,
    reader: Reader<impl Read>,
    sink: &Rc<RefCell<S>>,
    waiting: &Waiting<'a>,
) -> Result<Replayed, Failure> {
    let wanted = args.choice.count();
    let started = Instant::now();
    let mut reader = reader.with_filter(filter);
    let mut summary = Summary::default();
    let (mut damage, mut unread) = (None, Unread::default());
    waiting.flush_before(Some(Rc::clone(sink) as Rc<RefCell<dyn Sink + 'a>>));
    while summary.events < wanted {
        let recorded = match reader.next() {
            Ok(Some(recorded)) => recorded,
            Ok(None) => break,
            Err(error) if error.is_of_one_packet() => {
                if unread.packets == 0 {
                    // There may be as many as packets: the others are counted.
                    let what = "; reading goes on with the next packet";
                    complain(format_args!("{title}: {error}{what}"));
                }
                unread.packets += 1;
                continue;
            }
            Err(error) if waiting.explains(&error) => break,
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        if let Received::Lost(lost) = &recorded.received {
            summary.lost = summary.lost.saturating_add(lost.count.unwrap_or_default());
        }
        let taken = sink.borrow_mut().take(&recorded.received, recorded.time)?;
        summary.events += u64::from(taken);
    }
    waiting.flush_before(None);
    if let Some(error) = waiting.failure() {
        return Err(error.into());
    }
    // What came before the damage counts.
    sink.borrow_mut().flush()?;
    summary.time = started.elapsed();
    unread.cut = reader.cut();
    Ok(Replayed { summary, skipped: reader.skipped(), unread, damage })
}

/// How a replay went.
#[derive(Default)]
struct Replayed {
    summary: Summary,
    /// Packets of other protocols.
    skipped: u64,
    unread: Unread,
    /// Why it ended early.
    damage: Option<capture::Error>,
}

impl Replayed {
    fn report(self) -> Result<(), Failure> {
        self.summary.tell();
        let unread = (self.unread.packets > 0).then_some(self.unread);
        match (self.damage, unread) {
            (None, None) => {}
            (None, Some(unread)) => return Err(Failure::Unread { file: PathBuf::new(), unread }),
            (Some(error), None) => return Err(error.into()),
            (Some(error), Some(unread)) => {
                complain(unread);
                return Err(error.into());
            }
        }
        if self.summary.events == 0 && self.skipped > 0 {
            report(format_args!(
                "{} packets of other protocols left out: interfaces of the kind nlmon, where \
                 other programs capture, see no process events",
                self.skipped,
            ));
        }
        Ok(())
    }
}

/// Packets that could not be read, between others that were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unread {
    packets: u64,
    /// Those of which the capture has a part only.
    cut: u64,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, cut } = *self;
        let s = if packets == 1 { "" } else { "s" };
        write!(f, "{packets} packet{s} could not be read")?;
        if cut > 0 {
            write!(
                f,
                ", {cut} of them cut short by the program that captured them: set its snap length \
                 to 0 (`tcpdump -s 0`)"
            )?;
        }
        Ok(())
    }
}

/// A bar for a long file on a terminal that shows nothing else: between lines of events there is
/// neither room nor need for one.
fn progress(file: &File) -> Option<ProgressBar> {
    let len = file.metadata().ok()?.len();
    if len <= LONG || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return None;
    }
    let style = "{bar:40} {binary_bytes}/{binary_total_bytes}, {eta} left";
    Some(ProgressBar::new(len).with_style(ProgressStyle::with_template(style).ok()?))
}
