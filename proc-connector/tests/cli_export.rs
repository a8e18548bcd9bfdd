//! `export otlp`: what a receiver gets.

mod common;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::flood::{Flood, floods_with_pauses};
use common::helper_process::{HelperProcess, command, exec_role, pause};
use common::listening::listening;
use common::load::OnDrop;
use common::named;
use common::otlp::{Receiver, Record, store_requests, stored_records, write_body};
use common::program::{Running, program, run, text};
use common::scratch::Scratch;
use nix::sys::signal::{self, Signal, raise};
use nix::unistd::Pid;

fn main() -> ExitCode {
    let roles = named![exits_3, is_killed, executes, receives, floods_with_pauses];
    let live = named![
        records_have_what_the_processes_did,
        arguments_are_sent_on_request_and_redacted,
        requests_of_few_records_are_small,
        records_wait_for_a_receiver_and_for_the_next_run,
        a_decoder_in_python_reads_the_same,
        nothing_is_lost_unreported_if_either_side_is_killed,
    ];
    common::main_with(&roles, &named![settings_that_cannot_be_used_are_rejected], &live)
}

fn settings_that_cannot_be_used_are_rejected() {
    let scratch = Scratch::new("settings");
    let spool = scratch.file("spool");
    for options in [
        &["--endpoint", "localhost"][..],
        &["--spool-size", "1M"],
        &["--batch-size", "many"],
        &["--batch-age", "1"],
        &["--header-file", "authorization"],
    ] {
        let output = run(&[&["export", "otlp", "--spool", &spool][..], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(!output.stderr.is_empty(), "{options:?}");
    }
    let mut disabled = program(&["export", "otlp", "--spool", &spool]);
    let output = disabled.env("OTEL_SDK_DISABLED", "true").output().expect("the program runs");
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("OTEL_SDK_DISABLED is true"));
    assert!(scratch.names().is_empty(), "nothing was written");
}

fn exits_3() {
    std::process::exit(3)
}

fn is_killed() {
    raise(Signal::SIGKILL).expect("an end");
}

/// Executes another role after a pause.
fn executes() {
    pause();
    exec_role("exits_3")
}

/// A running exporter, and its receiver.
struct Exporter {
    receiver: Receiver,
    running: Running,
    scratch: Scratch,
}

impl Exporter {
    /// Starts the exporter with a spool in a directory of this name, and waits until it receives events.
    fn start(name: &str, options: &[&str]) -> Self {
        let (receiver, scratch) = (Receiver::start(), Scratch::new(name));
        let running = start(&receiver.url(), &scratch.file("spool"), options);
        let exporter = Self { receiver, running, scratch };
        exporter.wait_until_it_listens();
        exporter
    }

    fn wait_until_it_listens(&self) {
        let marks = RefCell::new(Vec::new());
        self.receiver.wait_for(|records| {
            marks.borrow_mut().push(exit(command("exits_3")).0);
            let marks = marks.borrow();
            records.iter().any(|record| marks.iter().any(|&pid| record.is("process.exit", pid)))
        });
    }

    /// Ends the exporter. Returns all records, and its messages.
    fn end(self) -> (Vec<Record>, String) {
        let (_, output) = self.running.end_by(Signal::SIGINT);
        let messages = text(&output.stderr).to_owned();
        assert!(output.status.success(), "{messages}");
        (self.receiver.records(), messages)
    }
}

fn start(url: &str, spool: &str, options: &[&str]) -> Running {
    let common = [
        "export",
        "otlp",
        "--duration",
        "60s",
        "--batch-age",
        "100ms",
        "--endpoint",
        url,
        "--spool",
        spool,
        "--transport",
        common::transport_name(),
    ];
    Running::start(&mut program(&[&common, options].concat()))
}

/// Runs a command to its end. Returns its process id and status.
fn exit(mut command: Command) -> (u32, ExitStatus) {
    let mut child = command.spawn().expect("this binary can be started");
    (child.id(), child.wait().expect("an exit status"))
}

fn only<'a>(records: &'a [Record], name: &str, pid: u32) -> &'a Record {
    let mut found = records.iter().filter(|record| record.is(name, pid));
    let record = found.next().unwrap_or_else(|| panic!("no {name} of {pid}"));
    assert!(found.next().is_none(), "{name} of {pid} occurs once");
    record
}

fn records_have_what_the_processes_did() {
    let exporter = Exporter::start("records", &[]);
    let before = std::time::SystemTime::now();
    let (exited, _) = exit(command("exits_3"));
    let (killed, _) = exit(command("is_killed"));
    let mut executes = HelperProcess::start("executes");
    let executing = executes.pid();
    executes.resume();
    executes.wait();
    exporter.receiver.wait_for(|records| {
        [exited, killed, executing]
            .iter()
            .all(|&pid| records.iter().any(|record| record.is("process.exit", pid)))
    });
    let (records, messages) = exporter.end();
    assert!(messages.contains(" lost, "), "{messages}");

    let me = i64::from(std::process::id());
    let exe = std::env::current_exe().expect("/proc is mounted");
    let current = std::env::current_dir().expect("a directory");
    for (pid, code, signal) in
        [(exited, Some(3), None), (killed, None, Some(9)), (executing, Some(3), None)]
    {
        let fork = only(&records, "process.fork", pid);
        let end = only(&records, "process.exit", pid);
        assert_eq!(fork.number("process.parent_pid"), Some(me));
        assert_eq!(end.number("process.exit.code"), code);
        assert_eq!(end.number("proc_connector.exit.signal"), signal);
        assert_eq!(end.text("process.creation.time"), fork.text("process.creation.time"));
        assert!(end.text("process.creation.time").is_some());
        // Over the socket, `/proc` may be read too late.
        let name = end.text("process.executable.name");
        assert!(name == exe.file_name().expect("a name").to_str() || name.is_none() && is_late());
        let since = before.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(u128::from(fork.message.time_unix_nano) + 1_000_000 >= since.as_nanos());
        assert!(fork.message.time_unix_nano <= end.message.time_unix_nano);
        assert!(fork.message.observed_time_unix_nano >= fork.message.time_unix_nano);
        for exec in records.iter().filter(|record| record.is("process.exec", pid)) {
            let path = exec.text("process.executable.path");
            assert!(path == exe.to_str() || path.is_none() && is_late());
            let user = exec.number("process.user.id");
            assert!(user == Some(my_uid()) || user.is_none() && is_late(), "{user:?}");
            assert!(exec.texts("process.command_args").is_none(), "arguments are private");
            let directory = exec.text("process.working_directory");
            assert!(directory == current.to_str() || directory.is_none() && is_late());
        }
        let execs = records.iter().filter(|record| record.is("process.exec", pid)).count();
        assert_eq!(execs, if pid == executing { 2 } else { 1 });
    }
    let mut uids: Vec<&str> = records.iter().map(Record::uid).collect();
    uids.sort_unstable();
    let all = uids.len();
    uids.dedup();
    assert_eq!(uids.len(), all, "ids are unique");
}

fn my_uid() -> i64 {
    nix::unistd::geteuid().as_raw().into()
}

/// Whether values of a process are read from `/proc` after its event.
fn is_late() -> bool {
    common::transport_name() == "socket"
}

fn arguments_are_sent_on_request_and_redacted() {
    let exporter = Exporter::start("arguments", &["--arguments", "--redact", "*password*"]);
    let mut with_arguments = command("exits_3");
    with_arguments.args(["--password", "secret", "a b"]);
    let (pid, _) = exit(with_arguments);
    exporter.receiver.wait_for(|records| records.iter().any(|one| one.is("process.exit", pid)));
    let (records, _) = exporter.end();
    let arguments = only(&records, "process.exec", pid).texts("process.command_args");
    match arguments {
        None => assert!(is_late()),
        Some(arguments) => assert_eq!(arguments[1..], ["--password", "***", "a b"]),
    }
}

/// The bytes of the headers of a request, as a receiver on loopback counted them.
const HEADERS: usize = 170;

fn requests_of_few_records_are_small() {
    for (processes, limit) in [(2, 200), (5, 100), (17, 60), (167, 45)] {
        let (receiver, scratch) = (Receiver::start(), Scratch::new("small"));
        let (tree, spool) = (std::process::id().to_string(), scratch.file("spool"));
        let (url, transport) = (receiver.url(), common::transport_name());
        let mut exporter = program(&["export", "otlp", "--processes", "--batch-age", "60s"]);
        exporter.args(["--tree", &tree, "--endpoint", &url, "--spool", &spool]);
        exporter.args(["--transport", transport]);
        let exporter = listening(exporter);
        for _ in 0..processes {
            assert!(exit(Command::new("true")).1.success());
        }
        let pid = exporter.id().try_into().expect("a pid");
        signal::kill(Pid::from_raw(pid), Signal::SIGINT).expect("a child that runs");
        let output = exporter.wait_with_output().expect("an exit status");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let [body] = &*receiver.bodies() else { panic!("{} requests", receiver.bodies().len()) };
        let records = common::otlp::records(body).len();
        assert_eq!(records, processes * 3, "a fork, an exec and an exit each");
        let size = (body.len() + HEADERS).div_ceil(records);
        println!("{records} events in a request: {size} bytes an event, with headers");
        assert!(size <= limit, "{records} events: {size} bytes an event");
    }
}

fn records_wait_for_a_receiver_and_for_the_next_run() {
    let exporter = Exporter::start("waiting", &[]);
    let spool = exporter.scratch.file("spool");
    let second = run(&["export", "otlp", "--spool", &spool, "--duration", "1s"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another exporter uses the spool"));
    exporter.receiver.answer(503);
    let (pid, _) = exit(command("exits_3"));
    // The records of a later batch follow those of an earlier one.
    thread::sleep(Duration::from_millis(300));
    let Exporter { receiver, running, scratch } = exporter;
    let (_, output) = running.end_by(Signal::SIGINT);
    let messages = text(&output.stderr);
    assert!(messages.contains("the receiver does not accept records"), "{messages}");
    assert!(messages.contains("records wait in the spool for the next run"), "{messages}");
    assert!(!receiver.records().iter().any(|record| record.is("process.exit", pid)));

    receiver.answer(200);
    let running = start(&receiver.url(), &scratch.file("spool"), &[]);
    let records =
        receiver.wait_for(|records| records.iter().any(|record| record.is("process.exit", pid)));
    assert_eq!(only(&records, "process.exit", pid).number("process.exit.code"), Some(3));
    let (_, output) = running.end_by(Signal::SIGINT);
    let messages = text(&output.stderr);
    assert!(messages.contains("records of an earlier run wait to be sent"), "{messages}");
}

/// Decodes with the package `opentelemetry-proto` of Python, which shares no code with this program.
fn a_decoder_in_python_reads_the_same() {
    let python = std::env::var_os("PROC_CONNECTOR_PYTHON").unwrap_or("python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/decode_otlp.py");
    let has_package = Command::new(&python)
        .args(["-c", "import opentelemetry.proto"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_package {
        assert!(std::env::var_os("PROC_CONNECTOR_REQUIRE_PYTHON").is_none(), "a missing package");
        common::skip("needs Python with the package opentelemetry-proto");
    }
    let exporter = Exporter::start("python", &["--arguments"]);
    let (pid, _) = exit(command("exits_3"));
    exporter.receiver.wait_for(|records| records.iter().any(|one| one.is("process.exit", pid)));
    let bodies = exporter.receiver.bodies();
    let scratch = Scratch::new("bodies");
    for body in bodies {
        let path = scratch.file("body");
        write_body(&path, &body);
        let output = Command::new(&python).args([script, &path]).output().expect("Python runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = common::program::json_lines(&output.stdout);
        let records = common::otlp::records(&body);
        assert_eq!(lines.len(), records.len());
        for (line, record) in lines.iter().zip(&records) {
            assert_eq!(line["event_name"], record.name());
            assert_eq!(line["time"], record.message.time_unix_nano);
            let attributes = line["attributes"].as_object().expect("an object");
            assert_eq!(attributes.len(), record.attributes.len());
            assert_eq!(attributes["log.record.uid"], record.uid());
            assert_eq!(
                attributes.get("process.pid").and_then(serde_json::Value::as_i64),
                record.number("process.pid")
            );
        }
    }
    exporter.end();
}

/// The variables of the role [`receives`].
const PORT: &str = "PROC_CONNECTOR_TEST_PORT";
const DIRECTORY: &str = "PROC_CONNECTOR_TEST_DIRECTORY";

fn receives() {
    let port = std::env::var(PORT).expect("a variable").parse().expect("a port");
    store_requests(port, Path::new(&std::env::var_os(DIRECTORY).expect("a variable")));
}

fn start_receiver(port: u16, directory: &Path) -> Child {
    let mut command = command("receives");
    command.env(PORT, port.to_string()).env(DIRECTORY, directory);
    command.spawn().expect("this binary can be started")
}

fn kill(mut child: Child) {
    child.kill().expect("a child that runs");
    child.wait().expect("an exit status");
}

fn nothing_is_lost_unreported_if_either_side_is_killed() {
    let scratch = Scratch::new("killed");
    let (spool, requests) = (scratch.file("spool"), PathBuf::from(scratch.file("requests")));
    std::fs::create_dir(&requests).expect("a writable directory");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let url = format!("http://127.0.0.1:{port}");

    // Listens all the time, so that the kernel numbers all events.
    let mut witness = common::open_live();
    let is_over = AtomicBool::new(false);
    let observed = thread::scope(|scope| {
        let _end = OnDrop(|| is_over.store(true, Relaxed));
        let listening = scope.spawn(|| {
            let mut events = HashSet::new();
            while !is_over.load(Relaxed) {
                let batch = witness.recv_batch_timeout(Duration::from_millis(10));
                for received in batch.expect("a batch") {
                    match received {
                        proc_connector::Received::Event(event) => {
                            events.insert((event.cpu(), event.seq()));
                        }
                        proc_connector::Received::Lost(lost) => panic!("too busy: {lost:?}"),
                    }
                }
            }
            events
        });
        let flood = Flood::start_with_pauses();
        let mut receiver = start_receiver(port, &requests);
        let exporter_options = ["--batch-size", "500"];
        let mut exporter = start(&url, &spool, &exporter_options);
        let began = Instant::now();
        let mut random = std::process::id();
        while began.elapsed() < Duration::from_secs(6) {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            thread::sleep(Duration::from_millis((random >> 16).rem_euclid(600).into()));
            if random >> 31 == 0 {
                kill(exporter.child);
                exporter = start(&url, &spool, &exporter_options);
            } else {
                kill(receiver);
                receiver = start_receiver(port, &requests);
            }
        }
        drop(flood);
        let marks = RefCell::new(Vec::new());
        let deadline = common::Deadline::new();
        loop {
            marks.borrow_mut().push(exit(command("exits_3")).0);
            let records = stored_records(&requests);
            let is_mark =
                |record: &Record| marks.borrow().iter().any(|&pid| record.is("process.exit", pid));
            if records.iter().any(is_mark) {
                break;
            }
            assert!(deadline.left().is_some(), "the last events were not received");
            thread::sleep(Duration::from_millis(100));
        }
        let (_, output) = exporter.end_by(Signal::SIGINT);
        assert!(output.status.success(), "{}", text(&output.stderr));
        kill(receiver);
        is_over.store(true, Relaxed);
        listening.join().expect("a thread without a panic")
    });

    let records = stored_records(&requests);
    let mut uids = HashSet::new();
    let unique: Vec<&Record> = records.iter().filter(|record| uids.insert(record.uid())).collect();
    let received: HashSet<(u32, u32)> = unique.iter().filter_map(|one| sequence(one)).collect();
    let losses = unique.iter().filter_map(|record| record.number("proc_connector.lost.count"));
    let reported: u64 = losses.map(|count| u64::try_from(count).expect("a count")).sum();

    // From the first to the last received event of each CPU.
    let (mut numbers, mut missing) = (0, 0);
    let cpus: HashSet<u32> = received.iter().map(|&(cpu, _)| cpu).collect();
    for cpu in cpus {
        let of_cpu = || received.iter().filter(|of| of.0 == cpu).map(|of| of.1);
        let (first, last) = (of_cpu().min().expect("an event"), of_cpu().max().expect("an event"));
        numbers += u64::from(last - first) + 1;
        let all = observed.iter().filter(|of| of.0 == cpu && (first..=last).contains(&of.1));
        missing += all.filter(|event| !received.contains(event)).count() as u64;
    }
    let acknowledged = numbers - missing - received.len() as u64;
    println!(
        "{} received, {missing} missing, {reported} reported, {acknowledged} acknowledgements",
        received.len()
    );
    assert!(missing > 0, "a kill loses the events in memory");
    assert!(reported >= missing, "{missing} are missing, {reported} were reported");
    // A busy exporter can also lose events before the first and after the last one that it sends. The
    // kernel also numbers acknowledgements: of each start, and to other listeners.
    let unreceived = observed.difference(&received).count() as u64;
    assert!(reported <= unreceived + acknowledged, "{unreceived} missing, {reported} reported");
}

/// The CPU and the sequence number in the id of an event.
fn sequence(record: &Record) -> Option<(u32, u32)> {
    if record.name() == "process.lost" {
        return None;
    }
    let mut parts = record.uid().rsplit('-').map(|part| u32::from_str_radix(part, 16));
    let mut part = || parts.next().expect("a part").expect("a number");
    let (seq, _, cpu) = (part(), part(), part());
    Some((cpu, seq))
}
