//! `stats`: counts events, and reports the counts of each interval.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use proc_connector::{Filter, Received, Transport};

use crate::cli::failure::Failure;
use crate::cli::host::zone;
use crate::cli::options::listen::ListenOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::sink::{Details, Item};
use crate::cli::output::statistics::block::{self, View};
use crate::cli::output::statistics::report::Report;
use crate::cli::output::statistics::screen::Screen;
use crate::cli::output::statistics::table::By;
use crate::cli::pipeline::actions::Actions;
use crate::cli::pipeline::choose::ProcessChooser;
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::stage::Stage;
use crate::cli::pipeline::tally::{Interval, Tally};
use crate::cli::pipeline::{connect, receive};
use crate::cli::shown::json;
use crate::cli::{standard, values};

/// The number of ended processes that the table keeps, and for how long. Only late events need them.
const KEEP: (usize, Duration) = (256, Duration::from_secs(1));

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write each interval as a JSON object on one line.
    #[arg(long)]
    json: bool,

    /// Set the length of an interval, such as 1s or 500ms.
    #[arg(long, value_name = "TIME", value_parser = values::interval, default_value = "1s")]
    interval: Duration,

    /// Stop after this many intervals.
    #[arg(long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    count: Option<u64>,

    /// Group ended processes by this property, in the output without --json.
    #[arg(long, value_name = "KEY", value_enum, default_value_t, conflicts_with = "json")]
    by: By,

    /// List at most this many names, users and cgroups.
    #[arg(long, value_name = "N", value_parser = values::limit, default_value_t = 10)]
    top: usize,

    #[command(flatten)]
    processes: ProcessOptions,

    #[command(flatten)]
    listen: ListenOptions,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // The table of processes needs all events. Contexts have the names of short-lived processes, which
    // end before `/proc` can be read.
    let conditions = Conditions::live(&args.processes)?;
    let mut events = connect::open(&args.listen, &conditions.filter(Filter::default())?, true)?;
    connect::report_user_space(&events);
    let identify = Identify::live()?.keep_ended(KEEP.0, KEEP.1);
    let chooser = ProcessChooser::live(&conditions, identify.table())?;
    let transport = events.stats().transport;
    let mut counting = Counting::new(args, identify, chooser, Output::new(args)?, transport);
    receive::listen(&mut events, args.listen.duration, &mut counting)?.report();
    Ok(())
}

/// The stage that counts, and writes a report at the end of each interval.
struct Counting<'a> {
    args: &'a Args,
    identify: Identify,
    chooser: ProcessChooser<'a>,
    output: Output,
    actions: Actions,
    tally: Tally,
    transport: Transport,
    /// The start of the interval, and its end.
    since: Instant,
    next: Option<Instant>,
    /// The events of all reports.
    total: u64,
    reports: u64,
}

impl<'a> Counting<'a> {
    fn new(
        args: &'a Args,
        identify: Identify,
        chooser: ProcessChooser<'a>,
        output: Output,
        transport: Transport,
    ) -> Self {
        let (actions, tally, since) = (Actions::default(), Tally::default(), Instant::now());
        Self {
            args,
            identify,
            chooser,
            output,
            actions,
            tally,
            transport,
            since,
            next: None,
            total: 0,
            reports: 0,
        }
    }

    /// Reports the interval up to `now`, and begins another.
    fn report(&mut self, now: Instant) -> Result<(), Failure> {
        let Self { args, identify, chooser, output, tally, .. } = self;
        let interval = Interval {
            time: now.saturating_duration_since(self.since),
            end: SystemTime::now(),
            transport: self.transport,
            processes: chooser.running(identify.table()),
        };
        let user_name = |uid| identify.user_name(uid).map(str::to_owned);
        output.show(&tally.report(interval, args.top, user_name))?;
        self.total += self.tally.events();
        self.reports += 1;
        self.tally = Tally::default();
        self.since = now;
        Ok(())
    }
}

impl Stage for Counting<'_> {
    fn start(&mut self, now: Instant) {
        self.since = now;
        self.next = now.checked_add(self.args.interval);
    }

    fn take(&mut self, received: &Received<'_>, _: Option<SystemTime>) -> Result<bool, Failure> {
        let Self { identify, chooser, actions, tally, .. } = self;
        let subject = identify.apply(received);
        let table = identify.table();
        chooser.follow(table, Some(received));
        let process = identify.process(subject);
        let item = Item {
            received,
            time: None,
            process,
            user: None,
            is_over: None,
            end: None,
            details: Details::default(),
        };
        if chooser.chooses(&item) {
            actions.each(received, table, |action| tally.add(&action));
        }
        Ok(true)
    }

    fn due_in(&self) -> Option<Duration> {
        let next = self.next.map(|next| next.saturating_duration_since(Instant::now()));
        next.into_iter().chain(self.identify.rescan_in()).min()
    }

    fn after_batch(&mut self, now: Instant) -> Result<bool, Failure> {
        if self.identify.rescan_if_due().is_some() {
            let Self { identify, actions, tally, .. } = self;
            actions.each_deferred(identify.changes(), |action| tally.add(&action));
            self.chooser.follow(self.identify.table(), None);
        }
        if self.next.is_some_and(|next| next <= now) {
            self.report(now)?;
            // Intervals end at multiples of their length; those that have passed are left out.
            while let Some(passed) = self.next.filter(|next| *next <= now) {
                self.next = passed.checked_add(self.args.interval);
            }
        }
        Ok(self.args.count != Some(self.reports))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let Self { actions, tally, .. } = self;
        actions.rest(|action| tally.add(&action));
        self.report(Instant::now())
    }

    fn shown(&self) -> u64 {
        self.total
    }
}

/// The format of the reports, on standard output.
enum Output {
    Json,
    Plain(View),
    Live(Screen),
}

impl Output {
    fn new(args: &Args) -> Result<Self, Failure> {
        // Fails now if standard output is closed, not after the first interval.
        drop(standard::output()?);
        // A dumb terminal cannot move the cursor back.
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let view = View { zone: zone::local(), by: args.by };
        Ok(if args.json {
            Self::Json
        } else if io::stdout().is_terminal() && !is_dumb {
            Self::Live(Screen::new(view))
        } else {
            Self::Plain(view)
        })
    }

    fn show(&mut self, report: &Report) -> Result<(), Failure> {
        match self {
            Self::Json => {
                let mut line = Vec::new();
                json::line(&mut line, report)?;
                let mut output = standard::output()?;
                output.write_all(&line)?;
                output.flush()?;
            }
            Self::Plain(view) => {
                let mut output = standard::text_output()?;
                for line in block::lines(report, *view, block::PLAIN_WIDTH, usize::MAX) {
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
