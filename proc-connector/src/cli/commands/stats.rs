//! `stats`: how much of what happens, who does it, and what is lost, interval by interval.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use proc_connector::process::ProcessTable;
use proc_connector::{Error, Filter, ProcConnector};

use crate::cli::Failure;
use crate::cli::host::privileges;
use crate::cli::host::users::Users;
use crate::cli::output::statistics::block;
use crate::cli::output::statistics::report::Report;
use crate::cli::output::statistics::screen::Screen;
use crate::cli::pipeline::machine;
use crate::cli::pipeline::receive::{Listening, until_now};
use crate::cli::pipeline::summary::Summary;
use crate::cli::pipeline::tally::Tally;
use crate::cli::shown::{json, stdout};
use crate::cli::standard;
use crate::cli::values;

/// How many processes that ended are remembered, for events that come late: nothing asks for them.
const KEEP: (usize, Duration) = (256, Duration::from_secs(1));

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object an interval, a line each.
    #[arg(long)]
    json: bool,

    /// How long an interval is, such as 1s or 500ms.
    #[arg(long, value_name = "TIME", value_parser = parse_interval, default_value = "1s")]
    interval: Duration,

    /// Stop after so many intervals.
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    count: Option<u64>,

    /// How many names and users to list at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    #[command(flatten)]
    listening: Listening,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = values::duration(text)?;
    if interval < Duration::from_millis(10) {
        return Err("an interval has 10ms or more".to_owned());
    }
    Ok(interval)
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // All events, which the table of processes wants; and who acted, because a process that lives
    // for a millisecond has no name otherwise.
    let mut events = args.listening.open(&Filter::default(), true)?;
    let table = machine::processes()?.keep_ended(KEEP.0, KEEP.1);
    let summary = show(args, &mut events, table)?;
    summary.tell();
    Ok(())
}

fn show(
    args: &Args,
    events: &mut ProcConnector,
    mut table: ProcessTable,
) -> Result<Summary, Failure> {
    let (mut output, mut users) = (Output::new(args)?, Users::default());
    privileges::give_up();
    let started = Instant::now();
    let deadline = args.listening.deadline(started);
    let (mut since, mut next) = (started, started.checked_add(args.interval));
    let mut tell = |tally: &Tally, time: Duration, processes: usize| {
        output.show(&tally.report(time, SystemTime::now(), processes, args.top, &mut users))
    };
    let (mut tally, mut total, mut shown) = (Tally::default(), 0, 0);
    loop {
        let now = Instant::now();
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        if is_over || next.is_some_and(|next| next <= now) {
            if is_over {
                take_rest(events, &mut tally, &mut table)?;
            }
            let time = now.duration_since(since);
            total += tally.events();
            tell(&tally, time, table.len())?;
            shown += 1;
            if is_over || args.count == Some(shown) {
                break;
            }
            (tally, since) = (Tally::default(), now);
            // In step with the clock; intervals that were slept through are left out.
            while let Some(passed) = next.filter(|next| *next <= now) {
                next = passed.checked_add(args.interval);
            }
        }
        let until = |time: Instant| time.saturating_duration_since(now);
        let waits = [next.map(until), deadline.map(until), table.rescan_in()];
        let batch = match waits.into_iter().flatten().min() {
            Some(time) => events.recv_batch_timeout(time),
            None => events.recv_batch(),
        };
        let batch = match batch {
            Err(Error::Shutdown) => {
                // What the interval has so far.
                take_rest(events, &mut tally, &mut table)?;
                let time = since.elapsed();
                total += tally.events();
                tell(&tally, time, table.len())?;
                break;
            }
            batch => batch?,
        };
        for received in batch {
            tally.take(&received, &mut table);
        }
        // It is tried again, if it could not be done.
        let _ = table.rescan_if_due();
    }
    Ok(Summary { events: total, lost: events.stats().lost, time: started.elapsed() })
}

fn take_rest(
    events: &mut ProcConnector,
    tally: &mut Tally,
    table: &mut ProcessTable,
) -> Result<(), Failure> {
    until_now(events, |received| {
        tally.take(received, table);
        Ok(true)
    })
}

/// Where reports go.
enum Output {
    Json(io::Stdout),
    Plain,
    Live(Screen),
}

impl Output {
    fn new(args: &Args) -> Result<Self, Failure> {
        drop(standard::output()?);
        // Such a terminal cannot go back to what it has written.
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Ok(if args.json {
            Self::Json(io::stdout())
        } else if io::stdout().is_terminal() && !is_dumb {
            Self::Live(Screen::new())
        } else {
            Self::Plain
        })
    }

    fn show(&mut self, report: &Report) -> Result<(), Failure> {
        match self {
            Self::Json(output) => {
                let mut line = Vec::new();
                json::line(&mut line, report)?;
                output.write_all(&line)?;
                output.flush()?;
            }
            Self::Plain => {
                let mut output = stdout()?;
                for line in block::lines(report, block::PLAIN_WIDTH, usize::MAX) {
                    output.line(format_args!("{line}"))?;
                }
                output.line(format_args!(""))?;
                output.flush()?;
            }
            Self::Live(screen) => screen.draw(report)?,
        }
        Ok(())
    }
}
