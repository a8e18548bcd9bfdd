//! Signals: ignored signals stay ignored, and a traced command inherits the caller's signal
//! settings.

mod common;

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use common::helper_process::command;
use common::program::{PROGRAM, Running, Status, program, started_by, started_by_shell, text};
use common::{Deadline, named, transport_name};
use nix::pty::openpty;
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    let everywhere = named![a_replay_leaves_ignored_signals_ignored];
    let live = named![
        every_command_leaves_ignored_signals_ignored,
        the_screen_leaves_ignored_signals_ignored,
        a_background_job_of_a_shell_survives_ctrl_c,
        only_the_user_lookup_has_a_second_thread,
        other_signals_keep_their_actions,
        a_stopped_listener_continues,
        a_trace_works_with_sigchld_ignored,
        a_trace_works_with_sigchld_blocked,
        a_traced_command_inherits_ignored_signals,
        a_traced_command_inherits_the_signal_mask,
        a_traced_command_starts_with_default_actions_and_an_empty_mask,
        a_traced_command_inherits_closed_streams,
        sigterm_reaches_a_command_that_has_just_started,
        a_stopped_and_continued_command_has_not_ended,
    ];
    common::main_with(&named![exit_4_on_sigterm], &everywhere, &live)
}

fn exit_4_on_sigterm() {
    let mut signals = signal_hook::iterator::Signals::new([15]).expect("signals");
    println!("ready");
    signals.forever().next();
    std::process::exit(4)
}

const REQUESTS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The commands that listen, for at most a minute.
fn listening() -> Vec<Vec<&'static str>> {
    let commands: [&[&str]; 4] = [
        &["watch", "--json", "--events", "exec"],
        &["watch"],
        &["record", "/dev/null"],
        &["stats", "--json"],
    ];
    let options = ["--duration", "60s", "--transport", transport_name()];
    commands.iter().map(|command| [command, &options[..]].concat()).collect()
}

/// Sends two signals that are ignored, then one that ends the program.
fn survives(running: Running, ended_by: Signal) {
    let ignored: Vec<Signal> = REQUESTS.into_iter().filter(|&signal| signal != ended_by).collect();
    let status = running.wait_until(|status| status.handles(ended_by));
    for &signal in &ignored {
        assert!(status.ignores(signal) && !status.handles(signal), "{signal}: {status:?}");
        running.send(signal);
    }
    std::thread::sleep(Duration::from_millis(200));
    let mut running = running;
    assert_eq!(running.child.try_wait().expect("its state"), None, "{ignored:?} ended it");
    running.send(ended_by);
    let output = running.end().1;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

fn a_replay_leaves_ignored_signals_ignored() {
    let mut replay = started_by(&["env", "--ignore-signal=INT,HUP"], &["replay", "-"]);
    let mut running = Running::start(replay.stdin(Stdio::piped()));
    let stdin = running.child.stdin.take();
    survives(running, Signal::SIGTERM);
    drop(stdin);
}

fn every_command_leaves_ignored_signals_ignored() {
    for arguments in listening() {
        for (ignored, ended_by) in [("INT,HUP", Signal::SIGTERM), ("TERM,HUP", Signal::SIGINT)] {
            let starter = format!("--ignore-signal={ignored}");
            let mut command = started_by(&["env", &starter], &arguments);
            survives(Running::start(command.stdout(Stdio::piped())), ended_by);
        }
    }
}

fn the_screen_leaves_ignored_signals_ignored() {
    let terminal = openpty(None, None).expect("a terminal");
    let options = ["stats", "--interval", "20ms", "--duration", "60s"];
    let options = [&options[..], &["--transport", transport_name()]].concat();
    let mut command = started_by(&["env", "--ignore-signal=INT,HUP"], &options);
    command.env("TERM", "xterm").stdout(terminal.slave);
    let mut child = command.spawn().expect("a running process");
    drop(command);
    let deadline = Deadline::new();
    while !Status::read(child.id()).handles(Signal::SIGTERM) {
        assert!(deadline.left().is_some());
    }
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().expect("a pid"));
    let send = |signal| nix::sys::signal::kill(pid, signal).expect("a running process");
    send(Signal::SIGINT);
    send(Signal::SIGHUP);
    // The signal of a resized window as well.
    send(Signal::SIGWINCH);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(child.try_wait().expect("its state"), None);
    send(Signal::SIGTERM);
    assert_eq!(child.wait().expect("an exit status").code(), Some(0));
}

fn a_background_job_of_a_shell_survives_ctrl_c() {
    // A shell without job control ignores SIGINT and SIGQUIT in these jobs.
    let script = "\"$@\" & echo $!; wait";
    let words = ["watch", "--json", "--events", "coredump", "--transport", transport_name()];
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", PROGRAM]).args(words).args(["--duration", "60s"]);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut running = Running::start(&mut shell);
    let pid: i32 = running.line().parse().expect("a pid");
    let pid = nix::unistd::Pid::from_raw(pid);
    let of_program = || Status::read(pid.as_raw().try_into().expect("a pid"));
    let deadline = Deadline::new();
    while !of_program().handles(Signal::SIGTERM) {
        assert!(deadline.left().is_some());
    }
    nix::sys::signal::kill(pid, Signal::SIGINT).expect("a running process");
    std::thread::sleep(Duration::from_millis(200));
    assert!(of_program().ignores(Signal::SIGINT), "it lives and ignores it");
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("a running process");
    running.end();
}

fn only_the_user_lookup_has_a_second_thread() {
    for arguments in listening() {
        let running = Running::start(&mut program(&arguments));
        running.wait_until(|status| status.handles(Signal::SIGTERM));
        let mut names = thread_names(running.child.id());
        names.retain(|name| name != "users" && name != "proc-connector");
        assert_eq!(names, [""; 0], "{arguments:?}");
        running.send(Signal::SIGTERM);
        running.end();
    }
    let threads = "grep Threads: /proc/$PPID/status";
    let output = trace(&["env"], &["sh", "-c", threads]).output().expect("a running process");
    assert_eq!(text(&output.stdout).split_whitespace().last(), Some("1"));
}

fn thread_names(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
    let names = threads.filter_map(|thread| name(thread.ok()?));
    names.map(|name| name.trim_end().to_owned()).collect()
}

fn other_signals_keep_their_actions() {
    for arguments in listening() {
        let running = Running::start(&mut program(&arguments));
        let status = running.wait_until(|status| status.handles(Signal::SIGTERM));
        for signal in [Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH] {
            assert!(!status.handles(signal) && !status.ignores(signal), "{signal}");
        }
        running.send(Signal::SIGKILL);
        running.end();
    }
}

fn a_stopped_listener_continues() {
    for arguments in listening() {
        let running = Running::start(&mut program(&arguments));
        running.wait_until(|status| status.handles(Signal::SIGTERM));
        running.send(Signal::SIGTSTP);
        std::thread::sleep(Duration::from_millis(100));
        // While the program is stopped, all signals but SIGCONT stay pending.
        running.send(Signal::SIGINT);
        running.send(Signal::SIGCONT);
        let output = running.end().1;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

/// `trace` of a command, started by another program.
fn trace(starter: &[&str], traced: &[&str]) -> Command {
    let options = ["trace", "--transport", transport_name(), "--"];
    started_by(starter, &[&options[..], traced].concat())
}

/// The signal settings of a traced command whose caller was started by `starter`.
fn of_traced(starter: &[&str]) -> Status {
    let output = trace(starter, &["cat", "/proc/self/status"]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("1 process, 0 failed"), "{}", text(&output.stderr));
    Status::printed(&output.stdout)
}

fn a_trace_works_with_sigchld_ignored() {
    let starter = ["env", "--ignore-signal=CHLD"];
    let output = trace(&starter, &["sh", "-c", "exit 3"]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("1 process, 1 failed"), "{}", text(&output.stderr));
    assert!(of_traced(&starter).ignores(Signal::SIGCHLD));
}

fn a_trace_works_with_sigchld_blocked() {
    let starter = ["env", "--block-signal=CHLD"];
    let output = trace(&starter, &["sh", "-c", "exit 3"]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(of_traced(&starter).blocks(Signal::SIGCHLD));
}

fn a_traced_command_inherits_ignored_signals() {
    for signal in [
        Signal::SIGPIPE,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGCHLD,
        Signal::SIGUSR1,
        Signal::SIGTSTP,
    ] {
        let name = signal.as_str().trim_start_matches("SIG");
        let status = of_traced(&["env", &format!("--ignore-signal={name}")]);
        assert!(status.ignores(signal), "{signal}: {status:?}");
    }
}

fn a_traced_command_inherits_the_signal_mask() {
    let blocked = [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGPIPE, Signal::SIGWINCH];
    let status = of_traced(&["env", "--block-signal=TERM,USR1,PIPE,WINCH"]);
    for signal in blocked {
        assert!(status.blocks(signal), "{signal}: {status:?}");
    }
    assert!(!status.blocks(Signal::SIGCHLD) && !status.blocks(Signal::SIGINT), "{status:?}");
}

fn a_traced_command_starts_with_default_actions_and_an_empty_mask() {
    let status = of_traced(&["env", "--default-signal"]);
    for signal in Signal::iterator() {
        assert!(!status.ignores(signal), "{signal}: {status:?}");
        assert!(!status.handles(signal), "{signal}: {status:?}");
        assert!(!status.blocks(signal), "{signal}: {status:?}");
    }
}

fn a_traced_command_inherits_closed_streams() {
    let options = ["trace", "--quiet", "--transport", transport_name(), "--"];
    let traced = ["sh", "-c", "for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] || echo $fd >&7; done"];
    let arguments = [&options[..], &traced].concat();
    for (closed, expected) in [("0<&-", "0\n"), ("2>&-", "2\n"), ("0<&- 1>&- 2>&-", "0\n1\n2\n")] {
        let output = started_by_shell(&format!("exec 7>&1 {closed}"), &arguments).output();
        let output = output.expect("a running process");
        assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(0)), "{closed}");
    }
}

fn sigterm_reaches_a_command_that_has_just_started() {
    let traced = command("exit_4_on_sigterm");
    let traced_name = traced.get_program().to_str().expect("text").to_owned();
    for delay in 0..30 {
        let mut trace = trace(&["env"], &[&traced_name]);
        for (key, value) in traced.get_envs() {
            trace.env(key, value.expect("a value"));
        }
        let running = Running::start(&mut trace);
        running.wait_until(|status| status.handles(Signal::SIGCHLD));
        std::thread::sleep(Duration::from_micros(delay * 100));
        running.send(Signal::SIGTERM);
        let output = running.end().1;
        // The command was either not ready for the signal, or handled it. The trace may also not
        // have been ready.
        let ended = (output.status.code(), output.status.signal());
        assert!(matches!(ended, (Some(4 | 143), None)), "{ended:?} {}", text(&output.stderr));
    }
}

fn a_stopped_and_continued_command_has_not_ended() {
    let script = "(sleep 0.2; kill -CONT $$) & kill -STOP $$; wait; exit 5";
    let output = trace(&["env"], &["sh", "-c", script]).output().expect("a running process");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}
