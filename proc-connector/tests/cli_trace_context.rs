//! `trace --otlp`: the context of a trace, from the environment and for the command, and nested traces.

mod common;

use std::process::{Command, ExitCode};

use common::helper_process::command;
use common::named;
use common::program::{PROGRAM, text};
use common::roles::exit_0;
use common::spans::{Receiver, hex, traced};
use common::tracing::trace;

fn main() -> ExitCode {
    let live = named![
        the_command_gets_the_context_of_its_span,
        a_trace_of_the_environment_is_continued,
        an_invalid_context_is_reported_and_not_passed_on,
        a_trace_that_is_not_sampled_is_passed_on_and_not_sent,
        a_sampler_decides_what_is_sent,
        nested_traces_send_each_process_once,
        a_nested_trace_with_another_receiver_is_sent_by_itself,
        a_trace_that_has_ended_sends_nothing_for_others,
    ];
    let roles = named![exit_0, print_context, print_outer, trace_another];
    common::main_with(&roles, &[], &live)
}

fn print_context() {
    for name in ["TRACEPARENT", "TRACESTATE"] {
        println!("{name}={}", std::env::var(name).unwrap_or_else(|_| "unset".to_owned()));
    }
}

fn print_outer() {
    for name in ["TRACEPARENT", "PROC_CONNECTOR_TRACE"] {
        println!("{name}={}", std::env::var(name).expect("a variable"));
    }
}

/// Traces another command, whose receiver the environment names.
fn trace_another() {
    let mut inner = Command::new(PROGRAM);
    let traced = command("print_context");
    inner.args(["trace", "--otlp", "--quiet", "--"]).arg(traced.get_program());
    inner.envs(traced.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut child = inner.spawn().expect("the program runs");
    eprintln!("inner {}", child.id());
    assert!(child.wait().expect("an exit status").success());
}

fn the_command_gets_the_context_of_its_span() {
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &[], "print_context");
    let spans = receiver.spans();
    let root = spans.root();
    let context = format!("00-{}-{}-01", hex(&root.trace_id), hex(&root.span_id));
    assert_eq!(text(&output.stdout), format!("TRACEPARENT={context}\nTRACESTATE=unset\n"));
    assert!(root.parent_span_id.is_empty());
    // Another trace has another id.
    let other = traced(&receiver, &[], "print_context");
    assert_ne!(text(&other.stdout), text(&output.stdout));
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn a_trace_of_the_environment_is_continued() {
    let receiver = Receiver::start(0);
    let mut traced = trace(&["--otlp", "--endpoint", &receiver.url], "print_context");
    traced.env("TRACEPARENT", format!("00-{TRACE}-{PARENT}-01")).env("TRACESTATE", "a=1,b=2");
    let output = traced.output().expect("the program runs");
    let spans = receiver.spans();
    let root = spans.root();
    assert_eq!((hex(&root.trace_id), hex(&root.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(root.trace_state, "a=1,b=2");
    let context = format!("00-{TRACE}-{}-01", hex(&root.span_id));
    assert_eq!(text(&output.stdout), format!("TRACEPARENT={context}\nTRACESTATE=a=1,b=2\n"));
    assert_ne!(hex(&root.span_id), PARENT);
}

fn an_invalid_context_is_reported_and_not_passed_on() {
    let receiver = Receiver::start(0);
    let mut traced = trace(&["--otlp", "--endpoint", &receiver.url], "print_context");
    traced.env("TRACEPARENT", format!("00-{TRACE}-{}-01", "0".repeat(16))).env("TRACESTATE", "a=1");
    let output = traced.output().expect("the program runs");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("proc-connector: TRACEPARENT is ignored"), "{stderr}");
    let spans = receiver.spans();
    assert!(spans.root().parent_span_id.is_empty());
    assert_ne!(hex(&spans.root().trace_id), TRACE);
    assert!(text(&output.stdout).ends_with("TRACESTATE=unset\n"), "{}", text(&output.stdout));
}

/// The context of a span that is not sampled.
fn unsampled() -> String {
    format!("00-{TRACE}-{PARENT}-00")
}

fn a_trace_that_is_not_sampled_is_passed_on_and_not_sent() {
    let receiver = Receiver::start(0);
    let mut traced = trace(&["--otlp", "--endpoint", &receiver.url], "print_context");
    traced.env("TRACEPARENT", unsampled()).env("TRACESTATE", "a=1");
    let output = traced.output().expect("the program runs");
    assert_eq!(text(&output.stdout), format!("TRACEPARENT={}\nTRACESTATE=a=1\n", unsampled()));
    assert!(receiver.all().is_empty());
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("proc-connector: ").count(), 1, "{stderr}");
    assert!(stderr.starts_with("proc-connector: no spans are sent: the trace of "), "{stderr}");
}

fn a_sampler_decides_what_is_sent() {
    let new = "of a new trace";
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    for (sampler, parent, is_sent, part) in [
        ("always_on", Some(unsampled()), true, " sent to "),
        ("always_on", None, true, " sent to "),
        ("always_off", Some(sampled.clone()), false, "no spans are sent: OTEL_TRACES_SAMPLER"),
        ("always_off", None, false, "no spans are sent: OTEL_TRACES_SAMPLER is always_off"),
        ("parentbased_always_off", Some(sampled), true, " sent to "),
        ("xray", Some(unsampled()), false, "the sampler xray is not supported"),
        ("xray", None, true, "the sampler xray is not supported"),
    ] {
        let receiver = Receiver::start(0);
        let mut traced = trace(&["--otlp", "--endpoint", &receiver.url], "print_context");
        traced.env("OTEL_TRACES_SAMPLER", sampler).env_remove("TRACEPARENT");
        traced.envs(parent.as_ref().map(|parent| ("TRACEPARENT", parent)));
        let output = traced.output().expect("the program runs");
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let about = format!("{sampler} {}: {stderr}", parent.as_deref().unwrap_or(new));
        assert_eq!(receiver.all().len(), usize::from(is_sent), "{about}");
        assert!(stderr.contains(part), "{about}");
        let context = stdout.lines().next().expect("a context");
        assert!(context.ends_with(if is_sent { "-01" } else { "-00" }), "{about}{context}");
        assert_eq!(context.contains(TRACE), parent.is_some(), "{about}{context}");
    }
}

fn nested_traces_send_each_process_once() {
    let receiver = Receiver::start(0);
    let mut outer = trace(&["--otlp"], "trace_another");
    outer.env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url).env_remove("TRACEPARENT");
    let output = outer.output().expect("the program runs");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let spans = receiver.spans();
    assert_eq!(spans.0.len(), 3, "{spans:?}");
    let root = spans.root();
    let inner = stderr.lines().find_map(|line| line.strip_prefix("inner "));
    let inner = inner.expect("a process id").parse().expect("a number");
    assert_eq!(spans.of(inner).parent_span_id, root.span_id);
    assert!(spans.0.keys().any(|&pid| spans.parent_of(pid) == Some(inner)), "{spans:?}");
    let context = format!("00-{}-{}-01", hex(&root.trace_id), hex(&root.span_id));
    assert!(text(&output.stdout).starts_with(&format!("TRACEPARENT={context}\n")));
}

fn a_nested_trace_with_another_receiver_is_sent_by_itself() {
    let [outer, inner] = [(); 2].map(|()| Receiver::start(0));
    let mut traced = trace(&["--otlp", "--endpoint", &outer.url], "trace_another");
    traced.env("OTEL_EXPORTER_OTLP_ENDPOINT", &inner.url).env_remove("TRACEPARENT");
    let output = traced.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (outer, inner) = (outer.spans(), inner.spans());
    assert_eq!((outer.0.len(), inner.0.len()), (3, 1));
    assert_eq!(inner.root().parent_span_id, outer.root().span_id);
}

/// The variables outlive the program that has set them, for example in a server that it started.
fn a_trace_that_has_ended_sends_nothing_for_others() {
    let receiver = Receiver::start(0);
    let output = traced(&receiver, &[], "print_outer");
    let mut later = trace(&["--otlp", "--endpoint", &receiver.url], "exit_0");
    let variables: Vec<(&str, &str)> =
        text(&output.stdout).lines().filter_map(|line| line.split_once('=')).collect();
    assert!(variables[1].1.ends_with(&format!(" {}/v1/traces", receiver.url)), "{variables:?}");
    later.envs(variables);
    let output = later.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(receiver.spans().0.len(), 2);
}
