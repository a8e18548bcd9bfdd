//! `watch`: events as they happen.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use proc_connector::{
    Error, EventMask, Filter, ProcConnector, Received, Shutdown, TooManyTgids, WallClock,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::human::Human;
use super::json::Json;
use super::show::Show;
use super::{Failure, parse_duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,

    /// Only these kinds: fork, exec, uid, gid, sid, ptrace, comm, coredump, exit, or all.
    #[arg(long, value_name = "LIST", default_value = "all", hide_default_value = true)]
    events: EventMask,

    /// Only processes: leave out the threads that are not a process's first.
    #[arg(long)]
    processes: bool,

    /// Of exits only those with a failure.
    #[arg(long)]
    failed: bool,

    /// Only what these processes do: their forks, execs, threads and exits.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,

    /// How events get here.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,

    /// How long to collect events while they keep coming: longer is cheaper, and later.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    coalesce: Option<Duration>,

    /// Receive buffer, as the number of events it holds.
    #[arg(long, value_name = "EVENTS")]
    buffer: Option<usize>,

    /// Stop after this many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Stop after this time, such as 10s, 500ms or 1m30s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Transport {
    /// The best that this kernel allows.
    #[default]
    Auto,
    /// The queue of a netlink socket.
    Socket,
}

impl Args {
    fn filter(&self) -> Result<Filter, TooManyTgids> {
        let mut filter = if self.events == EventMask::EVENTS {
            Filter::default()
        } else {
            Filter::new(self.events)
        };
        if self.processes {
            filter = filter.processes_only();
        }
        if self.failed {
            filter = filter.failures_only();
        }
        if !self.pid.is_empty() {
            filter = filter.only_tgids(&self.pid)?;
        }
        Ok(filter)
    }

    fn open(&self) -> Result<ProcConnector, Failure> {
        let mut builder = ProcConnector::builder().filter(self.filter()?);
        if let Some(time) = self.coalesce {
            builder = builder.coalesce(time);
        }
        if let Some(events) = self.buffer {
            builder = builder.receive_buffer_events(events);
        }
        match self.transport {
            // There is one so far.
            Transport::Auto | Transport::Socket => Ok(builder.open()?),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut events = args.open()?;
    end_on_signals(events.shutdown_handle())?;
    let started = Instant::now();
    let shown = if args.json {
        watch(args, &mut events, Json::new(BufWriter::new(io::stdout().lock())))
    } else {
        watch(args, &mut events, Human::new(BufWriter::new(anstream::stdout().lock())))
    }?;
    summarise(shown, events.stats().lost, started.elapsed());
    Ok(())
}

/// Shows events until something ends it, and says how many there were.
fn watch(args: &Args, events: &mut ProcConnector, mut output: impl Show) -> Result<u64, Failure> {
    let deadline = args.duration.and_then(|duration| Instant::now().checked_add(duration));
    let wanted = args.count.unwrap_or(u64::MAX);
    let mut shown = 0;
    while shown < wanted {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let batch = match left {
            Some(Duration::ZERO) => break,
            Some(left) => events.recv_batch_timeout(left),
            None => events.recv_batch(),
        };
        let batch = match batch {
            Err(Error::Shutdown) => break,
            batch => batch?,
        };
        let clock = WallClock::new();
        for received in batch {
            if matches!(received, Received::Event(_)) {
                shown += 1;
            }
            output.show(&received, &clock)?;
            if shown == wanted {
                break;
            }
        }
        output.flush()?;
    }
    Ok(shown)
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

fn summarise(shown: u64, lost: u64, time: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let rate = shown as f64 / time.as_secs_f64().max(f64::EPSILON);
    // The terminal may be gone by now, which is no reason to fail.
    let _ = writeln!(
        io::stderr(),
        "{shown} events, {lost} lost, {:.1} s, {rate:.0} events/s",
        time.as_secs_f64(),
    );
}
