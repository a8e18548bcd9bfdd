use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::receiver::{PROTOBUF, Receiver, answer};
use super::{Answer, Deliver, accepted, assert_says, client, misconfigured, retry};
use crate::cli::export::otlp::gzip;

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const TEXT: &str = "Content-Type: text/plain\r\n";

fn deliver_to(answer: Vec<u8>) -> Answer {
    client(&Receiver::answering(answer).url(), &[]).deliver(b"\x0a\x00")
}

#[test]
fn a_request_has_the_path_the_headers_and_the_body() {
    let receiver = Receiver::answering(answer("200 OK", PROTOBUF, b""));
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb%20c , x=1")];
    let mut client = client(&receiver.url(), &headers);
    let body = gzip::compress(b"\x0a\x00");
    assert_eq!(client.deliver(&body), accepted(0, ""));
    assert_eq!(client.deliver(b"\x0a\x00"), accepted(0, ""));
    let requests = receiver.requests();
    let [compressed, plain] = requests.as_slice() else { panic!("{requests:?}") };
    for part in [
        "post /v1/logs http/1.1\r\n",
        "\r\ncontent-type: application/x-protobuf\r\n",
        "\r\ncontent-encoding: gzip\r\n",
        "\r\napi-key: a,b c\r\n",
        "\r\nx: 1\r\n",
        "\r\nuser-agent: proc-connector/",
    ] {
        assert!(compressed.head.contains(part), "{} lacks {part:?}", compressed.head);
    }
    assert!(!compressed.head.contains("\r\naccept"), "{}", compressed.head);
    assert_eq!(compressed.body, body);
    assert!(!plain.head.contains("content-encoding"), "{}", plain.head);
    // The connection stays open.
    assert_eq!((compressed.connection, plain.connection), (0, 0));
}

#[test]
fn a_receiver_without_gzip_gets_plain_requests() {
    let receiver = Receiver::answering(answer("200 OK", PROTOBUF, b""));
    let mut client = client(&receiver.url(), &[("OTEL_EXPORTER_OTLP_COMPRESSION", "none")]);
    assert_eq!(client.deliver(&gzip::compress(b"\x0a\x00 plain")), accepted(0, ""));
    let requests = receiver.requests();
    assert!(!requests[0].head.contains("content-encoding"), "{}", requests[0].head);
    assert_eq!(requests[0].body, b"\x0a\x00 plain");
    let damaged = client.deliver(b"\x1f\x8b\x08 damaged");
    assert!(matches!(damaged, Answer::Refused { .. }), "{damaged:?}");
}

#[test]
fn a_receiver_that_does_not_know_gzip_is_recognized() {
    for refusal in ["400 Bad Request", "415 Unsupported Media Type"] {
        let receiver = Receiver::start(move |number, output| {
            let status = if number == 0 { refusal } else { "200 OK" };
            output.write_all(&answer(status, "", b"")).is_ok()
        });
        let mut client = client(&receiver.url(), &[]);
        let body = gzip::compress(b"\x0a\x00 plain");
        assert_eq!(client.deliver(&body), accepted(0, ""), "{refusal}");
        assert_eq!(client.deliver(&body), accepted(0, ""), "{refusal}");
        let bodies: Vec<_> = receiver.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [&body[..], b"\x0a\x00 plain", b"\x0a\x00 plain"]);
    }
    // Data that it does not accept in either form is refused, and later requests are compressed.
    let receiver = Receiver::start(|number, output| {
        let status = if number < 2 { "400 Bad Request" } else { "200 OK" };
        output.write_all(&answer(status, "", b"")).is_ok()
    });
    let mut client = client(&receiver.url(), &[]);
    let body = gzip::compress(b"\x0a\x00 plain");
    assert!(matches!(client.deliver(&body), Answer::Refused { .. }));
    assert_eq!(client.deliver(&body), accepted(0, ""));
    let bodies: Vec<_> = receiver.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [&body[..], b"\x0a\x00 plain", &body]);
}

#[test]
fn rejected_records_are_counted() {
    let logs = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 7,
            error_message: "no \x1b[31mbody".to_owned(),
        }),
    };
    let spans = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "x".repeat(1000),
        }),
    };
    let json = br#"{"partialSuccess":{"rejectedLogRecords":"12","errorMessage":"late"}}"#;
    let long = format!("{}...", "x".repeat(200));
    for (headers, body, expected) in [
        (PROTOBUF, logs.encode_to_vec(), accepted(7, "no \\u{1b}[31mbody")),
        (PROTOBUF, spans.encode_to_vec(), accepted(3, &long)),
        ("", logs.encode_to_vec(), accepted(7, "no \\u{1b}[31mbody")),
        (JSON, json.to_vec(), accepted(12, "late")),
        (JSON, b"{}".to_vec(), accepted(0, "")),
        (TEXT, b"ok".to_vec(), accepted(0, "")),
        ("", Vec::new(), accepted(0, "")),
    ] {
        assert_eq!(deliver_to(answer("200 OK", headers, &body)), expected, "{headers}");
        assert_eq!(deliver_to(answer("201 Created", headers, &body)), expected, "{headers}");
    }
    assert_eq!(deliver_to(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), accepted(0, ""));
}

#[test]
fn a_success_of_another_server_is_no_success() {
    for (headers, body, part) in [
        (HTML, "<html>It works!</html>", "web page"),
        (PROTOBUF, "\x0a\x7f cut", "damaged"),
        (JSON, "{", "damaged"),
    ] {
        let reason = misconfigured(deliver_to(answer("200 OK", headers, body.as_bytes())));
        assert_says(&reason, &[part, "/v1/logs", "check"]);
    }
}

#[test]
fn overload_names_the_time_to_wait() {
    for status in ["429 Too Many Requests", "502 Bad", "503 Unavailable", "504 Timeout"] {
        for (headers, expected) in [
            ("", None),
            ("Retry-After: 7\r\n", Some(7)),
            ("Retry-After: whenever\r\n", None),
            (
                "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 Retry-After: Sun, 06 Nov 1994 08:49:48 GMT\r\n",
                Some(11),
            ),
        ] {
            match deliver_to(answer(status, &format!("{TEXT}{headers}"), b"busy")) {
                Answer::Retry { after, reason } => {
                    assert_eq!(after, expected.map(Duration::from_secs), "{status} {headers}");
                    assert_says(&reason, &[&status[..3], "\"busy\""]);
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}

#[test]
fn refusals_that_do_not_concern_the_data_name_the_setting() {
    for (status, headers, parts) in [
        ("401 Unauthorized", "", ["401", "--header-file"]),
        ("403 Forbidden", "", ["403", "OTEL_EXPORTER_OTLP_HEADERS"]),
        ("404 Not Found", HTML, ["404", "4318"]),
        ("405 Method Not Allowed", "", ["405", "4318"]),
        ("407 Proxy Authentication Required", "", ["407", "proxy"]),
        ("415 Unsupported Media Type", "", ["415", "OTEL_EXPORTER_OTLP_COMPRESSION=none"]),
        ("501 Not Implemented", "", ["501", "4318"]),
    ] {
        assert_says(&misconfigured(deliver_to(answer(status, headers, b"<p>no</p>"))), &parts);
    }
    for (status, parts) in
        [("408 Request Timeout", ["408", "later"]), ("507 Insufficient Storage", ["507", "log"])]
    {
        assert_says(&retry(deliver_to(answer(status, "", b""))), &parts);
    }
}

#[test]
fn redirects_are_not_followed() {
    for (location, parts) in [
        (
            "Location: https://user:secret@other.example:1/v1/logs?key=secret\r\n",
            ["redirects to https://other.example:1/v1/logs,", "endpoint"],
        ),
        ("Location: /login\r\n", ["302", "check that the URL"]),
        ("", ["302", "check that the URL"]),
    ] {
        let receiver = Receiver::answering(answer("302 Found", location, b""));
        let reason = misconfigured(client(&receiver.url(), &[]).deliver(b"\x0a\x00"));
        assert_says(&reason, &parts);
        assert!(!reason.contains("secret"), "{reason}");
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[test]
fn data_that_is_never_accepted_is_refused() {
    // As in `google.rpc.Status`: the field 1 is a number, and 2 a string.
    let status = b"\x08\x03\x12\x09bad bytes";
    let partial = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 1,
            error_message: String::new(),
        }),
    };
    for (line, headers, body, part) in [
        ("400 Bad Request", PROTOBUF, status.to_vec(), "400 to a request: \"bad bytes\""),
        ("400 Bad Request", PROTOBUF, partial.encode_to_vec(), "400 to a request"),
        ("400 Bad Request", JSON, br#"{"code":3,"message":"no"}"#.to_vec(), "\"no\""),
        ("422 Unprocessable", TEXT, b"two\nlines".to_vec(), "\"two\\nlines\""),
    ] {
        match deliver_to(answer(line, headers, &body)) {
            Answer::Refused { reason } => assert_says(&reason, &[part, "http://127.0.0.1"]),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn a_failure_of_the_receiver_differs_from_a_refusal() {
    match deliver_to(answer("500 Internal Server Error", TEXT, b"sink failed")) {
        Answer::Failed { reason } => assert_says(&reason, &["500", "sink failed", "log"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_request_is_to_be_split() {
    assert_eq!(deliver_to(answer("413 Content Too Large", "", b"")), Answer::TooLarge);
}

#[test]
fn a_server_that_expects_tls_is_recognized() {
    let body = b"Client sent an HTTP request to an HTTPS server.\n";
    let reason = misconfigured(deliver_to(answer("400 Bad Request", TEXT, body)));
    assert_says(&reason, &["TLS", "https://"]);
}

#[test]
fn credentials_of_a_url_are_sent_and_not_shown() {
    let receiver = Receiver::answering(answer("503 Unavailable", "", b""));
    let url = format!("http://user:secret@{}/base/?key=secret", receiver.address);
    let mut client = client(&url, &[]);
    let reason = retry(client.deliver(b"\x0a\x00"));
    assert_says(&reason, &["/base/v1/logs answers 503"]);
    assert!(!reason.contains("secret") && !format!("{client:?}").contains("secret"), "{reason}");
    let requests = receiver.requests();
    // The Base64 form of `user:secret`, in lower case.
    assert!(requests[0].head.contains("authorization: basic dxnlcjpzzwnyzxq=\r\n"), "{requests:?}");
    assert!(requests[0].head.starts_with("post /base/v1/logs?key=secret http"), "{requests:?}");
}
