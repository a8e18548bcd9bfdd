use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::receiver::{PROTOBUF, Receiver, answer};
use super::{Answer, Deliver, accepted, assert_says, client, misconfigured, retry};

/// A time limit for requests that are to reach it.
const SHORT: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "400");

#[test]
fn a_port_without_a_program_refuses() {
    // The port was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let reason = retry(client(&format!("http://{address}"), &[]).deliver(b""));
    let port = format!("port {}", address.port());
    assert_says(&reason, &["no program listens", &port, "start the receiver"]);
}

#[test]
fn a_host_without_an_address_is_not_found() {
    let reason = retry(client("http://receiver.invalid:4318", &[]).deliver(b""));
    assert_says(&reason, &["receiver.invalid", "found"]);
}

#[test]
fn a_receiver_that_never_answers_meets_the_time_limit() {
    // The kernel accepts the connection.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let reason = retry(client(&url, &[SHORT]).deliver(b""));
    assert_says(&reason, &["no complete answer within 400ms", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
}

#[test]
fn a_connection_without_an_answer_is_tried_again_later() {
    let receiver = Receiver::start(|_, _| false);
    let reason = retry(client(&receiver.url(), &[]).deliver(b""));
    assert_says(&reason, &["closes the connection on port", "https://"]);
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn an_idle_connection_that_the_receiver_closes_costs_no_retry() {
    let ok = answer("200 OK", PROTOBUF, b"");
    // The second request gets no answer on the old connection, and one on a new connection.
    let receiver =
        Receiver::start(move |number, output| number != 1 && output.write_all(&ok).is_ok());
    let mut client = client(&receiver.url(), &[]);
    assert_eq!(client.deliver(b"1"), accepted(0, ""));
    assert_eq!(client.deliver(b"2"), accepted(0, ""));
    let requests = receiver.requests();
    let seen: Vec<_> =
        requests.iter().map(|request| (&*request.body, request.connection)).collect();
    assert_eq!(seen, [(&b"1"[..], 0), (b"2", 0), (b"2", 1)]);
}

#[test]
fn an_answer_that_is_not_http_names_the_protocols() {
    for text in [
        &b"\x15\x03\x01\x00\x02\x02\x46"[..],
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\0\0\x12\x04\0\0\0\0\0",
    ] {
        let receiver = Receiver::start(move |_, output| {
            output.write_all(text).expect("sent");
            false
        });
        let reason = retry(client(&receiver.url(), &[]).deliver(b""));
        assert_says(&reason, &["https://", "127.0.0.1"]);
    }
}

#[test]
fn an_answer_that_is_cut_is_tried_again_later() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let receiver = Receiver::start(move |_, output| {
            output.write_all(text.as_bytes()).expect("sent");
            false
        });
        let reason = retry(client(&receiver.url(), &[]).deliver(b""));
        assert_says(&reason, &["127.0.0.1"]);
    }
}

#[test]
fn an_answer_that_never_ends_is_bounded() {
    let endless = |status: &'static str| {
        Receiver::start(move |_, output| {
            let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut result = output.write_all(head.as_bytes());
            while result.is_ok() {
                result = output.write_all(b"10\r\n0123456789abcdef\r\n");
            }
            false
        })
    };
    let reason = misconfigured(client(&endless("200 OK").url(), &[]).deliver(b""));
    assert_says(&reason, &["does not end", "check that the URL"]);
    let refused = client(&endless("400 Bad Request").url(), &[]).deliver(b"");
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
}

#[test]
fn an_answer_that_drips_meets_the_time_limit() {
    let receiver = Receiver::start(|_, output| {
        let mut result =
            output.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX: y\r\n\r\n");
        let start = Instant::now();
        while result.is_ok() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
            result = output.write_all(b"x");
        }
        false
    });
    let reason = retry(client(&receiver.url(), &[SHORT]).deliver(b""));
    assert_says(&reason, &["no complete answer within 400ms"]);
}

#[test]
fn a_header_that_never_ends_is_bounded() {
    let receiver = Receiver::start(|_, output| {
        let mut result = output.write_all(b"HTTP/1.1 200 OK\r\n");
        while result.is_ok() {
            result = output.write_all(b"X-Filler: 0123456789abcdef0123456789abcdef\r\n");
        }
        false
    });
    assert_says(&retry(client(&receiver.url(), &[]).deliver(b"")), &["127.0.0.1"]);
}

#[test]
fn a_refusal_before_the_end_of_a_large_request_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        use std::io::Read;
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut start = [0; 4096];
            let _ = stream.read(&mut start);
            let _ =
                stream.write_all(&answer("413 Content Too Large", "Connection: close\r\n", b""));
            // As a server that is polite: it reads on for a moment.
            let _ = std::io::copy(&mut stream.take(64 << 20), &mut std::io::sink());
        }
    });
    let large = vec![b'x'; 8 << 20];
    assert_eq!(client(&url, &[]).deliver(&large), Answer::TooLarge);
}
