//! A receiver of spans, and what it has received.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::tracing::trace;

/// Traces a role, and sends its spans to a receiver.
pub(crate) fn traced(receiver: &Receiver, options: &[&str], role: &str) -> Output {
    let all = [&["--otlp", "--endpoint", &*receiver.url], options].concat();
    trace(&all, role).env_remove("TRACEPARENT").output().expect("the program runs")
}

/// A receiver of OTLP/HTTP that first refuses a number of requests.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Receiver {
    /// One that first answers 503 to this number of requests.
    pub(crate) fn start(refusals: usize) -> Self {
        Self::refusing(refusals, "503 Service Unavailable")
    }

    /// One that first answers this number of requests with another status than success.
    pub(crate) fn refusing(refusals: usize, status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let received = Arc::clone(&requests);
        thread::spawn(move || {
            let mut refusals = refusals;
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                serve(&stream, (&mut refusals, status), &received);
            }
        });
        Self { url, requests }
    }

    /// The spans so far, by process id. A process id must occur once.
    pub(crate) fn spans(&self) -> Spans {
        let mut by_pid = BTreeMap::new();
        for span in self.all() {
            let pid = u32::try_from(number(&span.attributes, "process.pid")).expect("a pid");
            let other = by_pid.insert(pid, span);
            assert!(other.is_none(), "two spans of {pid}");
        }
        Spans(by_pid)
    }

    /// The spans so far, in the order of their arrival.
    pub(crate) fn all(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("no panic");
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| scope.spans.clone())
            .collect()
    }
}

fn serve(
    stream: &TcpStream,
    (refusals, status): (&mut usize, &str),
    received: &Mutex<Vec<ExportTraceServiceRequest>>,
) {
    let mut input = BufReader::new(stream);
    let mut output = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if input.read_line(&mut head).expect("text") == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect(&head).parse().expect(&head)];
        input.read_exact(&mut body).expect("a body");
        let answer = if *refusals > 0 {
            *refusals -= 1;
            &*format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        } else {
            let mut request = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut request).expect("gzip");
            let request = ExportTraceServiceRequest::decode(&*request).expect("protobuf");
            received.lock().expect("no panic").push(request);
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        };
        output.write_all(answer.as_bytes()).expect("a connection");
    }
}

/// Spans by process id.
#[derive(Debug)]
pub(crate) struct Spans(pub(crate) BTreeMap<u32, Span>);

impl Spans {
    #[track_caller]
    pub(crate) fn of(&self, pid: u32) -> &Span {
        self.0.get(&pid).unwrap_or_else(|| panic!("no span of {pid} in {:?}", self.0))
    }

    /// The only span whose parent is not among them.
    #[track_caller]
    pub(crate) fn root(&self) -> &Span {
        let ids: Vec<_> = self.0.values().map(|span| &span.span_id).collect();
        let mut roots = self.0.values().filter(|span| !ids.contains(&&span.parent_span_id));
        let root = roots.next().expect("a root");
        assert_eq!(roots.next(), None, "two roots");
        root
    }

    /// The process id of the parent of a process's span.
    #[track_caller]
    pub(crate) fn parent_of(&self, pid: u32) -> Option<u32> {
        let parent = &self.of(pid).parent_span_id;
        self.0.iter().find(|(_, span)| span.span_id == *parent).map(|(&pid, _)| pid)
    }
}

pub(crate) fn attributes(pairs: &[KeyValue]) -> HashMap<&str, &Value> {
    let value = |pair| {
        let KeyValue { value, .. }: &KeyValue = pair;
        value.as_ref()?.value.as_ref()
    };
    pairs.iter().filter_map(|pair| Some((&*pair.key, value(pair)?))).collect()
}

#[track_caller]
pub(crate) fn number(pairs: &[KeyValue], key: &str) -> i64 {
    match attributes(pairs).get(key) {
        Some(Value::IntValue(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

#[track_caller]
pub(crate) fn text<'a>(pairs: &'a [KeyValue], key: &str) -> &'a str {
    match attributes(pairs).get(key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

/// A list of texts.
#[track_caller]
pub(crate) fn texts<'a>(pairs: &'a [KeyValue], key: &str) -> Vec<&'a str> {
    let Some(Value::ArrayValue(list)) = attributes(pairs).get(key).copied() else {
        panic!("{key} is no list in {pairs:?}");
    };
    let values = list.values.iter().map(|value| match &value.value {
        Some(Value::StringValue(text)) => &**text,
        other => panic!("{key} has {other:?}"),
    });
    values.collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
