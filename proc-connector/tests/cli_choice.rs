//! Selecting processes: by id, and by all of their names.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use common::failure::assert_fails;
use common::listening::listening;
use common::program::{program, run, text};
use common::scratch::Scratch;
use common::{CAP_SETUID, Deadline, NOBODY, named, require_capability, terminal, transport_name};
use serde_json::Value;

fn main() -> ExitCode {
    let live = named![
        choosing_a_missing_process_is_an_error,
        a_thread_is_not_a_process,
        a_choice_without_a_match_is_reported_on_a_terminal,
        scripts_are_selected_by_the_names_that_the_kernel_keeps,
        users_are_selected_by_name_and_id,
    ];
    common::main(&[], &live)
}

/// The arguments of a `watch` with a limited duration.
fn watch<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["watch", "--duration", "60s", "--transport", transport_name()], options].concat()
}

/// An unused process id: that of a reaped process.
fn no_process() -> String {
    let mut child = Command::new("/bin/true").spawn().expect("a child");
    child.wait().expect("an exit status");
    child.id().to_string()
}

fn choosing_a_missing_process_is_an_error() {
    let pid = no_process();
    let gone = format!("no process has the id {pid}");
    let cases: &[(&[&str], &str)] = &[
        (&["--pid", &pid], &gone),
        (&["--json", "--pid", &pid], &gone),
        (&["--tree", &pid], &gone),
        (&["--json", "--who", "--tree", &pid], &gone),
        (&["--user", "no-such-user"], "no user is called no-such-user"),
        (&["--json", "--user", "no\x1b[2Jsuch"], "no\\u{1b}[2Jsuch"),
        (&["--cgroup", "/no/such.slice"], "the cgroup /no/such.slice does not exist"),
    ];
    for (options, message) in cases {
        let arguments = watch(options);
        let output = run(&arguments);
        let errors = assert_fails(&arguments, &output, 1, message);
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    // An existing file is unchanged if nothing can be recorded.
    let scratch = Scratch::new("absent");
    let file = scratch.file("events.pcapng");
    let arguments = ["record", "--pid", &pid, &file];
    assert_fails(&arguments, &run(&arguments), 1, &gone);
    assert!(!Path::new(&file).exists());
}

fn a_thread_is_not_a_process() {
    let (ids, wait) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let thread = std::thread::spawn(move || {
        ids.0.send(nix::unistd::gettid()).expect("a listener");
        let _ = wait.1.recv();
    });
    let (id, process) = (ids.1.recv().expect("an id").to_string(), std::process::id());
    let message = format!("{id} is a thread of process {process}: use {process}");
    for option in ["--pid", "--tree"] {
        let arguments = watch(&[option, &id]);
        assert_fails(&arguments, &run(&arguments), 1, &message);
    }
    drop(wait.0);
    thread.join().expect("an exit status");
}

fn a_choice_without_a_match_is_reported_on_a_terminal() {
    const SAID: &str = "waiting: no process matches yet";
    for (options, is_said) in [
        (&["--comm", "no such name"][..], true),
        (&["--tree", "no such name"], true),
        (&["--json", "--comm", "no such name"], true),
        (&["--user", "3999999999"], true),
        (&["--cgroup", &"4f1c0a9e".repeat(8)], true),
        (&["--comm", "*"], false),
        (&["--tree", "1"], false),
        (&[], false),
    ] {
        let common = ["watch", "--duration", "100ms", "--transport", transport_name()];
        let arguments = [&common[..], options].concat();
        let (status, shown) = terminal::run(&mut program(&arguments), 80);
        assert!(status.success(), "{shown}");
        assert_eq!(shown.matches(SAID).count(), usize::from(is_said), "{options:?}: {shown}");
        let piped = run(&arguments);
        assert!(!text(&piped.stderr).contains("waiting"), "{}", text(&piped.stderr));
    }
}

/// Starts an executable script that ends with its input.
fn start_script(scratch: &Scratch, name: &str, first_line: &str) -> Child {
    let path = scratch.file(name);
    let mut file = fs::File::create(&path).expect("a file");
    writeln!(file, "{first_line}\nread line").expect("a file");
    drop(file);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file");
    let mut command = Command::new(&path);
    command.arg("deploy-everything-else.sh").stdin(Stdio::piped());
    loop {
        match command.spawn() {
            // A child of another thread may still have the file open for writing.
            Err(error) if error.raw_os_error() == Some(nix::libc::ETXTBSY) => {}
            child => return child.expect("a script"),
        }
    }
}

/// Waits until a process runs a script's shell.
fn wait_for_shell(pid: u32) {
    let deadline = Deadline::new();
    loop {
        let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if args.split(|&byte| byte == 0).next() == Some(b"/bin/sh") {
            return;
        }
        assert!(deadline.left().is_some(), "{}", String::from_utf8_lossy(&args));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn scripts_are_selected_by_the_names_that_the_kernel_keeps() {
    let scratch = Scratch::new("scripts");
    for (place, first_line) in ["#!/bin/sh", "#!/bin/sh -e"].iter().enumerate() {
        let name = format!("deploy-everything-{place}.sh");
        for pattern in [name.as_str(), "deploy-every*", "d[de]ploy-ever?thi"] {
            let chosen = start_and_end_until_shown(&["--comm", pattern], || {
                end(start_script(&scratch, "another-script-of-a-long-name.sh", first_line));
                let script = start_script(&scratch, &name, first_line);
                wait_for_shell(script.id());
                script
            });
            assert!(chosen, "{first_line}, {pattern}");
        }
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().expect("an exit status");
}

/// Starts processes, and ends each after a short time, until a `watch` with these options shows the
/// exit of a process. Returns whether it was one of these.
fn start_and_end_until_shown(options: &[&str], start: impl Fn() -> Child) -> bool {
    let common = ["--json", "--events", "exit", "--processes", "--count", "1"];
    let mut watch = listening(program(&watch(&[&common, options].concat())));
    let mut started = Vec::new();
    while watch.try_wait().expect("its state").is_none() {
        let child = start();
        started.push(child.id());
        // Long enough for the process table to read some of them.
        std::thread::sleep(Duration::from_millis(30));
        end(child);
    }
    let output = watch.wait_with_output().expect("an exit status");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout).lines().next().map(serde_json::from_str::<Value>);
    let shown = shown.and_then(Result::ok).and_then(|line| line["tgid"].as_u64());
    shown.is_some_and(|shown| started.iter().any(|&pid| u64::from(pid) == shown))
}

fn users_are_selected_by_name_and_id() {
    require_capability(CAP_SETUID, "CAP_SETUID");
    let name = nix::unistd::User::from_uid(NOBODY.into()).expect("users");
    let name = name.map_or_else(|| NOBODY.to_string(), |user| user.name);
    for user in [NOBODY.to_string(), name] {
        let chosen = start_and_end_until_shown(&["--user", &user], || {
            end(Command::new("/bin/sh")
                .args(["-c", ":"])
                .stdin(Stdio::piped())
                .spawn()
                .expect("a shell"));
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "read line"]).uid(NOBODY).stdin(Stdio::piped());
            command.spawn().expect("a shell")
        });
        assert!(chosen, "{user}");
    }
}
