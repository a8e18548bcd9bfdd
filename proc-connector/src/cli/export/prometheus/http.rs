//! The answers to requests.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::accept::Format;
use super::encode::encode;
use crate::cli::export::metrics::family::Family;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The answer to a request. The body of the request is ignored.
pub(super) fn answer<B>(
    request: &Request<B>,
    families: impl FnOnce() -> Vec<Family>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics") {
        return text(StatusCode::NOT_FOUND, PLAIN, "Not found. The metrics are at /metrics.\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer =
            text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "Only GET and HEAD are allowed.\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if path == "/" {
        let pointer = "proc-connector export prometheus: the metrics are at /metrics.\n";
        return text(StatusCode::OK, PLAIN, pointer);
    }
    let format = Format::accepted(&accepted(request.headers()));
    match encode(families(), format) {
        Ok(metrics) => text(StatusCode::OK, format.content_type(), metrics),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "Cannot encode the metrics.\n"),
    }
}

/// All values of the header `Accept`.
fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
