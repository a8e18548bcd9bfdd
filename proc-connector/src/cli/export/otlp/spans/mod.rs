//! The processes of a command as spans of a trace.
//!
//! The identity of the trace is chosen before the command starts, so that the command and its
//! descendants can attach their own spans (`TRACEPARENT`). The spans are made and sent after its end.

mod context;
mod convert;
mod ids;
mod send;

#[cfg(test)]
mod tests;

use std::time::Duration;

use proc_connector::WallClock;
use proc_connector::process::BootId;

use self::context::{Origin, TraceContext};
use self::convert::Converter;
use self::ids::SpanIds;
pub(crate) use self::send::Outcome;
use super::backoff::random;
use super::config::Config;
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
}

impl Trace {
    /// Begins a trace, or continues the one of `TRACEPARENT` and `TRACESTATE`. Also returns why these
    /// are ignored, if they are not valid.
    pub(crate) fn new(config: Config) -> (Self, Option<&'static str>) {
        let variable = |name| std::env::var_os(name);
        let (origin, problem) =
            Origin::new(variable("TRACEPARENT"), variable("TRACESTATE"), random);
        let trace = Self { config, origin, ids: SpanIds::new(random()), clock: WallClock::new() };
        (trace, problem)
    }

    /// The variables of the command: each with its value, or `None` if it must be unset.
    pub(crate) fn variables(&self) -> [(&'static str, Option<String>); 2] {
        let own = TraceContext { trace_id: self.origin.trace_id(), span_id: self.ids.id(0) };
        let state = self.origin.state();
        [
            ("TRACEPARENT", Some(own.to_string())),
            ("TRACESTATE", Some(state.to_owned()).filter(|state| !state.is_empty())),
        ]
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
        let Self { config, origin, ids, clock } = self;
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
