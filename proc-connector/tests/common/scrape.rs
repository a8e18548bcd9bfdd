//! Clients of `export prometheus`: plain HTTP over TCP, and a reader of the text formats.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::listening::listening;
use super::program::program;

/// A running exporter.
#[derive(Debug)]
pub(crate) struct Exporter {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The messages before the address.
    pub(crate) messages: Vec<String>,
    pub(crate) address: SocketAddr,
}

const NO_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// `export prometheus` over the transport of this test. The duration limits a test
/// that fails.
pub(crate) fn exporter(arguments: &[&str]) -> Command {
    let transport = ["--transport", super::transport_name()];
    let common = ["export", "prometheus", "--duration", "60s"];
    program(&[&common[..], &transport, arguments].concat())
}

impl Exporter {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Self {
        let mut command = exporter(&[&["--listen", address], arguments].concat());
        command.stdout(Stdio::null());
        let mut child = listening(command);
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut exporter = Self { child, stderr, messages: Vec::new(), address: NO_ADDRESS };
        while exporter.address == NO_ADDRESS {
            let mut line = String::new();
            let len = exporter.stderr.read_line(&mut line).expect("text");
            assert_ne!(len, 0, "it ended: {:?}", exporter.messages);
            let url = line.trim_end().strip_prefix("metrics: http://");
            match url.and_then(|url| url.strip_suffix("/metrics")) {
                Some(address) => exporter.address = address.parse().expect("an address"),
                None => exporter.messages.push(line),
            }
        }
        exporter
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a pid"));
        kill(pid, signal).expect("a child that runs");
    }

    /// Ends the exporter. Returns the rest of its messages, and its status.
    pub(crate) fn end_by(mut self, signal: Signal) -> (String, ExitStatus) {
        self.send(signal);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("text");
        (rest, self.child.wait().expect("a child"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a server");
        stream.set_read_timeout(Some(super::PATIENCE)).expect("a socket");
        stream
    }

    /// Sends a request, and reads until the server closes the connection.
    pub(crate) fn request(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("a server that reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
        Answer { head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The metrics as `OpenMetrics`.
    pub(crate) fn scrape(&self) -> Samples {
        let answer = self.request(
            "GET /metrics HTTP/1.1\r\nHost: test\r\nAccept: application/openmetrics-text\r\n\r\n",
        );
        assert!(answer.head.starts_with("http/1.1 200"), "{}", answer.head);
        assert!(answer.body.ends_with("# EOF\n"), "it is whole");
        Samples::read(&answer.body)
    }

    /// Scrapes until the metrics satisfy a condition.
    pub(crate) fn scrape_until(&self, is_enough: impl Fn(&Samples) -> bool) -> Samples {
        let deadline = super::Deadline::new();
        loop {
            let samples = self.scrape();
            if is_enough(&samples) {
                return samples;
            }
            assert!(deadline.left().is_some(), "{samples:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, with its status line and headers in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// The values of series, by name and labels.
#[derive(Debug)]
pub(crate) struct Samples(pub(crate) BTreeMap<Series, f64>);

pub(crate) type Series = (String, BTreeMap<String, String>);

impl Samples {
    pub(crate) fn read(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = read_line(line);
            let earlier = samples.insert(series, value);
            assert_eq!(earlier, None, "two series with the same labels: {line}");
        }
        Self(samples)
    }

    /// The sum of all series of this name whose labels have these values.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value))
        };
        let found = self.0.iter().filter(|((found, own), _)| found == name && has(own));
        found.map(|(_, value)| value).sum()
    }

    /// The values of a label.
    pub(crate) fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let series = self.0.keys().filter(|(found, _)| found == name);
        series.filter_map(|(_, labels)| labels.get(label).map(String::as_str)).collect()
    }
}

fn read_line(line: &str) -> (Series, f64) {
    let end = line.find(['{', ' ']).expect("a name and a value");
    let name = line[..end].to_owned();
    let mut labels = BTreeMap::new();
    let mut rest = &line[end..];
    while let Some(text) = rest.strip_prefix(['{', ',']) {
        let (key, text) = text.split_once("=\"").expect("a label");
        let (mut value, mut letters) = (String::new(), text.char_indices());
        rest = loop {
            match letters.next().expect("an end of the value") {
                (at, '"') => break &text[at + 1..],
                (_, '\\') => match letters.next().expect("an escaped character").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.to_owned(), value);
    }
    let value = rest.trim_start_matches('}').trim().parse().expect("a number");
    ((name, labels), value)
}
