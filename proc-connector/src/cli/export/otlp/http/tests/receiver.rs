//! A receiver that gives prepared answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;

/// A request, as it arrives.
#[derive(Debug)]
pub(super) struct Request {
    /// The request line and the headers, in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// The number of the connection, from 0.
    pub(super) connection: usize,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    requests: mpsc::Receiver<Request>,
}

impl Receiver {
    /// Starts a receiver. `answer` writes the answer to the request with a number, from 0, and returns
    /// whether the connection stays open.
    pub(super) fn start<F>(mut answer: F) -> Self
    where
        F: FnMut(usize, &mut dyn Write) -> bool + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            let mut count = 0;
            for (connection, stream) in listener.incoming().enumerate() {
                let stream = stream.expect("a connection");
                let mut input = BufReader::new(stream.try_clone().expect("a second handle"));
                let mut output = &stream;
                while let Some((head, body)) = read_request(&mut input) {
                    if sender.send(Request { head, body, connection }).is_err() {
                        return;
                    }
                    let stays = answer(count, &mut output);
                    count += 1;
                    if !stays {
                        break;
                    }
                }
            }
        });
        Self { address, requests }
    }

    /// Starts a receiver that gives the same answer to each request.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, output| output.write_all(&answer).is_ok())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

/// An answer with a status line, headers and a body.
pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    answer.extend(body);
    answer
}

pub(super) const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

/// Reads a request. Returns `None` at the end of the connection.
pub(super) fn read_request(input: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    input.take(length).read_to_end(&mut body).ok()?;
    Some((head, body))
}
