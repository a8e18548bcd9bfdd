//! Options for the spans of a trace.

use std::time::Duration;

use crate::cli::export::otlp::config::{Signal, Variables};
use crate::cli::export::otlp::spans::{Outcome, Trace};
use crate::cli::failure::Failure;
use crate::cli::options::receiver::ReceiverOptions;
use crate::cli::output::chart::Forest;
use crate::cli::shown::{complain, report};
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct SpanOptions {
    /// Send a span for each process to a receiver of OTLP/HTTP after the command has ended. The trace
    /// is that of TRACEPARENT, or a new one. If TRACEPARENT is not sampled, nothing is sent. The command
    /// gets TRACEPARENT with its own span.
    #[arg(long)]
    otlp: bool,

    #[command(flatten)]
    receiver: ReceiverOptions,

    /// Try for this time to send the spans (requires --otlp). Ctrl-C ends it early.
    #[arg(long, value_name = "TIME", value_parser = values::duration, requires = "otlp")]
    #[arg(default_value = "30s")]
    grace: Duration,
}

/// A trace that was begun, and how to send it.
#[derive(Debug)]
pub(crate) struct Spans {
    trace: Trace,
    grace: Duration,
}

impl SpanOptions {
    /// Begins a trace, if its spans are to be sent. Reports why they are not; if an outer program sends
    /// them, unless `quiet`.
    ///
    /// # Errors
    ///
    /// A variable or option has a value that cannot be used.
    pub(crate) fn begin(&self, quiet: bool) -> Result<Option<Spans>, Failure> {
        if !self.otlp {
            return if self.receiver.are_default() {
                Ok(None)
            } else {
                Err(Failure::Contradiction("--endpoint and --header-file require --otlp"))
            };
        }
        let Some(config) = self.receiver.config(Signal::Traces)? else {
            complain("no spans are sent: OTEL_SDK_DISABLED is true");
            return Ok(None);
        };
        let (trace, problems) = Trace::new(config, &Variables::of_this_process())
            .map_err(|error| Failure::Setting(error.to_string()))?;
        problems.into_iter().for_each(complain);
        if let Some(reason) = trace.unsampled() {
            complain(format_args!("no spans are sent: {reason}"));
        } else if let Some(pid) = trace.sent_by().filter(|_| !quiet) {
            report(format_args!("the outer trace --otlp (process {pid}) sends the spans"));
        }
        Ok(Some(Spans { trace, grace: self.grace }))
    }
}

impl Spans {
    /// The variables of the command that change: each with its value, or `None` if it must be unset.
    pub(crate) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        self.trace.variables()
    }

    /// Whether this program sends the spans.
    pub(crate) fn are_sent_here(&self) -> bool {
        self.trace.unsampled().is_none() && self.trace.sent_by().is_none()
    }

    /// Sends the spans if [`Self::are_sent_here`], and reports those that are missing. Reports success unless `quiet`.
    pub(crate) fn send(self, forest: &Forest, quiet: bool) {
        if !self.are_sent_here() {
            return;
        }
        let Self { trace, grace } = self;
        let (id, url) = (trace.shown_id(), trace.shown_url().to_owned());
        let mut on_trouble = |reason: &str| {
            complain(format_args!("trying for {grace:?} to send the spans: {reason}"));
        };
        let Outcome { accepted, missing, reason } = trace.send(forest, grace, &mut on_trouble);
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        if missing > 0 {
            let all = accepted + missing;
            complain(format_args!("{missing} of {all} spans of trace {id} are missing{reason}"));
        } else if !quiet {
            let s = if accepted == 1 { "" } else { "s" };
            report(format_args!("{accepted} span{s} of trace {id} sent to {url}{reason}"));
        }
    }
}
