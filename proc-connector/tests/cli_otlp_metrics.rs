//! `export otlp-metrics`, received by a server of the test and compared with what the test does.

#![allow(clippy::float_cmp, reason = "counts are exact")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::helper_process::{HelperProcess, pause, print_number};
use common::listening::listening;
use common::program::program;
use common::{named, transport_name};
use flate2::read::GzDecoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, NumberDataPoint};
use proc_connector::testing::behaviour as sys;
use prost::Message;

fn main() -> ExitCode {
    let live =
        named![sums_are_cumulative_and_complete, trouble_is_reported_once_and_loses_nothing,];
    common::main_with(&named![makes_processes], &[], &live)
}

/// The processes of [`makes_processes`], each tenth of which fails.
const MADE: u32 = 200;

/// On request, creates processes.
fn makes_processes() {
    print_number(0);
    pause();
    for number in 0..MADE {
        let child = sys::fork(|| sys::exit(if number % 10 == 0 { 3 } else { 0 }));
        sys::wait4(child).expect("a child");
        std::thread::sleep(Duration::from_millis(2));
    }
    print_number(0);
    pause();
}

/// A receiver that answers the first requests with 503, and the requests that it received.
fn receiver(failures: usize) -> (String, Receiver<ExportMetricsServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, received) = channel();
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            while let Some(body) = read_request(&mut stream) {
                number += 1;
                let status = if number <= failures { "503 Busy" } else { "200 OK" };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
                );
                // The client can end as soon as it has the answer.
                if number > failures && send.send(body).is_err() {
                    return;
                }
                stream.get_mut().write_all(answer.as_bytes()).expect("a client");
            }
        }
    });
    (url, received)
}

/// Reads a request; `None` at the end of the connection.
fn read_request(stream: &mut BufReader<TcpStream>) -> Option<ExportMetricsServiceRequest> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/metrics http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; len.expect("a length").parse().expect("a number")];
    stream.read_exact(&mut body).ok()?;
    let mut request = Vec::new();
    GzDecoder::new(&*body).read_to_end(&mut request).expect("gzip");
    Some(ExportMetricsServiceRequest::decode(&*request).expect("a request"))
}

/// The values of sums and gauges, by metric and attributes.
type Values = BTreeMap<String, f64>;

/// Reads the values, and checks what holds for every request.
fn values(request: &ExportMetricsServiceRequest, sums: bool) -> Values {
    let [resource] = &*request.resource_metrics else { panic!("one resource") };
    let attributes = texts(&resource.resource.as_ref().expect("a resource").attributes);
    for key in ["service.name=", "service.version=", "host.name=", "os.type=linux"] {
        assert!(attributes.contains(key), "{key} in {attributes}");
    }
    let [scope] = &*resource.scope_metrics else { panic!("one scope") };
    let mut values = Values::new();
    for metric in &scope.metrics {
        let (is_sum, points) = match metric.data.as_ref().expect("data") {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic);
                let cumulative = AggregationTemporality::Cumulative;
                assert_eq!(sum.aggregation_temporality(), cumulative);
                (true, &sum.data_points)
            }
            Data::Gauge(gauge) => (false, &gauge.data_points),
            other => panic!("{other:?}"),
        };
        for point in points.iter().filter(|_| is_sum == sums) {
            assert!(point.start_time_unix_nano <= point.time_unix_nano);
            assert_eq!(point.start_time_unix_nano > 0, is_sum);
            let series = format!("{}{{{}}}", metric.name, texts(&point.attributes));
            assert_eq!(values.insert(series, number(point)), None, "a series twice");
        }
    }
    values
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value.expect("a value") {
        Value::AsDouble(value) => value,
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        Value::AsInt(value) => value as f64,
    }
}

fn texts(attributes: &[KeyValue]) -> String {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        let Some(any_value::Value::StringValue(value)) = value else { panic!("{attribute:?}") };
        format!("{}={value}", attribute.key)
    };
    attributes.iter().map(text).collect::<Vec<_>>().join(",")
}

fn sum(values: &Values, name: &str, attribute: &str) -> f64 {
    let name = format!("{name}{{");
    let series = values.iter().filter(|(series, _)| series.starts_with(&name));
    series.filter(|(series, _)| series.contains(attribute)).map(|(_, value)| value).sum()
}

/// A helper that waits, and an exporter of its tree.
fn start(url: &str) -> (HelperProcess, Child) {
    let mut helper = HelperProcess::start("makes_processes");
    helper.read_number();
    let tree = helper.pid().to_string();
    let arguments = ["export", "otlp-metrics", "--duration", "60s"];
    let more = ["--endpoint", url, "--transport", transport_name(), "--tree", &tree];
    let mut command = program(&[&arguments[..], &more].concat());
    command.stdout(Stdio::null()).env("NO_PROXY", "*").env("OTEL_METRIC_EXPORT_INTERVAL", "50");
    (helper, listening(command))
}

/// Ends the exporter as Ctrl-C does. Returns its messages.
fn end(mut exporter: Child) -> String {
    let pid = Pid::from_raw(exporter.id().try_into().expect("a pid"));
    kill(pid, Signal::SIGINT).expect("a child that runs");
    let mut messages = String::new();
    exporter.stderr.take().expect("a pipe").read_to_string(&mut messages).expect("text");
    assert_eq!(exporter.wait().expect("a child").code(), Some(0), "{messages}");
    messages
}

fn sums_are_cumulative_and_complete() {
    let (url, received) = receiver(0);
    let (mut helper, exporter) = start(&url);
    helper.resume();
    helper.read_number();
    let messages = end(exporter);
    // The last request leaves after the signal.
    let requests: Vec<_> = received.try_iter().collect();
    assert!(requests.len() > 2, "{} requests: {messages}", requests.len());
    let mut before = Values::new();
    for request in &requests {
        let now = values(request, true);
        for (series, value) in before {
            assert!(now[&series] >= value, "{series} was {value}, and is {}", now[&series]);
        }
        before = now;
    }
    let made = f64::from(MADE);
    assert_eq!(sum(&before, "proc_connector.forks", "program="), made, "{before:#?}");
    assert_eq!(sum(&before, "proc_connector.events", "event=fork"), made);
    assert_eq!(sum(&before, "proc_connector.exits", "status=0"), made * 0.9);
    assert_eq!(sum(&before, "proc_connector.exits", "status=3-125"), made * 0.1);
    let last = values(requests.last().expect("a request"), false);
    assert_eq!(sum(&last, "proc_connector.processes", ""), 1.0);
    assert_eq!(sum(&last, "proc_connector.transport_info", transport_name()), 1.0);
}

fn trouble_is_reported_once_and_loses_nothing() {
    let (url, received) = receiver(3);
    let (mut helper, exporter) = start(&url);
    helper.resume();
    helper.read_number();
    let messages = end(exporter);
    let last = received.try_iter().last().expect("a request");
    let made = f64::from(MADE);
    assert_eq!(sum(&values(&last, true), "proc_connector.forks", ""), made);
    assert_eq!(messages.matches("503").count(), 1, "{messages}");
    assert_eq!(messages.matches("accepts metrics again").count(), 1, "{messages}");
}
