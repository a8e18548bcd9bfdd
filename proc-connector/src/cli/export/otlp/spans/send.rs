//! Sending the spans of a trace, for a bounded time.

use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::super::attributes::SCHEMA_URL;
use super::super::backoff::{Backoff, random};
use super::super::gzip;
use super::super::http::{Answer, Deliver};
use super::super::resource::Resource;
use super::convert::{Converter, text};

/// A request has at most this many spans, and bytes before compression.
const SPANS: usize = 1_000;
const BYTES: usize = 1 << 20;

/// What became of the spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The spans that the receiver has accepted.
    pub(crate) accepted: usize,
    /// The spans that it has refused, or that were not sent.
    pub(crate) missing: usize,
    /// Why spans are missing, or a warning of the receiver.
    pub(crate) reason: Option<String>,
}

pub(super) fn send(
    converter: &Converter<'_>,
    resource: &Resource,
    client: &mut dyn Deliver,
    limit: Duration,
    report: &mut dyn FnMut(&str),
) -> Outcome {
    let mut sender = Sender {
        resource,
        client,
        deadline: Instant::now() + limit,
        backoff: Backoff::default(),
        report,
        is_reported: false,
        outcome: Outcome::default(),
    };
    let mut next = 0;
    while next < converter.len() {
        let batch = batch(converter, next);
        next += batch.len();
        if !sender.send(batch) {
            sender.outcome.missing += converter.len() - next;
            break;
        }
    }
    sender.outcome
}

/// The spans of the next request. It has at least one.
fn batch(converter: &Converter<'_>, first: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut size = 0;
    for index in first..converter.len().min(first + SPANS) {
        let span = converter.span(index);
        size += span.encoded_len();
        if size > BYTES && !spans.is_empty() {
            break;
        }
        spans.push(span);
    }
    spans
}

struct Sender<'a> {
    resource: &'a Resource,
    client: &'a mut dyn Deliver,
    deadline: Instant,
    backoff: Backoff,
    report: &'a mut dyn FnMut(&str),
    is_reported: bool,
    outcome: Outcome,
}

impl Sender<'_> {
    /// Sends spans. Returns whether the time permits to send more.
    fn send(&mut self, spans: Vec<Span>) -> bool {
        let body = self.encode(spans.clone());
        loop {
            match self.client.deliver(&body) {
                Answer::Accepted { rejected, message } => {
                    self.backoff.succeeded();
                    let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(spans.len());
                    self.outcome.accepted += spans.len() - rejected;
                    self.outcome.missing += rejected;
                    if rejected > 0 || !message.is_empty() {
                        self.outcome.reason = Some(format!("the receiver reports: {message:?}"));
                    }
                    return true;
                }
                Answer::Failed { reason } | Answer::Refused { reason } => {
                    return self.give_up(spans.len(), reason, true);
                }
                // Nothing changes while the user waits, and the rest would fail alike.
                Answer::Misconfigured { reason, .. } => {
                    return self.give_up(spans.len(), reason, false);
                }
                Answer::TooLarge if spans.len() > 1 => {
                    let mut first = spans;
                    let second = first.split_off(first.len() / 2);
                    let count = second.len();
                    return if self.send(first) {
                        self.send(second)
                    } else {
                        self.outcome.missing += count;
                        false
                    };
                }
                Answer::TooLarge => {
                    let reason = "a span is larger than the receiver permits".to_owned();
                    return self.give_up(1, reason, true);
                }
                Answer::Retry { after, reason } => {
                    let left = self.deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() || after.is_some_and(|after| after > left) {
                        return self.give_up(spans.len(), reason, false);
                    }
                    if !std::mem::replace(&mut self.is_reported, true) {
                        (self.report)(&reason);
                    }
                    thread::sleep(self.backoff.after_failure(after, random()).min(left));
                }
            }
        }
    }

    fn give_up(&mut self, missing: usize, reason: String, continues: bool) -> bool {
        self.outcome.missing += missing;
        self.outcome.reason = Some(reason);
        continues
    }

    fn encode(&self, spans: Vec<Span>) -> Vec<u8> {
        let attributes = self.resource.attributes();
        let resource = v1::Resource {
            attributes: attributes.map(|(key, value)| text(key, value.to_owned())).collect(),
            ..v1::Resource::default()
        };
        let scope = InstrumentationScope {
            name: "proc-connector".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans =
            ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA_URL.to_owned() };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope_spans],
                schema_url: SCHEMA_URL.to_owned(),
            }],
        };
        gzip::compress(&request.encode_to_vec())
    }
}
