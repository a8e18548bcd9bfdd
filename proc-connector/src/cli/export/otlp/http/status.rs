//! What an answer means, by its status and body.

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message;
use ureq::http::{StatusCode, Uri};

use super::answer::{Answer, PROTOBUF, Received};
use crate::cli::export::otlp::config::{Url, shown_without_credentials};
use crate::cli::shown::shown;

const MESSAGE_LIMIT: usize = 200;

pub(super) fn answer(received: &Received, url: &Url) -> Answer {
    if received.status.is_success() {
        return match accepted(received) {
            Ok(answer) => answer,
            Err(problem) => misconfigured(received, format!("{}: {problem}", url.shown())),
        };
    }
    let said = quoted(&message(received));
    let url_text = url.shown();
    let code = received.status.as_u16();
    let reason = |remedy: &str| format!("{url_text} answers {}{said}; {remedy}", received.status);
    match received.status {
        StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge,
        status if status.is_redirection() => misconfigured(received, redirect(received, url)),
        StatusCode::BAD_REQUEST if is_plain_on_tls(received, url) => misconfigured(
            received,
            format!("{url_text} expects TLS on this port; write https:// instead of http://"),
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => misconfigured(
            received,
            reason(
                "set the header that it requires with --header-file or OTEL_EXPORTER_OTLP_HEADERS",
            ),
        ),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            misconfigured(received, reason("set user and password in the proxy's URL"))
        }
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::UPGRADE_REQUIRED
        | StatusCode::NOT_IMPLEMENTED
        | StatusCode::HTTP_VERSION_NOT_SUPPORTED => misconfigured(
            received,
            reason("check that the URL names a receiver of OTLP/HTTP, whose port is usually 4318"),
        ),
        StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE => misconfigured(
            received,
            reason("set OTEL_EXPORTER_OTLP_COMPRESSION=none, or enable protobuf in the receiver"),
        ),
        StatusCode::TOO_MANY_REQUESTS => retry(
            received,
            reason("it limits the rate of requests; send fewer events, or raise the limit"),
        ),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            retry(received, reason("it may accept the request later"))
        }
        // For the Collector, 500 means data that it can never process; for Vector, a sink that failed.
        StatusCode::INTERNAL_SERVER_ERROR => {
            Answer::Failed { reason: reason("the cause should be in its log") }
        }
        // The specification lists 502, 503 and 504.
        status if status.is_server_error() => {
            retry(received, reason("it is overloaded or not ready; check its log"))
        }
        _ => Answer::Refused { reason: format!("{url_text} answers {code} to a request{said}") },
    }
}

fn retry(received: &Received, reason: String) -> Answer {
    Answer::Retry { after: received.retry_after, reason }
}

fn misconfigured(received: &Received, reason: String) -> Answer {
    Answer::Misconfigured { after: received.retry_after, reason }
}

/// Decodes an answer with a status of success. Web servers other than receivers answer with success too,
/// and nothing would report what they discard, so an answer that is no receiver's is an error.
fn accepted(received: &Received) -> Result<Answer, &'static str> {
    if received.is_cut {
        return Err("the answer does not end; check that the URL names a receiver of OTLP/HTTP");
    }
    let media_type = received.content_type.split(';').next().unwrap_or_default().trim();
    if received.body.is_empty() {
        return Ok(Answer::Accepted { rejected: 0, message: String::new() });
    }
    let partial = match media_type {
        "text/html" | "application/xhtml+xml" => {
            return Err(
                "the answer is a web page; check that the URL names a receiver of OTLP/HTTP",
            );
        }
        "application/json" => partial_json(&received.body),
        _ => partial_protobuf(&received.body),
    };
    match partial {
        Some((rejected, message)) => Ok(Answer::Accepted { rejected, message: bounded(&message) }),
        None if matches!(media_type, PROTOBUF | "application/json") => Err(
            "the answer is damaged, so that the number of rejected records is unknown; check the \
                 receiver, and any proxy before it",
        ),
        // Receivers that are not the Collector may answer "ok".
        None => Ok(Answer::Accepted { rejected: 0, message: String::new() }),
    }
}

/// The number of rejected records, and a message. The answers for logs, metrics and traces have the same
/// encoding.
fn partial_protobuf(body: &[u8]) -> Option<(u64, String)> {
    let answer = ExportLogsServiceResponse::decode(body).ok()?;
    let partial = answer.partial_success.unwrap_or_default();
    Some((u64::try_from(partial.rejected_log_records).unwrap_or(0), partial.error_message))
}

fn partial_json(body: &[u8]) -> Option<(u64, String)> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = &answer.as_object()?.get("partialSuccess").unwrap_or(&serde_json::Value::Null);
    let rejected = ["rejectedLogRecords", "rejectedDataPoints", "rejectedSpans"].map(|name| {
        let count = &partial[name];
        // JSON of protobuf has 64-bit numbers as strings.
        count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
    });
    let message = partial["errorMessage"].as_str().unwrap_or_default();
    Some((rejected.iter().sum(), message.to_owned()))
}

/// The message of an error: a `google.rpc.Status`, or text.
fn message(received: &Received) -> Cow<'_, str> {
    if received.is_cut {
        return Cow::Borrowed("");
    }
    if received.content_type.starts_with(PROTOBUF) {
        // `google.rpc.Status` starts with the same fields: a number and a string.
        let status = ExportLogsPartialSuccess::decode(&*received.body).unwrap_or_default();
        return Cow::Owned(status.error_message);
    }
    if received.content_type.starts_with("application/json") {
        let status: serde_json::Value = serde_json::from_slice(&received.body).unwrap_or_default();
        return Cow::Owned(status["message"].as_str().unwrap_or_default().to_owned());
    }
    if received.content_type.starts_with("text/plain") {
        return String::from_utf8_lossy(&received.body);
    }
    Cow::Borrowed("")
}

fn bounded(text: &str) -> String {
    let text = text.trim();
    let end = text.char_indices().nth(MESSAGE_LIMIT).map_or(text.len(), |(end, _)| end);
    let dots = if end < text.len() { "..." } else { "" };
    format!("{}{dots}", shown(&text[..end]))
}

fn quoted(message: &str) -> String {
    let message = bounded(message);
    if message.is_empty() { message } else { format!(": \"{message}\"") }
}

/// Whether a server with TLS complains about a request without.
fn is_plain_on_tls(received: &Received, url: &Url) -> bool {
    let text = String::from_utf8_lossy(&received.body).to_ascii_lowercase();
    !url.is_encrypted() && !received.content_type.starts_with(PROTOBUF) && text.contains("https")
}

fn redirect(received: &Received, url: &Url) -> String {
    let target = received.location.as_deref().and_then(|location| location.parse::<Uri>().ok());
    match target.filter(|target| target.host().is_some()) {
        Some(target) => format!(
            "{} redirects to {}, and redirects are not followed; if that is the receiver, set its URL as \
             the endpoint",
            url.shown(),
            shown_without_credentials(&target),
        ),
        None => format!(
            "{} answers {}, and redirects are not followed; check that the URL names a receiver of OTLP/HTTP",
            url.shown(),
            received.status,
        ),
    }
}
