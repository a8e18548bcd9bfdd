//! Sending requests by OTLP/HTTP.

use std::time::Duration;

/// The answer of a receiver to a request, as far as it matters to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver has the request, except for this number of rejected records.
    Accepted { rejected: u64, message: String },
    /// The request may succeed later: no connection, a time limit, 429, 502, 503, 504, and refusals that
    /// do not concern the data, such as 401, 404 and redirects.
    Retry { after: Option<Duration>, reason: String },
    /// The receiver will never accept this request.
    Refused { reason: String },
    /// The request is larger than the receiver permits (413).
    TooLarge,
}

/// Sends requests to one address of a receiver.
pub(crate) trait Deliver: Send {
    /// Sends a compressed request and waits for the answer.
    fn deliver(&mut self, body: &[u8]) -> Answer;
}
