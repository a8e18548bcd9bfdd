//! JSON of a recording: both writers of events agree with each other and with the recorded bytes.

mod common;

use std::process::ExitCode;

use common::named;
use common::program::{run, text};
use common::scratch::ScratchFile;
use common::wire::{self, COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, PTRACE, SID, UID};
use proc_connector::{ProcEvent, parse_netlink_message};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    let everywhere = named![both_writers_agree, names_with_arbitrary_bytes_are_read_back];
    common::main_with(&[], &everywhere, &[])
}

fn object(line: &str) -> Map<String, Value> {
    let Value::Object(object) = serde_json::from_str(line).expect("JSON") else { panic!("{line}") };
    object
}

fn datagram_of_comm(comm: &[u8; 16]) -> Vec<u8> {
    let union = [&7_u32.to_ne_bytes()[..], &7_u32.to_ne_bytes(), comm].concat();
    wire::message(wire::NLMSG_DONE, &wire::cn_msg(1, 1, &wire::proc_event(COMM, &union)))
}

/// Names that are valid text, and names that are not.
const NAMES: [(&[u8; 16], bool); 9] = [
    (b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0", true),
    (b"0123456789abcdef", true),
    (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", true),
    // A replacement character in the name, and an invisible character.
    (b"\xef\xbf\xbd\0\0\0\0\0\0\0\0\0\0\0\0\0", true),
    (b"\xe2\x80\xae\x1b\x7f\0\0\0\0\0\0\0\0\0\0\0", true),
    (b"sh\0left over\0\0\0\0", false),
    (b"\xff not UTF-8\0\0\0\0\0", false),
    (b"0123456789abcde\xc3", false),
    (b"\xed\xa0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0", false),
];

fn lines_of(datagrams: &[Vec<u8>]) -> Vec<String> {
    let file = ScratchFile::containing("datagrams", &datagrams.concat());
    let output = run(&["replay", "--json", file.path()]);
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn both_writers_agree() {
    let words = [1, 2, 3, 4, 5, 6];
    let kinds = [FORK, EXEC, EXIT, UID, GID, SID, PTRACE, COREDUMP, NEW_KIND];
    let mut datagrams: Vec<Vec<u8>> = kinds.iter().map(|&kind| wire::event(kind, &words)).collect();
    datagrams.extend(NAMES.map(|(name, _)| datagram_of_comm(name)));
    let lines = lines_of(&datagrams);
    assert_eq!(lines.len(), datagrams.len());
    for (line, datagram) in lines.iter().zip(&datagrams) {
        let event = parse_netlink_message(datagram, datagram.len()).expect("a message");
        let event: ProcEvent = event.expect("an event");
        let mut theirs = object(line);
        let Value::Object(ours) = serde_json::to_value(&event).expect("data") else { panic!() };
        for (key, value) in &ours {
            assert_eq!(theirs.get(key), Some(value), "{key} of {event}");
        }
        // Keys that the other form lacks.
        let more = ["cpu", "seq", "time", "code", "signal", "core_dumped", "parent_pid"];
        for key in more.into_iter().chain(["parent_tgid", "timestamp_ns"]) {
            theirs.remove(key);
        }
        assert!(theirs.keys().all(|key| ours.contains_key(key)), "{theirs:?}");
        assert_eq!(serde_json::from_str::<ProcEvent>(line).expect("an event"), event);
    }
}

fn names_with_arbitrary_bytes_are_read_back() {
    let lines = lines_of(&NAMES.map(|(name, _)| datagram_of_comm(name)));
    for (line, (name, is_text)) in lines.iter().zip(NAMES) {
        let object = object(line);
        let until_zero = name.split(|&byte| byte == 0).next().expect("a part");
        assert_eq!(object["comm"], String::from_utf8_lossy(until_zero).as_ref());
        assert_eq!(object.get("raw_comm"), (!is_text).then(|| json!(name)).as_ref());
        // The output is also safe on a terminal.
        assert!(
            line.chars().all(|letter| !letter.is_control() && letter != '\u{202e}'),
            "{line:?}"
        );
    }
}
