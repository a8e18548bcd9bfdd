//! The parsing functions of 0.1.5, with hand-made input.

#[path = "common/wire.rs"]
mod wire;

use proc_connector::{
    Error, NetlinkMessageIter, ProcEvent, Result, parse_cn_msg, parse_netlink_message,
};
use wire::{
    EVENT_LEN, EXEC, EXIT, FORK, NEW_KIND, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
    NONE, TIMESTAMP_NS, cn_msg, event, message, proc_event,
};

const EPERM: i32 = 1;

fn exec(pid: u32) -> ProcEvent {
    ProcEvent::Exec { pid, tgid: pid, timestamp_ns: TIMESTAMP_NS }
}

fn exec_bytes(pid: u32) -> Vec<u8> {
    event(EXEC, &[pid, pid])
}

/// A result in a comparable and readable form.
fn summary(result: Result<Option<ProcEvent>>) -> String {
    match result {
        Ok(Some(event)) => event.to_string(),
        Ok(None) => "nothing".into(),
        Err(error) => format!("{error:?}"),
    }
}

/// All items of an iterator over the buffer, limited in case it does not end.
fn walk(buffer: &[u8], len: usize) -> Vec<String> {
    NetlinkMessageIter::new(buffer, len).take(buffer.len() + 2).map(summary).collect()
}

#[test]
fn all_three_functions_parse_a_message_alike() {
    let bytes = exec_bytes(7);
    assert_eq!(bytes.len(), EVENT_LEN);
    assert_eq!(parse_netlink_message(&bytes, bytes.len()).expect("an event"), Some(exec(7)));
    assert_eq!(parse_cn_msg(&bytes[16..]).expect("an event"), exec(7));
    assert_eq!(walk(&bytes, bytes.len()), [exec(7).to_string()]);
}

#[test]
fn only_the_given_length_is_parsed() {
    let mut bytes = exec_bytes(7);
    bytes.resize(4096, 0xff);
    assert_eq!(summary(parse_netlink_message(&bytes, EVENT_LEN)), exec(7).to_string());
    assert_eq!(walk(&bytes, EVENT_LEN), [exec(7).to_string()]);
    for len in 0..EVENT_LEN {
        assert_eq!(summary(parse_netlink_message(&bytes, len)), "Truncated", "{len}");
        // Empty input ends the iteration without an error.
        assert_eq!(walk(&bytes, len), vec!["Truncated"; usize::from(len > 0)], "{len}");
    }
}

#[test]
fn a_length_beyond_the_buffer_is_reported_once() {
    for (bytes, len) in [(vec![], 1), (exec_bytes(7), EVENT_LEN + 1), (exec_bytes(7), usize::MAX)] {
        assert_eq!(summary(parse_netlink_message(&bytes, len)), "Truncated");
        assert_eq!(walk(&bytes, len), ["Truncated"]);
    }
}

#[test]
fn empty_input_contains_no_event() {
    assert_eq!(summary(parse_netlink_message(&[], 0)), "Truncated");
    assert_eq!(summary(parse_cn_msg(&[]).map(Some)), "Truncated");
    assert!(walk(&[], 0).is_empty());
}

#[test]
fn every_message_of_a_buffer_is_returned() {
    let odd = message(NLMSG_DONE, &cn_msg(1, 1, &proc_event(NEW_KIND, &[1, 2, 3])));
    assert_ne!(odd.len() % 4, 0);
    let exit = event(EXIT, &[8, 8, 768, 17, 1, 1]);
    let buffer = [exec_bytes(7), odd, vec![0xff], exit].concat();
    let expected = [
        exec(7).to_string(),
        "UNKNOWN what=0x00000400 len=3".into(),
        format!("EXIT pid=8 tgid=8 code=768 signal=17 ts={TIMESTAMP_NS}"),
    ];
    assert_eq!(walk(&buffer, buffer.len()), expected);
    assert_eq!(summary(parse_netlink_message(&buffer, buffer.len())), expected[0]);
}

/// The payload of an `NLMSG_ERROR`: the error, and the header of the failed request.
fn error(errno: i32) -> Vec<u8> {
    [&errno.to_ne_bytes()[..], &[0; 16]].concat()
}

#[test]
fn other_messages_are_none_or_an_error() {
    let ack = event(NONE, &[0]);
    let refusal = event(NONE, &[22]);
    let cases = [
        (message(NLMSG_NOOP, &[]), "nothing"),
        (message(NLMSG_DONE, &[]), "nothing"),
        (message(NLMSG_ERROR, &error(0)), "nothing"),
        (ack.clone(), "nothing"),
        (refusal, "nothing"),
        (message(NLMSG_OVERRUN, &[]), "Overrun"),
        (message(NLMSG_ERROR, &error(0)[..3]), "Truncated"),
        (message(NLMSG_DONE, &cn_msg(1, 1, &[])), "Truncated"),
        (message(NLMSG_DONE, &cn_msg(1, 1, &proc_event(FORK, &[0; 15]))), "Truncated"),
        (message(NLMSG_DONE, &cn_msg(2, 1, &proc_event(EXEC, &[0; 24]))), "UnexpectedConnector"),
        (message(NLMSG_DONE, &cn_msg(1, 9, &proc_event(EXEC, &[0; 24]))), "UnexpectedConnector"),
    ];
    for (bytes, expected) in &cases {
        assert_eq!(summary(parse_netlink_message(bytes, bytes.len())), *expected, "{bytes:?}");
        // An error affects only its own message: the next one is read.
        let mut buffer = bytes.clone();
        buffer.resize(bytes.len().next_multiple_of(4), 0);
        buffer.extend(exec_bytes(7));
        let both = [(*expected).to_owned(), exec(7).to_string()];
        assert_eq!(walk(&buffer, buffer.len()), both);
    }
    assert!(matches!(parse_cn_msg(&ack[16..]), Err(Error::NotAnEvent)));
}

#[test]
fn kernel_error_numbers_become_os_errors() {
    for errno in [-EPERM, i32::MIN] {
        let bytes = message(NLMSG_ERROR, &error(errno));
        let Err(Error::Os(os)) = parse_netlink_message(&bytes, bytes.len()) else {
            panic!("{errno} is an error")
        };
        assert_eq!(os.raw_os_error(), Some(errno.checked_neg().unwrap_or(errno)));
    }
}

#[test]
fn an_invalid_length_ends_the_iteration() {
    for length in [0u32, 1, 15, u32::try_from(EVENT_LEN).expect("76") + 1, u32::MAX] {
        let mut bytes = [exec_bytes(6), exec_bytes(7), exec_bytes(8)].concat();
        // In the last message, a greater length exceeds the buffer.
        let place = 2 * EVENT_LEN;
        bytes[place..place + 4].copy_from_slice(&length.to_ne_bytes());
        let expected = [exec(6).to_string(), exec(7).to_string(), "Truncated".into()];
        assert_eq!(walk(&bytes, bytes.len()), expected, "{length}");
    }
}

#[test]
fn an_ended_iteration_stays_ended() {
    let bytes = exec_bytes(7);
    for len in [EVENT_LEN, EVENT_LEN - 1, EVENT_LEN + 1] {
        let mut messages = NetlinkMessageIter::new(&bytes, len);
        assert!(messages.next().is_some());
        for _ in 0..3 {
            assert!(messages.next().is_none());
        }
    }
}
