//! `export otlp`: sends each event as a log record.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::process::BootId;
use proc_connector::{Filter, Received, WallClock};

use crate::cli::export::otlp::config::{Config, Signal};
use crate::cli::export::otlp::http::Client;
use crate::cli::export::otlp::positions::Positions;
use crate::cli::export::otlp::resource::Resource;
use crate::cli::export::otlp::sender::Sender;
use crate::cli::export::otlp::sink::{Limits, Otlp, Style};
use crate::cli::export::otlp::split::split;
use crate::cli::export::otlp::store::SpoolStore;
use crate::cli::export::spool::{Opened, Queue, Spool};
use crate::cli::failure::Failure;
use crate::cli::options::events::EventOptions;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::options::receiver::ReceiverOptions;
use crate::cli::options::spool::SpoolOptions;
use crate::cli::pipeline::choose::{Chooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::Identified;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::stage::Stage;
use crate::cli::pipeline::{connect, receive};
use crate::cli::redact::RedactOptions;
use crate::cli::shown::{complain, report};

/// The number of ended processes to keep, and how long. Records need them no longer than their events.
const KEEP: (usize, Duration) = (256, Duration::from_secs(1));

/// How long the sender may take to empty the spool at the end.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Include the arguments of executed programs, which may contain passwords: see --redact.
    #[arg(long)]
    arguments: bool,

    #[command(flatten)]
    receiver: ReceiverOptions,

    #[command(flatten)]
    spool: SpoolOptions,

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
    let Args { arguments, receiver, spool, choice, processes, redact, listen } = args;
    let events = choice.choice(true)?;
    let conditions = Conditions::live(processes)?;
    let Some(config) = receiver.config(Signal::Logs)? else {
        report("nothing to do: OTEL_SDK_DISABLED is true");
        return Ok(());
    };
    let boot_id = boot_id()?;
    let directory = spool.directory()?;
    let since = last_write(&directory);
    let (spool_files, opened) = Spool::open(&directory, spool.spool_size)
        .map_err(|error| Failure::Spool(error.to_string()))?;
    report(format_args!("sending to {}", config.shown_url()));
    report_opened(&opened, spool_files.unreported().damages > 0);
    let queue = Queue::new(spool_files);

    let filter = conditions.filter(Filter::default())?;
    let mut connector = connect::open_with_directories(listen, filter)?;
    choice.check_processes()?;
    connect::report_user_space(&connector);
    let identify = Identify::live_redacted(redact.redactor().as_ref())?;
    let identify = identify.keep_ended(KEEP.0, KEEP.1);
    let chooser = Chooser::new(events, ProcessChooser::live(&conditions, identify.table())?);

    let resource = Resource::of_this_machine(Some(boot_id));
    let style = Style {
        boot_id,
        start_ns: WallClock::now_ns(),
        resource: &resource,
        with_arguments: *arguments,
    };
    let limits = Limits {
        records: usize::try_from(spool.batch_size).unwrap_or(usize::MAX),
        age: spool.batch_age,
    };
    let positions = positions(&opened, boot_id, since, conditions.are_any());
    let sink = Otlp::new(&style, limits, positions, SpoolStore::new(queue.clone()));
    let flow = Identified::new(identify, chooser, sink, choice.count());
    let mut export = Export {
        flow: flow.redacting(redact.redactor()),
        queue,
        config: Some(config),
        sender: None,
    };
    let listened = receive::listen(&mut connector, listen.duration, &mut export);
    // Also after a failure, the records so far are sent.
    let waiting = export.end();
    listened?.report();
    if waiting > 0 {
        report(format_args!(
            "{waiting} records wait in the spool for the next run, reported losses included"
        ));
    }
    Ok(())
}

/// Exports events, and sends them from another thread.
struct Export<'a> {
    flow: Identified<Chooser<'a>, Otlp<SpoolStore>>,
    queue: Queue,
    /// Present until the sender starts.
    config: Option<Config>,
    sender: Option<io::Result<Sender>>,
}

impl Export<'_> {
    /// The sender, or why it could not be started.
    fn check_sender(&mut self) -> Result<(), Failure> {
        match self.sender.take() {
            Some(Err(error)) => Err(Failure::Thread(error)),
            sender => {
                self.sender = sender;
                Ok(())
            }
        }
    }

    /// Sends the rest. Returns the number of records that remain.
    fn end(self) -> u64 {
        let Self { mut flow, queue, sender, .. } = self;
        flow.sink.finish();
        match sender {
            Some(Ok(sender)) => sender.finish(GRACE),
            _ => queue.waiting(),
        }
    }
}

impl Stage for Export<'_> {
    /// Starts the sender, after this program has dropped its privileges.
    fn start(&mut self, now: Instant) {
        self.flow.start(now);
        if let Some(config) = self.config.take() {
            let client = Box::new(Client::new(config));
            self.sender = Some(Sender::start(
                self.queue.clone(),
                client,
                split,
                Box::new(|notice| complain(notice)),
            ));
        }
    }

    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        self.flow.sink.note(received, time);
        let taken = self.flow.take(received, time);
        self.flow.sink.set_holding(self.flow.is_holding());
        taken
    }

    fn due_in(&self) -> Option<Duration> {
        if matches!(self.sender, Some(Err(_))) { Some(Duration::ZERO) } else { self.flow.due_in() }
    }

    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure> {
        self.check_sender()?;
        let wants_more = self.flow.after_batch(now);
        self.flow.sink.set_holding(self.flow.is_holding());
        self.flow.sink.after_batch();
        wants_more
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.flow.finish()?;
        self.flow.sink.set_holding(self.flow.is_holding());
        Ok(())
    }

    fn shown(&self) -> u64 {
        self.flow.shown()
    }
}

/// The run of the kernel.
pub(super) fn boot_id() -> Result<BootId, Failure> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(Failure::Proc)?;
    text.trim().parse().map_err(|error| Failure::Proc(io::Error::other(error)))
}

/// When a batch was last stored in the spool.
fn last_write(directory: &Path) -> Option<SystemTime> {
    let files = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let segments = files.filter(|file| file.path().extension().is_some_and(|is| is == "segment"));
    segments.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}

/// The positions of the previous exporter, if there was any. `since` is when it last stored events.
fn positions(
    opened: &Opened,
    boot_id: BootId,
    since: Option<SystemTime>,
    is_filtered: bool,
) -> Positions {
    match &opened.last {
        None => Positions::default(),
        Some(last) if last.boot_id == boot_id.to_bytes() => {
            Positions::after(&last.positions, last.ahead, since, is_filtered)
        }
        // The kernel has counted anew since.
        Some(_) => Positions::after(&[], 0, since, is_filtered),
    }
}

/// `is_more_lost` is whether an unknown number of records is lost in addition.
fn report_opened(opened: &Opened, is_more_lost: bool) {
    if opened.waiting > 0 {
        report(format_args!("{} records of an earlier run wait to be sent", opened.waiting));
    }
    if opened.damaged > 0 {
        complain(format_args!("the spool is damaged: {} records were lost", opened.damaged));
    }
    if is_more_lost {
        complain("the spool is damaged: an unknown number of records was lost");
    }
}
