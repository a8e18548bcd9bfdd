//! The processes of a command as spans of a trace.
//!
//! The identity of the trace is chosen before the command starts, so that the command and its
//! descendants can attach their own spans (`TRACEPARENT`). The spans are made and sent after its end.

mod context;
mod convert;
mod ids;
mod outer;
mod sampler;
mod send;

#[cfg(test)]
mod tests;

use std::time::Duration;

use proc_connector::WallClock;
use proc_connector::process::BootId;

use self::context::{Origin, TraceContext};
use self::convert::Converter;
use self::ids::SpanIds;
use self::outer::Outer;
use self::sampler::Sampler;
pub(crate) use self::send::Outcome;
use super::backoff::random;
use super::config::{BadSetting, Config, Variables};
use super::http::Client;
use super::resource::Resource;
use crate::cli::output::chart::Forest;

/// A trace that is about to begin.
#[derive(Debug)]
pub(crate) struct Trace {
    config: Config,
    origin: Origin,
    ids: SpanIds,
    clock: WallClock,
    fate: Fate,
}

/// What happens to the spans of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Sent,
    /// An outer program sends them with its own.
    SentBy(Outer),
    /// They are not sent, for this reason.
    Unsampled(&'static str),
}

impl Trace {
    /// Begins a trace, or continues the one of `TRACEPARENT` and `TRACESTATE`. Also returns why variables
    /// are ignored, if they are not valid.
    ///
    /// # Errors
    ///
    /// A variable is not UTF-8.
    pub(crate) fn new(
        config: Config,
        variables: &Variables,
    ) -> Result<(Self, Vec<String>), BadSetting> {
        let variable = |name| std::env::var_os(name);
        let (origin, problem) =
            Origin::new(variable("TRACEPARENT"), variable("TRACESTATE"), random);
        let mut problems: Vec<String> = problem.map(str::to_owned).into_iter().collect();
        let (sampler, problem) = Sampler::new(variables)?;
        problems.extend(problem);
        let trace_id = origin.trace_id();
        let outer = variable(outer::NAME).and_then(|text| Outer::parse(text.to_str()?));
        let outer = outer.filter(|outer| outer.sends(trace_id, config.shown_url()));
        let fate = match (
            sampler.refuses(trace_id, origin.parent().map(|parent| parent.is_sampled)),
            outer,
        ) {
            (Some(reason), _) => Fate::Unsampled(reason),
            (None, Some(outer)) => Fate::SentBy(outer),
            (None, None) => Fate::Sent,
        };
        let ids = SpanIds::new(random());
        Ok((Self { config, origin, ids, clock: WallClock::new(), fate }, problems))
    }

    /// Why the spans are not sent, if they are not sampled.
    pub(crate) fn unsampled(&self) -> Option<&'static str> {
        match self.fate {
            Fate::Unsampled(reason) => Some(reason),
            _ => None,
        }
    }

    /// The process id of the outer program that sends the spans.
    pub(crate) fn sent_by(&self) -> Option<u32> {
        match &self.fate {
            Fate::SentBy(outer) => Some(outer.pid()),
            _ => None,
        }
    }

    /// The variables of the command that change: each with its value, or `None` if it must be unset.
    pub(crate) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        let is_sampled = match self.fate {
            // The context of the outer program applies.
            Fate::SentBy(_) => return Vec::new(),
            Fate::Sent => true,
            Fate::Unsampled(_) => false,
        };
        let trace_id = self.origin.trace_id();
        let own = TraceContext { trace_id, span_id: self.ids.id(0), is_sampled };
        let context = match self.origin.parent() {
            // A span that is not sent cannot be a parent.
            Some(parent) if !is_sampled => TraceContext { is_sampled, ..parent },
            _ => own,
        };
        let state = self.origin.state();
        let mut variables = vec![
            ("TRACEPARENT", Some(context.to_string())),
            ("TRACESTATE", Some(state.to_owned()).filter(|state| !state.is_empty())),
        ];
        if is_sampled {
            let outer = Outer::this_program(trace_id, self.config.shown_url());
            variables.push((outer::NAME, outer.map(|outer| outer.to_string())));
        }
        variables
    }

    /// The trace id, in hexadecimal digits.
    pub(crate) fn shown_id(&self) -> String {
        format!("{:032x}", self.origin.trace_id())
    }

    /// The URL of the receiver, without credentials.
    pub(crate) fn shown_url(&self) -> &str {
        self.config.shown_url()
    }

    /// Sends the spans of all processes. Tries again for `limit` if the receiver does not accept them;
    /// `report` is called with the reason when that begins.
    pub(crate) fn send(
        self,
        forest: &Forest,
        limit: Duration,
        report: &mut dyn FnMut(&str),
    ) -> Outcome {
        let Self { config, origin, ids, clock, fate: _ } = self;
        let converter = Converter { forest, origin: &origin, ids, clock };
        let resource = Resource::of_this_machine(boot_id());
        let mut client = Client::new(config.limited(limit));
        send::send(&converter, &resource, &mut client, limit, report)
    }
}

fn boot_id() -> Option<BootId> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    text.trim().parse().ok()
}
