//! A secret is in no output: neither in the arguments and the environment of an event, nor in what is shown
//! of a command.

use glob::Pattern;
use proc_connector::parser::context::layout::{ExecHdr, Recorded, TaskHdr};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{Event, Received};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proptest::prelude::*;

use super::{RedactOptions, Redactor};

fn redactor(globs: &[&str], anonymous: bool) -> Redactor {
    let redact = globs.iter().map(|glob| Pattern::new(glob).expect("a glob")).collect();
    RedactOptions { anonymous, redact }.redactor().expect("a rule")
}

fn args(text: &[&str]) -> Vec<u8> {
    text.iter().flat_map(|arg| [arg.as_bytes(), &[0]].concat()).collect()
}

fn redacted(globs: &[&str], arguments: &[&str]) -> String {
    let words: Vec<Vec<u8>> = arguments.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let words = redactor(globs, false).command(&words);
    words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join("|")
}

#[test]
fn values_of_matching_options_and_variables_are_replaced() {
    for (globs, arguments, expected) in [
        (&["*password*"][..], &["db", "--password=x"][..], "db|--password=***"),
        (&["*password*"], &["db", "--password", "x", "y"], "db|--password|***|y"),
        (
            &["--password"],
            &["db", "--PassWord=x", "--passwords=y"],
            "db|--PassWord=***|--passwords=y",
        ),
        (&["password"], &["db", "-password", "-x"], "db|-password|***"),
        (
            &["*password*", "TOKEN"],
            &["env", "PGPASSWORD=x", "TOKEN=", "z"],
            "env|PGPASSWORD=***|TOKEN=***|z",
        ),
        (&["-p"], &["mysql", "-px", "-p", "y", "-P", "z"], "mysql|-p***|-p|***|-P|***"),
        (&["-p"], &["mysql", "--port=1"], "mysql|--port=1"),
        (&["*token*"], &["sh", "-c", "curl --token x; echo y"], "sh|-c|curl --token ***; echo y"),
        (&["*token*"], &["sh", "-c", "curl --token 'x y' z"], "sh|-c|curl --token *** z"),
        (&["*token*"], &["sh", "-c", "a \"--token=x y\" z"], "sh|-c|a \"--token=*** z"),
        (&["*token*"], &["curl", "--token=a b=c"], "curl|--token=***"),
        (&["*token*"], &["sh", "-c", "curl --token", "x"], "sh|-c|curl --token|***"),
        (&["*token*"], &["token", "x", "--other=token"], "token|x|--other=token"),
        (&["*"], &["a=b", "--"], "a=***|--"),
    ] {
        assert_eq!(redacted(globs, arguments), expected, "{globs:?} {arguments:?}");
    }
}

fn exec_context(arguments: &[u8], env: &[u8]) -> Vec<u8> {
    let parts = [arguments, b"/bin/db", b"db\0bin\0", b"me\0home\0", env];
    let len = |place: usize| u32::try_from(parts[place].len()).expect("short").into();
    let exec = ExecHdr {
        args_len: len(0),
        filename_len: len(1),
        exe_len: len(2),
        cwd_len: len(3),
        env_len: len(4),
        ..ExecHdr::default()
    };
    let mut task = TaskHdr { session: 77.into(), ..TaskHdr::default() };
    task.comm[..2].copy_from_slice(b"db");
    (task.uid_gid, task.login_uid) = (4_242.into(), 4_242.into());
    let extension = RawExtension {
        recorded: Recorded::all() - Recorded::USAGE - Recorded::PROCESS_USAGE - Recorded::ARGS_CUT,
        task,
        exec: Some(exec),
        tail: parts.concat(),
        ..RawExtension::default()
    };
    RawContext::of_process((7, 70), (1, 10)).with_extension(extension).bytes()
}

fn with_event(data: EventData<'_>, context: &[u8], test: impl FnOnce(&Received<'_>)) {
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: 5, data };
    record.encode_native(&mut datagram).expect("a known kind");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
        panic!("an event")
    };
    test(&Received::Event(event.with_context(context)));
}

const EXEC: EventData<'_> = EventData::Exec { process_pid: 7, process_tgid: 7 };

/// Everything that an event has.
fn bytes(event: &Event<'_>) -> Vec<u8> {
    let context = event.context().map(|context| context.bytes().to_vec());
    [event.data(), &context.unwrap_or_default()].concat()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_other_parts_of_an_event_are_unchanged() {
    let context = exec_context(&args(&["db", "--password=x", "-v"]), &args(&["A=1", "PASSWORD=x"]));
    with_event(EXEC, &context, |received| {
        let mut redactor = redactor(&["*password*"], false);
        let Received::Event(event) = redactor.apply(received) else { panic!("an event") };
        let context = event.context().expect("a context");
        let args: Vec<&[u8]> = context.args().expect("arguments").iter().collect();
        assert_eq!(args, [&b"db"[..], b"--password=***", b"-v"]);
        let env: Vec<&[u8]> = context.env().expect("variables").iter().collect();
        assert_eq!(env, [&b"A=1"[..], b"PASSWORD=***"]);
        assert_eq!(context.filename(), Some(&b"/bin/db"[..]));
        let cwd: Vec<&[u8]> = context.cwd().expect("a path").components().collect();
        assert_eq!(cwd, [&b"home"[..], b"me"]);
        assert_eq!((context.uid(), context.session()), (Some(4_242), Some(77)));
    });
}

#[test]
fn an_anonymous_event_has_only_ids() {
    let context = exec_context(&args(&["db", "-v"]), &args(&["A=1"]));
    let comm = EventData::Comm {
        process_pid: 7,
        process_tgid: 7,
        comm: *b"db\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    };
    let uid = EventData::Uid { process_pid: 7, process_tgid: 7, ruid: 4_242, euid: 4_242 };
    for data in [EXEC, comm, uid] {
        with_event(data, &context, |received| {
            let mut redactor = redactor(&[], true);
            let Received::Event(event) = redactor.apply(received) else { panic!("an event") };
            let bytes = bytes(&event);
            for secret in [&b"db"[..], b"-v", b"home", b"A=1", &4_242_u32.to_ne_bytes()] {
                assert!(!contains(&bytes, secret), "{secret:?} in {event:?}");
            }
            let context = event.context().expect("a context");
            assert_eq!((context.tgid(), context.session()), (Some(7), Some(77)));
            assert_eq!((context.comm(), context.args(), context.uid()), (None, None, None));
            assert_eq!(event.process().map(|ids| ids.tgid), Some(7));
        });
    }
}

proptest! {
    #[test]
    fn a_secret_is_in_no_output(
        secret in "[A-Za-z0-9!@#%^_+/.-]{6,20}",
        before in proptest::collection::vec("[a-z=-]{0,10}", 0..4),
        after in proptest::collection::vec("[a-z =-]{0,10}", 0..4),
        name in prop_oneof!["--[a-z]{0,5}secret[a-z-]{0,5}", "[A-Z]{0,5}SECRET"],
        form in 1..6_usize,
    ) {
        let is_option = name.starts_with('-');
        let joined = format!("{name}={secret}");
        let own = match form {
            1 if is_option => vec![name, secret.clone()],
            2 => vec![format!("run {joined} now")],
            3 if is_option => vec![format!("run; x {name} '{secret} and more' now")],
            4 => vec![format!("{joined} with space")],
            _ => vec![joined],
        };
        let all: Vec<&str> = before.iter().chain(&own).chain(&after).map(String::as_str).collect();
        let context = exec_context(&args(&all), &args(&all));
        with_event(EXEC, &context, |received| {
            let mut redactor = redactor(&["*secret*"], false);
            let Received::Event(event) = redactor.apply(received) else { panic!("an event") };
            assert!(!contains(&bytes(&event), secret.as_bytes()), "{all:?}");
        });
        assert!(!redacted(&["*secret*"], &all).contains(&secret), "{all:?}");
    }
}
