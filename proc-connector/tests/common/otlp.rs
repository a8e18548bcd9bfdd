//! A receiver of OTLP/HTTP, independent of the code that sends: HTTP/1.1 on sockets of the standard
//! library, and decoding by `opentelemetry-proto`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

use super::Deadline;

/// A receiver in this process.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    bodies: Vec<Vec<u8>>,
    status: u16,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Mutex::new(Shared { bodies: Vec::new(), status: 200 }));
        let for_requests = Arc::clone(&shared);
        serve_all(listener, move |body| {
            let mut shared = for_requests.lock().expect("no thread panicked");
            if shared.status == 200 {
                shared.bodies.push(body);
            }
            shared.status
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers all further requests with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.lock().expect("no thread panicked").status = status;
    }

    /// The accepted requests.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.shared.lock().expect("no thread panicked").bodies.clone()
    }

    /// The accepted records.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.bodies().iter().flat_map(|body| records(body)).collect()
    }

    /// Waits until the accepted records satisfy a condition.
    pub(crate) fn wait_for(&self, is_enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let deadline = Deadline::new();
        loop {
            let records = self.records();
            if is_enough(&records) {
                return records;
            }
            assert!(deadline.left().is_some(), "{} records", records.len());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Receives requests on a port until the process is killed. Each is stored in a file of its own before
/// it is answered, under a temporary name first.
pub(crate) fn store_requests(port: u16, directory: &Path) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port of the predecessor");
    let directory = directory.to_owned();
    let number = Mutex::new(0);
    let handle = serve_all(listener, move |body| {
        let mut number = number.lock().expect("no thread panicked");
        *number += 1;
        let path = directory.join(format!("{}-{number}", std::process::id()));
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, body).expect("a writable directory");
        fs::rename(&temporary, path).expect("a writable directory");
        200
    });
    handle.join().expect("a thread without a panic");
}

/// The records of stored requests.
pub(crate) fn stored_records(directory: &Path) -> Vec<Record> {
    let files = fs::read_dir(directory).expect("a directory");
    let paths = files.map(|file| file.expect("an entry").path());
    let complete = paths.filter(|path| path.extension().is_none());
    complete.flat_map(|path| records(&fs::read(path).expect("a file"))).collect()
}

/// Answers the requests of all connections with the status that a function returns for their bodies.
fn serve_all(
    listener: TcpListener,
    accept: impl Fn(Vec<u8>) -> u16 + Send + Sync + 'static,
) -> thread::JoinHandle<()> {
    let accept = Arc::new(accept);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let accept = Arc::clone(&accept);
            // A sender that is killed ends its connection in any state.
            thread::spawn(move || stream.and_then(|stream| serve(&stream, &*accept)));
        }
    })
}

fn serve(stream: &TcpStream, accept: &dyn Fn(Vec<u8>) -> u16) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        assert_eq!(line.trim(), "POST /v1/logs HTTP/1.1");
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["content-encoding"], "gzip");
        let mut body = vec![0; headers["content-length"].parse().expect("a number")];
        input.read_exact(&mut body)?;
        let status = accept(body);
        let mut output = stream;
        let answer = "content-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        output.write_all(format!("HTTP/1.1 {status} -\r\n{answer}").as_bytes())?;
    }
}

/// A decoded record, with its attributes and those of its resource by name.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) message: LogRecord,
    pub(crate) attributes: HashMap<String, Value>,
    pub(crate) resource: HashMap<String, Value>,
}

impl Record {
    pub(crate) fn name(&self) -> &str {
        &self.message.event_name
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("log.record.uid").expect("each record has an id")
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key)? {
            Value::StringValue(text) => Some(text),
            other => panic!("{key} is {other:?}"),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key)? {
            Value::IntValue(number) => Some(*number),
            other => panic!("{key} is {other:?}"),
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Option<Vec<String>> {
        let Value::ArrayValue(array) = self.attributes.get(key)? else { panic!("{key}") };
        let text = |value: &AnyValue| match &value.value {
            Some(Value::StringValue(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        Some(array.values.iter().map(text).collect())
    }

    /// Whether this is an event of a process.
    pub(crate) fn is(&self, name: &str, pid: u32) -> bool {
        self.name() == name && self.number("process.pid") == Some(pid.into())
    }
}

/// Decodes a compressed request.
pub(crate) fn records(body: &[u8]) -> Vec<Record> {
    let mut message = Vec::new();
    GzDecoder::new(body).read_to_end(&mut message).expect("gzip");
    let request = ExportLogsServiceRequest::decode(&*message).expect("a request");
    let mut records = Vec::new();
    for resource_logs in request.resource_logs {
        let resource = by_name(resource_logs.resource.expect("a resource").attributes);
        for scope_logs in resource_logs.scope_logs {
            assert_eq!(scope_logs.scope.expect("a scope").name, "proc-connector");
            for message in scope_logs.log_records {
                let attributes = by_name(message.attributes.clone());
                records.push(Record { message, attributes, resource: resource.clone() });
            }
        }
    }
    records
}

fn by_name(attributes: Vec<KeyValue>) -> HashMap<String, Value> {
    let len = attributes.len();
    let named: HashMap<_, _> = attributes
        .into_iter()
        .map(|attribute| {
            let value = attribute.value.and_then(|value| value.value);
            (attribute.key, value.expect("a value"))
        })
        .collect();
    assert_eq!(named.len(), len, "each key occurs once");
    named
}

/// The path of a file that contains a request.
pub(crate) fn write_body(path: &str, body: &[u8]) {
    File::create(path).and_then(|mut file| file.write_all(body)).expect("a writable directory");
}
