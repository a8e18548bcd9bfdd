//! Listening: how `watch`, `record` and `stats` open a connector and pass on what it receives.

use std::fs;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use proc_connector::program::end_on_signals;
use proc_connector::{Error, Filter, ProcConnector, Received, WallClock};
use sd_notify::NotifyState;

use super::summary::Summary;
use crate::cli::Failure;
use crate::cli::cause::Cause;
use crate::cli::host::privileges;
use crate::cli::options::events::Choice;
use crate::cli::output::sink::Sink;
use crate::cli::shown::complain;
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct Listening {
    /// How events get here.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,

    /// How long to collect events while they keep coming, such as 5ms: longer is cheaper, and later.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    coalesce: Option<Duration>,

    /// Receive buffer, as the number of events it holds. Where the kernel grants fewer, a line on
    /// standard error says how many.
    #[arg(long, value_name = "EVENTS", value_parser = values::capacity, allow_negative_numbers = true)]
    buffer: Option<usize>,

    /// Stop after this time, such as 10s, 500ms or 1m30s.
    #[arg(long, value_name = "TIME", value_parser = values::positive_duration)]
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum Transport {
    /// The ring where it works, otherwise the socket.
    #[default]
    Auto,
    /// Shared memory, filled by a program in the kernel.
    Ring,
    /// The queue of a netlink socket.
    Socket,
}

impl Listening {
    /// Opens a connector that a signal ends, and says that it listens; with what the kernel can
    /// note of tasks, if wanted.
    pub(crate) fn open(&self, filter: &Filter, context: bool) -> Result<ProcConnector, Failure> {
        WallClock::try_new().map_err(Failure::Clock)?;
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
        report_granted(self.buffer, &events);
        end_on_signals(&events.shutdown_handle()).map_err(Failure::Signals)?;
        // A service manager, if there is one, has no other way to know.
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            let error = Cause(&error);
            complain(format_args!("cannot report to the service manager: {error}"));
        }
        Ok(events)
    }

    /// When to stop, if that was said.
    pub(crate) fn deadline(&self, started: Instant) -> Option<Instant> {
        self.duration.and_then(|duration| started.checked_add(duration))
    }

    /// Passes on what comes, until something ends it, and says how much that was.
    pub(crate) fn run(
        &self,
        events: &mut ProcConnector,
        choice: &Choice,
        sink: &mut impl Sink,
    ) -> Result<Summary, Failure> {
        privileges::give_up();
        let started = Instant::now();
        let deadline = self.deadline(started);
        let mut passing = Passing { sink, wanted: choice.count(), shown: 0 };
        while passing.wants_more() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            let batch = match left.into_iter().chain(passing.sink.due_in()).min() {
                Some(left) => events.recv_batch_timeout(left),
                None => events.recv_batch(),
            };
            let batch = match batch {
                Err(Error::Shutdown) => break,
                batch => batch?,
            };
            let clock = WallClock::new();
            for received in batch {
                if !passing.pass(&received, &clock)? {
                    break;
                }
            }
            passing.sink.catch_up();
            passing.sink.flush()?;
        }
        if passing.wants_more() {
            let clock = WallClock::new();
            until_now(events, |received| passing.pass(received, &clock))?;
            passing.sink.flush()?;
        }
        Ok(Summary { events: passing.shown, lost: events.stats().lost, time: started.elapsed() })
    }
}

/// Passes events on, and counts those that are shown.
struct Passing<'a, S> {
    sink: &'a mut S,
    wanted: u64,
    shown: u64,
}

impl<S: Sink> Passing<'_, S> {
    fn wants_more(&self) -> bool {
        self.shown < self.wanted
    }

    /// Whether more is wanted after that.
    fn pass(&mut self, received: &Received<'_>, clock: &WallClock) -> io::Result<bool> {
        let time = match received {
            Received::Event(event) => clock.time(event.timestamp_ns()),
            Received::Lost(_) => SystemTime::now(),
        };
        self.shown += u64::from(self.sink.take(received, Some(time))?);
        Ok(self.wants_more())
    }
}

/// Takes what is queued at the end and happened before it, for as long as that is wanted. The
/// connector does not wait any more after that.
pub(crate) fn until_now(
    events: &mut ProcConnector,
    mut take: impl FnMut(&Received<'_>) -> io::Result<bool>,
) -> Result<(), Failure> {
    let now = monotonic_ns();
    events.set_nonblocking()?;
    loop {
        let batch = match events.recv_batch() {
            Err(Error::WouldBlock) => return Ok(()),
            batch => batch?,
        };
        let (mut any, mut later) = (false, false);
        for received in batch {
            if matches!(&received, Received::Event(event) if event.timestamp_ns() > now) {
                later = true;
                continue;
            }
            any = true;
            if !take(&received)? {
                return Ok(());
            }
        }
        // On a busy machine there may always be more. A batch with nothing in it at all, as of
        // acknowledgements to others, says nothing of what follows.
        if later && !any {
            return Ok(());
        }
    }
}

/// The clock of the events' time stamps.
pub(crate) fn monotonic_ns() -> u64 {
    WallClock::now_ns()
}

/// Reports a buffer that holds fewer events than requested.
pub(crate) fn report_granted(asked: Option<usize>, events: &ProcConnector) {
    let stats = events.stats();
    let holds = stats.receive_buffer_events;
    let Some(asked) = asked.filter(|&asked| holds < asked) else { return };
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    let limit = limit.trim();
    // The kernel doubles the requested size, and the limit applies to the requested one.
    let is_limited = limit.parse().is_ok_and(|limit: usize| stats.receive_buffer <= 2 * limit);
    let reason = if is_limited {
        format!("net.core.rmem_max is {limit}, and only CAP_NET_ADMIN allows more")
    } else {
        "a socket has no larger one".to_owned()
    };
    complain(format_args!(
        "the receive buffer holds {holds} events, not the {asked} asked for: {reason}"
    ));
}
