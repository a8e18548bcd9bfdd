//! `export prometheus`: addresses, requests, and the end of the server.

#![allow(clippy::float_cmp, reason = "counts are exact")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

use common::named;
use common::program::text;
use common::scrape::{Exporter, exporter};
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    let everywhere = named![bad_usage_exits_with_2, an_address_in_use_is_an_error];
    let live = named![
        paths_methods_and_formats_are_answered,
        slow_clients_keep_nobody_out,
        signals_end_it_with_a_summary,
        other_addresses_cause_a_warning
    ];
    common::main_with(&[], &everywhere, &live)
}

fn bad_usage_exits_with_2() {
    for arguments in [
        ["--listen", "17111"],
        ["--listen", ":17111"],
        ["--listen", "localhost:17111"],
        ["--groups", "-1"],
        ["--groups", "10001"],
        ["--groups", "many"],
    ] {
        let output = exporter(&arguments).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = exporter(&["--listen", &address]).output().expect("the program runs");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&address) && errors.contains("another program"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

fn paths_methods_and_formats_are_answered() {
    let exporter = Exporter::start(&[]);
    let answer = |line: &str, headers: &str| {
        exporter.request(&format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"))
    };
    let status = |line: &str| answer(line, "").head["http/1.1 ".len()..][..3].to_owned();
    assert_eq!(status("GET /"), "200");
    assert!(answer("GET /", "").body.contains("/metrics"));
    for line in ["GET /metric", "GET /metrics/", "GET //", "POST /x", "GET /../etc/passwd"] {
        assert_eq!(status(line), "404", "{line}");
    }
    for line in ["POST /metrics", "PUT /", "DELETE /metrics", "OPTIONS /metrics"] {
        assert_eq!(status(line), "405", "{line}");
        assert_eq!(answer(line, "").header("allow"), Some("get, head"));
    }
    assert_eq!(status("nonsense"), "400");
    assert_eq!(answer("HEAD /metrics", "").body, "");
    let plain = answer("GET /metrics?x=y", "");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(plain.body.contains("# TYPE proc_connector_forks_total counter\n"), "{}", plain.body);
    let open = answer("GET /metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(expected));
    assert!(open.body.contains("# TYPE proc_connector_forks counter\n"), "{}", open.body);
    let many = format!("A: {}\r\n", "a".repeat(100_000));
    assert!(answer("GET /metrics", &many).head.starts_with("http/1.1 431"));
}

fn slow_clients_keep_nobody_out() {
    let exporter = Exporter::start(&[]);
    let send = |request: &str| {
        let mut stream = exporter.connect();
        stream.write_all(request.as_bytes()).expect("a server that reads");
        stream
    };
    let silent: Vec<TcpStream> = (0..100).map(|_| send("")).collect();
    let halves: Vec<TcpStream> = (0..100).map(|_| send("GET /metrics HT")).collect();
    let deaf: Vec<TcpStream> =
        (0..100).map(|_| send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    assert_eq!(exporter.scrape().sum("proc_connector_transport_info", &[]), 1.0);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", exporter.pid())).expect("a process");
    let descriptors = descriptors.count();
    assert!(descriptors < 150, "{descriptors} descriptors");
    // Each connection ends, at the latest after its time limit.
    for mut stream in silent.into_iter().chain(halves) {
        let _ = stream.read_to_end(&mut Vec::new()).map_err(|error| {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is still open");
        });
    }
    drop(deaf);
    assert_eq!(exporter.scrape().sum("proc_connector_transport_info", &[]), 1.0);
}

fn signals_end_it_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let exporter = Exporter::start(&[]);
        let _slow = exporter.connect();
        let (messages, status) = exporter.end_by(signal);
        assert_eq!(status.code(), Some(0), "{messages}");
        assert!(messages.contains(" lost, ") && messages.lines().count() == 1, "{messages}");
    }
}

fn other_addresses_cause_a_warning() {
    let exporter = Exporter::start_at("0.0.0.0:0", &[]);
    assert_eq!(exporter.address.ip().to_string(), "0.0.0.0");
    let (messages, _) = exporter.end_by(Signal::SIGINT);
    assert!(messages.contains("warning") && messages.contains("no authentication"), "{messages}");
    let (messages, _) = Exporter::start(&[]).end_by(Signal::SIGINT);
    assert!(!messages.contains("warning"), "{messages}");
}
