//! `export otlp-metrics`: sends counts of events and of ended processes at intervals.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::{Filter, Received};

use super::otlp::boot_id;
use crate::cli::export::metrics::Metrics;
use crate::cli::export::otlp::config::{Config, Signal, Variables, metric_interval};
use crate::cli::export::otlp::http::{Answer, Client, Deliver};
use crate::cli::export::otlp::metrics::request;
use crate::cli::export::otlp::resource::Resource;
use crate::cli::failure::Failure;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::metrics::MetricsOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::options::receiver::ReceiverOptions;
use crate::cli::pipeline::choose::ProcessChooser;
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::measure::{KEEP, Measure, Measured};
use crate::cli::pipeline::stage::Stage;
use crate::cli::pipeline::{connect, receive};
use crate::cli::shown::{complain, report};
use crate::cli::values;

/// How long the last request may take at the end.
const GRACE: Duration = Duration::from_secs(5);

const INTERVAL_HELP: &str = "\
Set the time between two requests, such as 10s. The default is OTEL_METRIC_EXPORT_INTERVAL in \
milliseconds, or 60s";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    // The name of the variable in a comment would need marks, which the help would show.
    #[arg(long, value_name = "TIME", value_parser = values::interval, help = INTERVAL_HELP)]
    interval: Option<Duration>,

    #[command(flatten)]
    metrics: MetricsOptions,

    #[command(flatten)]
    receiver: ReceiverOptions,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Args { interval, metrics, receiver, processes, listen } = args;
    let conditions = Conditions::live(processes)?;
    let Some(config) = receiver.config(Signal::Metrics)? else {
        report("nothing to do: OTEL_SDK_DISABLED is true");
        return Ok(());
    };
    let interval = match interval {
        Some(interval) => *interval,
        None => metric_interval(&Variables::of_this_process())
            .map_err(|error| Failure::Setting(error.to_string()))?,
    };
    let boot_id = boot_id()?;
    let mut events = connect::open(listen, &conditions.filter(Filter::default())?, true)?;
    connect::report_user_space(&events);
    let identify = Identify::live()?.keep_ended(KEEP.0, KEEP.1);
    let chooser = ProcessChooser::live(&conditions, identify.table())?;
    let transport = events.stats().transport;
    let metrics = Metrics::new(metrics.groups);
    let started = metrics.started();
    let measured = Measured::new(identify, chooser, metrics, transport);
    let mut export = Export {
        measured: &measured,
        stage: measured.stage(),
        interval,
        next: None,
        started,
        resource: Resource::of_this_machine(Some(boot_id)),
        config: Some(config),
        sender: None,
    };
    let listened = receive::listen(&mut events, listen.duration, &mut export);
    export.end();
    listened?.report();
    Ok(())
}

/// Counts events, and sends the counts at the end of each interval.
struct Export<'m, 'a> {
    measured: &'m Measured<'a>,
    stage: Measure<'m, 'a>,
    interval: Duration,
    next: Option<Instant>,
    started: SystemTime,
    resource: Resource,
    /// Present until the sender starts.
    config: Option<Config>,
    sender: Option<Result<Sender, Failure>>,
}

impl Export<'_, '_> {
    fn request(&self) -> Vec<u8> {
        request(&self.measured.families(), &self.resource, self.started, SystemTime::now())
    }

    /// Sends the last counts.
    fn end(mut self) {
        let request = self.request();
        if let Some(Ok(Sender { requests, ended })) = self.sender.take() {
            // If an earlier request is still under way, this one waits for it, within the time limit.
            let waits = thread::spawn(move || requests.send(request));
            let _ = ended.recv_timeout(GRACE);
            drop(waits);
        }
    }
}

impl Stage for Export<'_, '_> {
    /// Starts the sender, after this program has dropped its privileges.
    fn start(&mut self, now: Instant) {
        self.stage.start(now);
        self.next = now.checked_add(self.interval);
        self.sender = self.config.take().map(|config| Sender::start(Client::new(config)));
    }

    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> Result<bool, Failure> {
        self.stage.take(received, time)
    }

    fn due_in(&self) -> Option<Duration> {
        if matches!(self.sender, Some(Err(_))) {
            return Some(Duration::ZERO);
        }
        let next = self.next.map(|next| next.saturating_duration_since(Instant::now()));
        next.into_iter().chain(self.stage.due_in()).min()
    }

    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure> {
        let wants_more = self.stage.after_batch(now)?;
        if let Some(Err(_)) = &self.sender {
            self.sender.take().transpose()?;
        }
        if self.next.is_some_and(|next| next <= now) {
            if let Some(Ok(sender)) = &self.sender {
                // The counts are cumulative: if a request is under way, the next one has all of them.
                let _ = sender.requests.try_send(self.request());
            }
            while let Some(passed) = self.next.filter(|next| *next <= now) {
                self.next = passed.checked_add(self.interval);
            }
        }
        Ok(wants_more)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.stage.finish()
    }

    fn shown(&self) -> u64 {
        self.stage.shown()
    }
}

/// A thread that sends requests, until there are no more.
struct Sender {
    requests: SyncSender<Vec<u8>>,
    /// Disconnected at the end of the thread.
    ended: Receiver<()>,
}

impl Sender {
    fn start(mut client: Client) -> Result<Self, Failure> {
        let (requests, receiver) = sync_channel::<Vec<u8>>(0);
        let (end, ended) = channel();
        let send = move || {
            let _end = end;
            let mut trouble = None;
            for request in receiver {
                let answer = client.deliver(&request);
                report_answer(answer, &mut trouble);
            }
        };
        thread::Builder::new().name("sender".to_owned()).spawn(send).map_err(Failure::Thread)?;
        Ok(Self { requests, ended })
    }
}

/// Reports trouble when it begins, when it changes, and when it ends.
fn report_answer(answer: Answer, trouble: &mut Option<String>) {
    let now = match answer {
        Answer::Accepted { rejected: 0, .. } => None,
        Answer::Accepted { rejected, message } => {
            Some(format!("the receiver rejected {rejected} data points: {message}"))
        }
        Answer::Retry { reason, .. } | Answer::Misconfigured { reason, .. } => {
            Some(format!("the receiver did not accept metrics: {reason}"))
        }
        Answer::Failed { reason } | Answer::Refused { reason } => {
            Some(format!("the receiver refused the metrics: {reason}"))
        }
        Answer::TooLarge => {
            Some("the request is too large for the receiver: choose fewer with --groups".to_owned())
        }
    };
    if *trouble != now {
        match &now {
            Some(now) => complain(now),
            None => complain("the receiver accepts metrics again"),
        }
        *trouble = now;
    }
}
