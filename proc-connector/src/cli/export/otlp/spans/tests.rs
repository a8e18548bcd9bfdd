//! Spans of a made-up forest, decoded from the requests.

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use proc_connector::{ExitStatus, WallClock};
use prost::Message;

use super::context::{Origin, TraceContext};
use super::convert::Converter;
use super::ids::SpanIds;
use super::send::{Outcome, send};
use crate::cli::export::otlp::http::{Answer, Deliver};
use crate::cli::export::otlp::resource::Resource;
use crate::cli::output::chart::forest::{Details, Forest, Life, Loss, Program};

const PARENT: TraceContext = TraceContext { trace_id: 0xabc, span_id: 0x123, is_sampled: true };

/// A receiver that gives answers, the last of them again and again.
struct Receiver {
    answers: Vec<Answer>,
    requests: Vec<ExportTraceServiceRequest>,
}

impl Deliver for Receiver {
    fn deliver(&mut self, body: &[u8]) -> Answer {
        let mut request = Vec::new();
        GzDecoder::new(body).read_to_end(&mut request).expect("gzip");
        self.requests.push(ExportTraceServiceRequest::decode(&*request).expect("protobuf"));
        let index = self.requests.len().min(self.answers.len()) - 1;
        self.answers[index].clone()
    }
}

fn accepted() -> Answer {
    Answer::Accepted { rejected: 0, message: String::new() }
}

fn retry(after: Option<Duration>) -> Answer {
    Answer::Retry { after, reason: "busy".to_owned() }
}

/// What a receiver gets, and the outcome and the reported reasons.
fn sent(
    forest: &Forest,
    limit: Duration,
    answers: Vec<Answer>,
) -> (Receiver, Outcome, Vec<String>) {
    let mut receiver = Receiver { answers, requests: Vec::new() };
    let origin = Origin::Continued { parent: PARENT, state: "a=b".to_owned() };
    let ids = SpanIds::new(5);
    let converter = Converter { forest, origin: &origin, ids, clock: WallClock::new() };
    let mut reported = Vec::new();
    let mut report = |reason: &str| reported.push(reason.to_owned());
    let outcome = send(&converter, &Resource::default(), &mut receiver, limit, &mut report);
    (receiver, outcome, reported)
}

fn spans(receiver: &Receiver) -> Vec<Span> {
    let resources = receiver.requests.iter().flat_map(|request| &request.resource_spans);
    resources
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}

fn all_spans(forest: &Forest) -> Vec<Span> {
    spans(&sent(forest, Duration::ZERO, vec![accepted()]).0)
}

fn attributes(attributes: &[KeyValue]) -> HashMap<&str, Value> {
    let value =
        |pair: &KeyValue| pair.value.clone().and_then(|value| value.value).expect("a value");
    let map: HashMap<&str, Value> =
        attributes.iter().map(|pair| (&*pair.key, value(pair))).collect();
    assert_eq!(map.len(), attributes.len(), "a key occurs twice");
    map
}

fn text(content: &str) -> Value {
    Value::StringValue(content.to_owned())
}

fn program(name: &str, at_ns: u64, args: &[&str]) -> Program {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    let path = Some(format!("/usr/bin/{name}"));
    let details = Details { path, args, ..Details::default() };
    Program {
        at_ns: Some(at_ns),
        name: Some(name.to_owned()),
        command: None,
        details: Some(Box::new(details)),
    }
}

/// `make`, which starts a shell that fails as `cc`, and a process that is killed.
fn forest() -> Forest {
    let life = |tgid, creator, start, end, status| Life {
        tgid,
        creator,
        parent_tgid: Some(tgid - 1),
        start_ns: Some(start),
        end_ns: end,
        status: Some(ExitStatus::from_raw(status)).filter(|_| end.is_some()),
        ..Life::default()
    };
    let mut lives = vec![
        life(100, None, 1_000, Some(9_000), 0x0200),
        life(101, Some(0), 2_000, Some(5_000), 0x0100),
        life(102, Some(1), 3_000, Some(4_000), 9),
        life(103, Some(0), 6_000, None, 0),
    ];
    lives[0].programs = vec![program("make", 1_100, &["make", "-j 2"])];
    lives[1].programs = vec![program("sh", 2_100, &["sh"]), program("cc", 2_200, &["cc", "a.c"])];
    lives[2].inherited = Some("cc".to_owned());
    lives[2].parent = Some(0);
    Forest { lives, losses: Vec::new(), begin_ns: 1_000, end_ns: 9_000, cores: None }
}

#[test]
fn the_tree_of_spans_is_that_of_the_processes() {
    let spans = all_spans(&forest());
    let [make, cc, killed, running] = spans.as_slice() else { panic!("{spans:?}") };
    for span in &spans {
        assert_eq!(span.trace_id, 0xabc_u128.to_be_bytes());
        assert_eq!((span.span_id.len(), span.trace_state.as_str()), (8, "a=b"));
        // The command has a parent in another program, as its flags say.
        assert_eq!(span.flags, if std::ptr::eq(span, make) { 0x301 } else { 0x101 });
    }
    assert_eq!(make.parent_span_id, 0x123_u64.to_be_bytes());
    assert_eq!(cc.parent_span_id, make.span_id);
    assert_eq!(killed.parent_span_id, cc.span_id);
    assert_eq!(running.parent_span_id, make.span_id);
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["make", "cc", "cc", "pid 103"]);
    let length = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano;
    assert_eq!(spans.iter().map(length).collect::<Vec<_>>(), [8_000, 3_000, 1_000, 3_000]);
    assert_eq!(cc.start_time_unix_nano - make.start_time_unix_nano, 1_000);
}

#[test]
fn a_failure_is_the_status_of_a_span() {
    let spans = all_spans(&forest());
    let status = |index: usize| {
        let status = spans[index].status.clone()?;
        Some((status.code, status.message))
    };
    assert_eq!(status(0), Some((2, "exit 2".to_owned())));
    assert_eq!(status(2), Some((2, "killed by SIGKILL".to_owned())));
    assert_eq!(status(3), None);
    let of = |index: usize| attributes(&spans[index].attributes);
    assert_eq!(of(0)["process.exit.code"], Value::IntValue(2));
    assert_eq!(of(0)["error.type"], text("2"));
    assert_eq!(of(2)["proc_connector.exit.signal"], Value::IntValue(9));
    assert_eq!(of(2)["error.type"], text("SIGKILL"));
    assert_eq!(of(3)["proc_connector.running"], Value::BoolValue(true));
    assert!(!of(3).contains_key("process.exit.code"));
}

#[test]
fn executed_programs_are_events() {
    let spans = all_spans(&forest());
    let events = &spans[1].events;
    let start = spans[1].start_time_unix_nano;
    let times: Vec<u64> = events.iter().map(|event| event.time_unix_nano - start).collect();
    assert_eq!(times, [100, 200]);
    assert!(events.iter().all(|event| event.name == "process.exec"));
    let names =
        events.iter().map(|event| attributes(&event.attributes)["process.executable.path"].clone());
    assert_eq!(names.collect::<Vec<_>>(), [text("/usr/bin/sh"), text("/usr/bin/cc")]);
    let own = attributes(&spans[1].attributes);
    assert_eq!(own["process.executable.name"], text("cc"));
    let Value::ArrayValue(args) = &own["process.command_args"] else { panic!("{own:?}") };
    let args = args.values.iter().map(|arg| arg.value.clone().expect("a value"));
    assert_eq!(args.collect::<Vec<_>>(), [text("cc"), text("a.c")]);
    assert_eq!(own["process.pid"], Value::IntValue(101));
    assert_eq!(own["process.parent_pid"], Value::IntValue(100));
}

#[test]
fn another_parent_than_the_creator_is_a_link() {
    let spans = all_spans(&forest());
    let [link] = spans[2].links.as_slice() else { panic!("{:?}", spans[2]) };
    assert_eq!((&link.trace_id, &link.span_id), (&spans[0].trace_id, &spans[0].span_id));
    assert_eq!(attributes(&link.attributes)["proc_connector.link"], text("parent"));
    assert!(spans.iter().enumerate().all(|(index, span)| index == 2 || span.links.is_empty()));
}

#[test]
fn losses_mark_the_span_of_the_command() {
    let known = Loss { at_ns: 3_000, count: Some(7) };
    let unknown = Loss { at_ns: 4_000, count: None };
    let forest = Forest { losses: vec![known, unknown], ..forest() };
    let spans = all_spans(&forest);
    let lost: Vec<_> =
        spans[0].events.iter().filter(|event| event.name == "process.lost").collect();
    assert_eq!(lost.len(), 2);
    assert_eq!(attributes(&lost[0].attributes)["proc_connector.lost.count"], Value::IntValue(7));
    assert!(lost[1].attributes.is_empty());
    assert_eq!(attributes(&spans[0].attributes)["proc_connector.lost.count"], Value::IntValue(7));
    assert!(!attributes(&spans[1].attributes).contains_key("proc_connector.lost.count"));
}

/// A forest with this many children of a command, each with an argument of this length.
fn wide(children: u32, argument: usize) -> Forest {
    let argument = "x".repeat(argument);
    let child = |tgid| Life {
        tgid,
        creator: (tgid > 0).then_some(0),
        programs: vec![program("cc", 1, &[&argument])],
        ..Life::default()
    };
    Forest { lives: (0..=children).map(child).collect(), ..Forest::default() }
}

#[test]
fn requests_are_bounded_by_number_and_size() {
    let (receiver, outcome, _) = sent(&wide(2_499, 1), Duration::ZERO, vec![accepted()]);
    assert_eq!(outcome, Outcome { accepted: 2_500, ..Outcome::default() });
    let sizes = |receiver: &Receiver| -> Vec<usize> {
        let spans = |request: &ExportTraceServiceRequest| {
            request.resource_spans[0].scope_spans[0].spans.len()
        };
        receiver.requests.iter().map(spans).collect()
    };
    assert_eq!(sizes(&receiver), [1_000, 1_000, 500]);
    // An argument occurs in the span and in its event.
    let (receiver, outcome, _) = sent(&wide(9, 200_000), Duration::ZERO, vec![accepted()]);
    assert_eq!(outcome.accepted, 10);
    assert_eq!(sizes(&receiver), [2, 2, 2, 2, 2]);
    let (receiver, outcome, _) = sent(&wide(1, 2_000_000), Duration::ZERO, vec![accepted()]);
    assert_eq!((sizes(&receiver), outcome.accepted), (vec![1, 1], 2));
}

#[test]
fn a_request_that_is_too_large_is_split() {
    let answers =
        vec![Answer::TooLarge, accepted(), Answer::TooLarge, accepted(), Answer::TooLarge];
    let (receiver, outcome, _) = sent(&wide(3, 1), Duration::ZERO, answers);
    let sizes: Vec<usize> = receiver
        .requests
        .iter()
        .map(|request| request.resource_spans[0].scope_spans[0].spans.len())
        .collect();
    assert_eq!(sizes, [4, 2, 2, 1, 1]);
    assert_eq!((outcome.accepted, outcome.missing), (3, 1));
    assert!(outcome.reason.is_some_and(|reason| reason.contains("larger")));
}

#[test]
fn refused_and_rejected_spans_are_counted() {
    let rejecting = Answer::Accepted { rejected: 400, message: "too old".to_owned() };
    let refusing = Answer::Refused { reason: "400".to_owned() };
    let (receiver, outcome, _) =
        sent(&wide(2_499, 1), Duration::ZERO, vec![rejecting, refusing, accepted()]);
    assert_eq!(receiver.requests.len(), 3);
    assert_eq!((outcome.accepted, outcome.missing), (600 + 500, 400 + 1_000));
}

#[test]
fn the_receiver_is_tried_again_for_a_bounded_time() {
    let long = Duration::from_secs(600);
    let busy = retry(Some(Duration::ZERO));
    let (receiver, outcome, reported) =
        sent(&wide(1, 1), long, vec![busy.clone(), busy.clone(), accepted()]);
    assert_eq!((receiver.requests.len(), outcome.accepted), (3, 2));
    // Once, not at each attempt.
    assert_eq!(reported, ["busy"]);
    // The receiver's own time exceeds the limit.
    let (receiver, outcome, _) =
        sent(&wide(2_499, 1), Duration::from_secs(9), vec![retry(Some(Duration::from_secs(60)))]);
    assert_eq!((receiver.requests.len(), outcome.accepted, outcome.missing), (1, 0, 2_500));
    assert_eq!(outcome.reason.as_deref(), Some("busy"));
    let (receiver, outcome, reported) = sent(&wide(1, 1), Duration::ZERO, vec![retry(None)]);
    assert_eq!((receiver.requests.len(), outcome.missing, reported.len()), (1, 2, 0));
    let (_, outcome, _) = sent(&wide(1, 1), Duration::from_millis(300), vec![retry(None)]);
    assert_eq!(outcome.missing, 2);
}

#[test]
fn a_misconfiguration_ends_the_attempts_at_once() {
    let after = Some(Duration::from_secs(1));
    let wrong = Answer::Misconfigured { after, reason: "401".to_owned() };
    let (receiver, outcome, reported) =
        sent(&wide(2_499, 1), Duration::from_secs(600), vec![accepted(), wrong]);
    assert_eq!((receiver.requests.len(), outcome.accepted, outcome.missing), (2, 1_000, 1_500));
    assert_eq!((outcome.reason.as_deref(), reported.len()), (Some("401"), 0));
}
