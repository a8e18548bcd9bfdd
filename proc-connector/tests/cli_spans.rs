//! `trace --otlp`: the spans that a receiver gets, compared with what the command did.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use common::helper_process::command;
use common::program::{program, run, text};
use common::roles::{
    continue_the_tracer, die_by_9, exit_0, exit_3, family, have_a_failing_child, pause,
    stop_the_tracer,
};
use common::scratch::Scratch;
use common::spans::{Receiver, attributes, hex, number, texts, traced};
use common::tracing::{printed_ids, trace};
use common::{named, transport, transport_name};
use opentelemetry_proto::tonic::trace::v1::Span;
use proc_connector::Transport;
use proc_connector::testing::behaviour as sys;

fn main() -> ExitCode {
    let live = named![
        spans_are_the_tree_of_the_command,
        a_build_is_a_trace,
        executed_programs_are_events,
        arguments_are_redacted,
        a_sibling_has_a_link_to_its_parent,
        a_process_that_continues_has_no_status,
        a_loss_marks_the_span_of_the_command,
        a_receiver_that_is_busy_gets_the_spans_later,
        a_wrong_setting_ends_the_attempts_at_once,
        a_failure_to_send_is_reported_and_keeps_the_exit_status,
    ];
    let everywhere =
        named![options_for_spans_require_each_other, a_disabled_exporter_runs_the_command,];
    let roles = named![
        exit_0,
        exit_3,
        die_by_9,
        family,
        have_a_failing_child,
        execute_twice,
        execute_once,
        have_a_creator_of_siblings,
        create_a_sibling,
        leave_one_behind,
        pause,
        overrun_the_tracer,
    ];
    common::main_with(&roles, &everywhere, &live)
}

fn execute_twice() {
    println!("own {}", std::process::id());
    panic!("{}", command("execute_once").arg("second").exec());
}

fn execute_once() {
    panic!("{}", command("exit_0").arg("third").exec());
}

fn have_a_creator_of_siblings() {
    #[expect(clippy::zombie_processes, reason = "all children are waited for below")]
    let creator = command("create_a_sibling").spawn().expect("a child");
    println!("own {}\ncreator {}", std::process::id(), creator.id());
    while nix::sys::wait::wait().is_ok() {}
}

fn create_a_sibling() {
    let flags = nix::libc::CLONE_PARENT;
    let creation = sys::Creation { flags, exit_signal: 0, ..Default::default() };
    let sibling = sys::clone(creation, || sys::exit(4)).expect("a sibling");
    println!("sibling {sibling}");
}

fn leave_one_behind() {
    let child = command("pause").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    println!("left {}", child.expect("a child").id());
}

fn overrun_the_tracer() {
    stop_the_tracer();
    common::load::threads(3_000);
    continue_the_tracer();
}

/// The code and the message of a failed span.
fn failure(span: &Span) -> Option<&str> {
    let status = span.status.as_ref()?;
    assert_eq!(status.code, 2);
    Some(&status.message)
}

fn spans_are_the_tree_of_the_command() {
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &[], "family");
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let (spans, ids) = (receiver.spans(), printed_ids(&output.stdout));
    let [own, killed, child, failing] =
        ["own", "die_by_9", "have_a_failing_child", "failing"].map(|name| ids[name]);
    assert_eq!(spans.0.len(), 4, "{spans:?}");
    assert_eq!(spans.root(), spans.of(own));
    assert!(spans.root().parent_span_id.is_empty());
    for (pid, parent) in [(killed, own), (child, own), (failing, child)] {
        assert_eq!(spans.parent_of(pid), Some(parent));
        assert_eq!(number(&spans.of(pid).attributes, "process.parent_pid"), i64::from(parent));
    }
    for (pid, message) in [
        (own, Some("exit 7")),
        (killed, Some("killed by SIGKILL")),
        (child, None),
        (failing, Some("exit 3")),
    ] {
        assert_eq!(failure(spans.of(pid)), message, "{pid}");
    }
    let code = |pid| number(&spans.of(pid).attributes, "process.exit.code");
    assert_eq!([own, child, failing].map(code), [7, 0, 3]);
    let name = std::env::current_exe().expect("a path");
    let name = name.file_name().expect("a name").to_str().expect("UTF-8");
    let outer = spans.of(own);
    for span in spans.0.values() {
        assert_eq!(span.trace_id, outer.trace_id);
        // Over the socket, a short process can be over before its name is read.
        let is_known = transport() == Transport::Ring || span == outer;
        assert!(span.name == name || !is_known, "{span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(outer.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= outer.end_time_unix_nano);
        let has_usage =
            attributes(&span.attributes).contains_key("proc_connector.usage.cpu.user_ns");
        assert_eq!(has_usage, transport() == Transport::Ring);
    }
    let stderr = text(&output.stderr);
    let id = hex(&outer.trace_id);
    let last = format!("4 spans of trace {id} sent to {}/v1/traces", receiver.url);
    assert_eq!(stderr.lines().last(), Some(&*last), "{stderr}");
}

/// The compiler is a script that notes its process id and its parent's.
fn a_build_is_a_trace() {
    if [&["make", "--version"], &["cc", "--version"]].iter().any(|words| {
        !Command::new(words[0]).arg(words[1]).output().is_ok_and(|out| out.status.success())
    }) {
        common::skip("needs make and cc");
    }
    let scratch = Scratch::new("span-build");
    let log = scratch.file("log");
    let compiler = format!("#!/bin/sh\necho $$ $PPID $1 >> {log}\nexec cc -c \"$1\"\n");
    fs::write(scratch.file("compiler"), compiler).expect("a file");
    for name in ["a", "b", "c", "d"] {
        fs::write(scratch.file(&format!("{name}.c")), format!("int {name};\n")).expect("a file");
    }
    let makefile = "all: a.o b.o c.o d.o\n%.o: %.c\n\tsh ./compiler $<\n";
    fs::write(scratch.file("Makefile"), makefile).expect("a file");
    let receiver = Receiver::start(0);
    let directory = scratch.directory().to_str().expect("UTF-8").to_owned();
    let arguments =
        ["trace", "--otlp", "--endpoint", &*receiver.url, "--transport", transport_name()];
    let build = ["--", "make", "-j2", "-C", &*directory];
    let output = program(&[&arguments[..], &build].concat()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let spans = receiver.spans();
    let make = spans.root();
    assert_eq!(make.name, "make");
    let log = fs::read_to_string(&log).expect("a file");
    assert_eq!(log.lines().count(), 4, "{log}");
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [pid, parent] = [0, 1].map(|word| words[word].parse().expect("a number"));
        let span = spans.of(pid);
        assert_eq!(spans.parent_of(pid), Some(parent), "{line}");
        assert_eq!(spans.of(parent), make);
        assert_eq!(failure(span), None, "{line}");
        // Over the socket, a short process can be over before its name is read.
        if transport() == Transport::Ring {
            assert_eq!(span.name, "cc", "{line}");
            // The compiler proper and the assembler are its children.
            let children = spans.0.values().filter(|child| child.parent_span_id == span.span_id);
            let names: BTreeSet<&str> = children.map(|child| &*child.name).collect();
            assert!(names.contains("cc1") && names.contains("as"), "{names:?}");
            let args = texts(&span.attributes, "process.command_args");
            assert_eq!(args[args.len() - 2..], ["-c", words[2]], "{line}");
        }
    }
}

fn executed_programs_are_events() {
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &[], "execute_twice");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (spans, ids) = (receiver.spans(), printed_ids(&output.stdout));
    let span = spans.of(ids["own"]);
    assert_eq!(spans.0.len(), 1);
    assert_eq!(span.events.len(), 3, "{span:?}");
    assert!(span.events.iter().all(|event| event.name == "process.exec"));
    let times: Vec<u64> = span.events.iter().map(|event| event.time_unix_nano).collect();
    assert!(times.is_sorted(), "{times:?}");
    if transport() == Transport::Ring {
        let last = |event: usize| {
            texts(&span.events[event].attributes, "process.command_args")[1..].to_vec()
        };
        assert_eq!([last(0), last(1), last(2)], [vec![], vec!["second"], vec!["third"]]);
        assert_eq!(texts(&span.attributes, "process.command_args")[1], "third");
    }
}

fn arguments_are_redacted() {
    let receiver = Receiver::start(0);
    let shell = ["sh", "-c", "true --password=secret; exit 0", "sh", "--password=secret"];
    let arguments =
        ["trace", "--otlp", "--endpoint", &*receiver.url, "--transport", transport_name()];
    let output =
        program(&[&arguments, &["--redact", "*password*", "--"][..], &shell].concat()).output();
    let output = output.expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let spans = receiver.spans();
    let root = spans.root();
    if transport() == Transport::Ring {
        let args = texts(&root.attributes, "process.command_args");
        assert_eq!(args.last(), Some(&"--password=***"), "{args:?}");
    }
    let (receiver, anonymous) = (Receiver::start(0), ["--anonymous", "--"]);
    let arguments =
        ["trace", "--otlp", "--endpoint", &*receiver.url, "--transport", transport_name()];
    let output = program(&[&arguments[..], &anonymous, &shell].concat()).output();
    assert_eq!(output.expect("the program runs").status.code(), Some(0));
    let spans = format!("{:?}", receiver.spans());
    assert!(!spans.contains("secret") && !spans.contains("\"sh\""), "{spans}");
}

fn a_sibling_has_a_link_to_its_parent() {
    if transport() != Transport::Ring {
        common::skip("only the ring has the creator of a process");
    }
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &[], "have_a_creator_of_siblings");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (spans, ids) = (receiver.spans(), printed_ids(&output.stdout));
    let sibling = spans.of(ids["sibling"]);
    assert_eq!(spans.parent_of(ids["sibling"]), Some(ids["creator"]));
    let [link] = sibling.links.as_slice() else { panic!("{sibling:?}") };
    assert_eq!(link.span_id, spans.of(ids["own"]).span_id);
    assert_eq!(number(&sibling.attributes, "process.parent_pid"), i64::from(ids["own"]));
    assert!(spans.of(ids["creator"]).links.is_empty());
}

fn a_process_that_continues_has_no_status() {
    let receiver = Receiver::start(0);
    let options = ["--otlp", "--endpoint", &*receiver.url];
    let mut child =
        trace(&options, "leave_one_behind").stdin(Stdio::piped()).spawn().expect("a process");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("an exit status");
    // The end of its input ends the process.
    drop(stdin);
    let (spans, ids) = (receiver.spans(), printed_ids(&output.stdout));
    let left = spans.of(ids["left"]);
    let attributes = attributes(&left.attributes);
    assert!(attributes.contains_key("proc_connector.running"), "{left:?}");
    assert!(!attributes.contains_key("process.exit.code") && left.status.is_none(), "{left:?}");
}

fn a_loss_marks_the_span_of_the_command() {
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &["--buffer", "100"], "overrun_the_tracer");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let spans = receiver.spans();
    let root = spans.root();
    let total = number(&root.attributes, "proc_connector.lost.count");
    let losses = root.events.iter().filter(|event| event.name == "process.lost");
    let counts: Vec<i64> =
        losses.map(|event| number(&event.attributes, "proc_connector.lost.count")).collect();
    assert_eq!(counts.iter().sum::<i64>(), total, "{root:?}");
    // Each of the threads causes two events; up to two thousand were queued.
    assert!(total >= 4_000, "{root:?}");
}

fn a_receiver_that_is_busy_gets_the_spans_later() {
    let receiver = Receiver::start(2);
    let output = traced(&receiver, &[], "exit_3");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(receiver.spans().0.len(), 1);
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("trying for 30s to send the spans").count(), 1, "{stderr}");
}

/// The receiver would accept the second attempt.
fn a_wrong_setting_ends_the_attempts_at_once() {
    for (status, part) in [("401 Unauthorized", "--header-file"), ("404 Not Found", "4318")] {
        let receiver = Receiver::refusing(1, status);
        let output = traced(&receiver, &[], "exit_3");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(receiver.all().is_empty());
        let last = stderr.lines().last().expect("a message");
        assert!(last.starts_with("proc-connector: 1 of 1 spans of trace "), "{stderr}");
        assert!(last.contains(&status[..3]) && last.contains(part), "{stderr}");
        assert!(!stderr.contains("trying"), "{stderr}");
    }
}

fn a_failure_to_send_is_reported_and_keeps_the_exit_status() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for (role, code) in [("exit_0", 0), ("exit_3", 3), ("die_by_9", 137)] {
        let options = ["--otlp", "--endpoint", &*url, "--grace", "0s", "--quiet"];
        let output = trace(&options, role).output().expect("the program runs");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with("proc-connector: 1 of 1 spans of trace "), "{stderr}");
        assert!(stderr.contains("no program listens") && stderr.lines().count() == 1, "{stderr}");
    }
}

fn options_for_spans_require_each_other() {
    for options in [["--endpoint", "http://localhost"], ["--grace", "1s"]] {
        let output = run(&[&["trace"][..], &options, &["--", "true"]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("--otlp"), "{}", text(&output.stderr));
    }
    let output = run(&["trace", "--otlp", "--endpoint", "localhost:4318", "--", "echo", "no"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(text(&output.stderr).contains("start it with http://"), "{}", text(&output.stderr));
}

fn a_disabled_exporter_runs_the_command() {
    let mut program = program(&["trace", "--otlp", "--quiet", "--", "echo", "yes"]);
    let output = program.env("OTEL_SDK_DISABLED", "true").output().expect("the program runs");
    if output.status.code() == Some(1) {
        common::skip("needs the connector");
    }
    assert_eq!(text(&output.stdout), "yes\n");
    let stderr = text(&output.stderr);
    assert_eq!(stderr, "proc-connector: no spans are sent: OTEL_SDK_DISABLED is true\n");
}
