//! Listening: how `watch`, `record` and `stats` open a connector and pass on what it receives.

use std::io;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::{Error, Filter, ProcConnector, Received, Shutdown, WallClock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Failure;
use super::choice::Choice;
use super::parse_duration;
use super::sink::Sink;
use super::summary::Summary;

#[derive(Debug, clap::Args)]
pub(super) struct Listening {
    /// How events get here.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,

    /// How long to collect events while they keep coming: longer is cheaper, and later.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    coalesce: Option<Duration>,

    /// Receive buffer, as the number of events it holds.
    #[arg(long, value_name = "EVENTS")]
    buffer: Option<usize>,

    /// Stop after this time, such as 10s, 500ms or 1m30s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Transport {
    /// The ring where it works, otherwise the socket.
    #[default]
    Auto,
    /// Shared memory, filled by a program in the kernel.
    Ring,
    /// The queue of a netlink socket.
    Socket,
}

impl Listening {
    /// Opens a connector that a signal ends; with what the kernel can note of tasks, if wanted.
    pub(super) fn open(&self, filter: &Filter, context: bool) -> Result<ProcConnector, Failure> {
        let mut builder = ProcConnector::builder().filter(filter.clone()).context(context);
        if let Some(time) = self.coalesce {
            builder = builder.coalesce(time);
        }
        if let Some(events) = self.buffer {
            builder = builder.receive_buffer_events(events);
        }
        let transport = match self.transport {
            Transport::Auto => proc_connector::Transport::Auto,
            Transport::Ring => proc_connector::Transport::Ring,
            Transport::Socket => proc_connector::Transport::Socket,
        };
        let events = builder.transport(transport).open()?;
        end_on_signals(events.shutdown_handle())?;
        Ok(events)
    }

    /// When to stop, if that was said.
    pub(super) fn deadline(&self, started: Instant) -> Option<Instant> {
        self.duration.and_then(|duration| started.checked_add(duration))
    }

    /// Passes on what comes, until something ends it, and says how much that was.
    pub(super) fn run(
        &self,
        events: &mut ProcConnector,
        choice: &Choice,
        sink: &mut impl Sink,
    ) -> Result<Summary, Failure> {
        let started = Instant::now();
        let deadline = self.deadline(started);
        let wanted = choice.count();
        let mut shown = 0;
        while shown < wanted {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let batch = match left.into_iter().chain(sink.due_in()).min() {
                Some(left) => events.recv_batch_timeout(left),
                None => events.recv_batch(),
            };
            let batch = match batch {
                Err(Error::Shutdown) => break,
                batch => batch?,
            };
            let clock = WallClock::new();
            for received in batch {
                let time = match &received {
                    Received::Event(event) => clock.time(event.timestamp_ns()),
                    Received::Lost(_) => SystemTime::now(),
                };
                shown += u64::from(sink.take(&received, Some(time))?);
                if shown == wanted {
                    break;
                }
            }
            sink.catch_up();
            sink.flush()?;
        }
        Ok(Summary { events: shown, lost: events.stats().lost, time: started.elapsed() })
    }
}

/// Ctrl-C, or a polite request to end, ends the receive and so the loop around it.
fn end_on_signals(shutdown: Shutdown) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        for _ in &mut signals {
            if let Err(error) = shutdown.shutdown() {
                eprintln!("proc-connector: cannot stop: {error}");
            }
        }
    });
    Ok(())
}
