//! Answers of receivers.

use std::io::{self, Read};
use std::time::Duration;

use ureq::Body;
use ureq::http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderName, Response, StatusCode};

use super::retry_after;

/// The content type of requests and answers.
pub(super) const PROTOBUF: &str = "application/x-protobuf";

/// Answers are small: a number and a message.
const ANSWER_LIMIT: u64 = 64 << 10;

/// The answer of a receiver to a request, as far as it matters to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver has the request, except for this number of rejected records.
    Accepted { rejected: u64, message: String },
    /// The request may succeed later: no connection, a time limit, 429, 502, 503 and 504.
    Retry { after: Option<Duration>, reason: String },
    /// The request may succeed after a change of settings here or at the receiver: refusals that do not
    /// concern the data, such as 401, 404 and redirects, and failures of TLS.
    Misconfigured { after: Option<Duration>, reason: String },
    /// The receiver has failed (500). The request may be the cause, so that repeating it forever would
    /// block all that follow.
    Failed { reason: String },
    /// The receiver will never accept this request.
    Refused { reason: String },
    /// The request is larger than the receiver permits (413).
    TooLarge,
}

/// An answer that has been read.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    /// The first bytes of the body, and whether more follow.
    pub(super) body: Vec<u8>,
    pub(super) is_cut: bool,
}

impl Received {
    pub(super) fn read(mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let text = |name: HeaderName| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let date = text(DATE);
        let mut received = Self {
            status: response.status(),
            content_type: text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
            retry_after: text(RETRY_AFTER)
                .and_then(|value| retry_after::parse(&value, date.as_deref())),
            location: text(LOCATION),
            body: Vec::new(),
            is_cut: false,
        };
        match read_bounded(response.body_mut(), &mut received.body) {
            Ok(is_cut) => received.is_cut = is_cut,
            // The status of other answers is enough.
            Err(_) if !received.status.is_success() => received.is_cut = true,
            Err(error) => return Err(error.into()),
        }
        Ok(received)
    }
}

/// Reads a body up to a limit. Returns whether more follows, which an answer that never ends can have.
fn read_bounded(body: &mut Body, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let read = body.as_reader().take(ANSWER_LIMIT + 1).read_to_end(bytes)?;
    Ok(read as u64 > ANSWER_LIMIT)
}
