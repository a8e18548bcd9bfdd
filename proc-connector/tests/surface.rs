//! The API published as 0.1.5, which is kept: signatures, shapes and text.
//!
//! Most of this file only needs to compile.

#[path = "common/wire.rs"]
mod wire;

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use proc_connector::parser::{Notification, Notifications};
use proc_connector::{
    Error, NetlinkMessageIter, ProcConnector, ProcEvent, Result, parse_cn_msg,
    parse_netlink_message,
};
use wire::{
    COMM, COREDUMP, EXEC, EXIT, FORK, GID, NEW_KIND, PTRACE, SID, TIMESTAMP_NS, UID, event,
};

const _: fn() -> Result<ProcConnector> = ProcConnector::new;
const _: fn(&ProcConnector) -> Result<()> = ProcConnector::subscribe;
const _: fn(&ProcConnector) -> Result<()> = ProcConnector::unsubscribe;
const _: fn(&ProcConnector) -> Result<()> = ProcConnector::set_nonblocking;
const _: fn(&ProcConnector, &mut [u8]) -> Result<ProcEvent> = ProcConnector::recv;
const _: fn(&ProcConnector, &mut [u8], Duration) -> Result<Option<ProcEvent>> =
    ProcConnector::recv_timeout;
const _: fn(&ProcConnector, &mut [u8]) -> Result<usize> = ProcConnector::recv_raw;
const _: fn(&ProcConnector, &mut [u8], Duration) -> Result<Option<usize>> =
    ProcConnector::recv_raw_timeout;
// The inherent method, callable without the trait.
const _: fn(&ProcConnector) -> RawFd = ProcConnector::as_raw_fd;
const _: fn(&[u8], usize) -> Result<Option<ProcEvent>> = parse_netlink_message;
const _: fn(&[u8]) -> Result<ProcEvent> = parse_cn_msg;
const _: for<'a> fn(&'a [u8], usize) -> NetlinkMessageIter<'a> =
    |buf, len| NetlinkMessageIter::new(buf, len);
const _: fn(io::Error) -> Error = From::from;
// `Result` is an alias with one parameter, as in 0.1.5.
const _: fn(Result<u8>) -> std::result::Result<u8, Error> = |result| result;

const _: () = {
    const fn connector<T: AsFd + AsRawFd + Debug + Send + Sync + 'static>() {}
    const fn event<T: Debug + Clone + PartialEq + Eq + Display + Send + Sync + 'static>() {}
    const fn error<T: StdError + Debug + Display + Send + Sync + 'static>() {}
    const fn messages<'a, T: Iterator<Item = Result<Option<ProcEvent>>> + 'a>() {}
    connector::<ProcConnector>();
    event::<ProcEvent>();
    error::<Error>();
    messages::<NetlinkMessageIter<'static>>();
};

/// Every variant with exactly its fields; the return type fixes the types of the fields.
fn fields(event: ProcEvent) -> (Vec<u32>, u64) {
    match event {
        ProcEvent::Exec { pid, tgid, timestamp_ns }
        | ProcEvent::Sid { pid, tgid, timestamp_ns }
        | ProcEvent::Coredump { pid, tgid, timestamp_ns } => (vec![pid, tgid], timestamp_ns),
        ProcEvent::Fork { parent_pid, parent_tgid, child_pid, child_tgid, timestamp_ns } => {
            (vec![parent_pid, parent_tgid, child_pid, child_tgid], timestamp_ns)
        }
        ProcEvent::Exit { pid, tgid, exit_code, exit_signal, timestamp_ns } => {
            (vec![pid, tgid, exit_code, exit_signal], timestamp_ns)
        }
        ProcEvent::Uid { pid, tgid, ruid, euid, timestamp_ns } => {
            (vec![pid, tgid, ruid, euid], timestamp_ns)
        }
        ProcEvent::Gid { pid, tgid, rgid, egid, timestamp_ns } => {
            (vec![pid, tgid, rgid, egid], timestamp_ns)
        }
        ProcEvent::Ptrace { pid, tgid, tracer_pid, tracer_tgid, timestamp_ns } => {
            (vec![pid, tgid, tracer_pid, tracer_tgid], timestamp_ns)
        }
        ProcEvent::Comm { pid, tgid, comm, timestamp_ns } => {
            let _: [u8; 16] = comm;
            (vec![pid, tgid], timestamp_ns)
        }
        ProcEvent::Unknown { what, raw_data } => {
            let _: Vec<u8> = raw_data;
            (vec![what], 5)
        }
    }
}

const COMM_SH: [u8; 16] = *b"sh\0left over\0\0\0\0";

/// Each variant with its text, and the order of its fields in `Debug`.
fn table() -> [(ProcEvent, &'static str, &'static str); 10] {
    let timestamp_ns = 5;
    [
        (
            ProcEvent::Exec { pid: 1, tgid: 2, timestamp_ns },
            "EXEC pid=1 tgid=2 ts=5",
            "Exec { pid: 1, tgid: 2, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Fork {
                parent_pid: 1,
                parent_tgid: 2,
                child_pid: 3,
                child_tgid: 4,
                timestamp_ns,
            },
            "FORK parent=(1,2) child=(3,4) ts=5",
            "Fork { parent_pid: 1, parent_tgid: 2, child_pid: 3, child_tgid: 4, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Exit { pid: 1, tgid: 2, exit_code: 768, exit_signal: 17, timestamp_ns },
            "EXIT pid=1 tgid=2 code=768 signal=17 ts=5",
            "Exit { pid: 1, tgid: 2, exit_code: 768, exit_signal: 17, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Uid { pid: 1, tgid: 2, ruid: 3, euid: 4, timestamp_ns },
            "UID pid=1 tgid=2 ruid=3 euid=4 ts=5",
            "Uid { pid: 1, tgid: 2, ruid: 3, euid: 4, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Gid { pid: 1, tgid: 2, rgid: 3, egid: 4, timestamp_ns },
            "GID pid=1 tgid=2 rgid=3 egid=4 ts=5",
            "Gid { pid: 1, tgid: 2, rgid: 3, egid: 4, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Sid { pid: 1, tgid: 2, timestamp_ns },
            "SID pid=1 tgid=2 ts=5",
            "Sid { pid: 1, tgid: 2, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Ptrace { pid: 1, tgid: 2, tracer_pid: 3, tracer_tgid: 4, timestamp_ns },
            "PTRACE pid=1 tgid=2 tracer=(3,4) ts=5",
            "Ptrace { pid: 1, tgid: 2, tracer_pid: 3, tracer_tgid: 4, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Comm { pid: 1, tgid: 2, comm: COMM_SH, timestamp_ns },
            "COMM pid=1 tgid=2 name=\"sh\" ts=5",
            "Comm { pid: 1, tgid: 2, comm: [115, 104, 0, 108, 101, 102, 116, 32, 111, 118, 101, \
             114, 0, 0, 0, 0], timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Coredump { pid: 1, tgid: 2, timestamp_ns },
            "COREDUMP pid=1 tgid=2 ts=5",
            "Coredump { pid: 1, tgid: 2, timestamp_ns: 5 }",
        ),
        (
            ProcEvent::Unknown { what: 0x400, raw_data: vec![1, 2, 3] },
            "UNKNOWN what=0x00000400 len=3",
            "Unknown { what: 1024, raw_data: [1, 2, 3] }",
        ),
    ]
}

#[test]
fn every_variant_has_its_fields_in_order_and_its_display_form() {
    for (event, display, debug) in table() {
        assert_eq!(event.to_string(), display);
        assert_eq!(format!("{event:?}"), debug);
        assert_eq!(event, event.clone());
        let (ids, timestamp_ns) = fields(event);
        assert!(ids == [0x400] || ids.starts_with(&[1, 2]), "{ids:?}");
        assert_eq!(timestamp_ns, 5);
    }
}

#[test]
fn names_are_displayed_up_to_the_first_nul_if_they_are_text() {
    let cases: [(&[u8; 16], &str); 6] = [
        (b"0123456789abcdef", "0123456789abcdef"),
        (b"0123456789abcde\0", "0123456789abcde"),
        (&[0; 16], ""),
        (b"a \"b\"\0\0\0\0\0\0\0\0\0\0\0", "a \"b\""),
        (b"caf\xc3\xa9\0\0\0\0\0\0\0\0\0\0\0", "café"),
        // The bytes after the NUL do not make the name invalid.
        (b"sh\0\xff\0\0\0\0\0\0\0\0\0\0\0\0", "sh"),
    ];
    for (&comm, name) in cases {
        let event = ProcEvent::Comm { pid: 1, tgid: 1, comm, timestamp_ns: 0 };
        assert_eq!(event.to_string(), format!("COMM pid=1 tgid=1 name=\"{name}\" ts=0"));
    }
    for comm in [*b"\xff\xfe\0\0\0\0\0\0\0\0\0\0\0\0\0\0", *b"0123456789abcde\xc3"] {
        let event = ProcEvent::Comm { pid: 1, tgid: 1, comm, timestamp_ns: 0 };
        assert_eq!(event.to_string(), "COMM pid=1 tgid=1 name=\"<invalid>\" ts=0");
    }
}

#[test]
fn numbers_are_displayed_in_full() {
    let most = u32::MAX;
    let event = ProcEvent::Exit {
        pid: most,
        tgid: most,
        exit_code: most,
        exit_signal: most,
        timestamp_ns: u64::MAX,
    };
    assert_eq!(
        event.to_string(),
        "EXIT pid=4294967295 tgid=4294967295 code=4294967295 signal=4294967295 \
         ts=18446744073709551615"
    );
    let event = ProcEvent::Unknown { what: 0x1000_0000, raw_data: vec![] };
    assert_eq!(event.to_string(), "UNKNOWN what=0x10000000 len=0");
}

/// The event of a datagram, in the owned form.
fn converted(datagram: &[u8]) -> ProcEvent {
    let mut notifications = Notifications::new(datagram);
    let Some(Ok(Notification::Event(event))) = notifications.next() else { panic!("an event") };
    assert!(notifications.next().is_none());
    event.into()
}

#[test]
fn events_convert_field_by_field() {
    let timestamp_ns = TIMESTAMP_NS;
    let (pid, tgid) = (0x0a0b_0c01, 0x0a0b_0c02);
    let [a, b] = [0x0a0b_0c03, 0x0a0b_0c04];
    let words: [u32; 6] = [pid, tgid, a, b, 0x0a0b_0c05, 0x0a0b_0c06];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let comm = bytes[8..].try_into().expect("16 bytes");
    let cases = [
        (
            FORK,
            ProcEvent::Fork {
                parent_pid: pid,
                parent_tgid: tgid,
                child_pid: a,
                child_tgid: b,
                timestamp_ns,
            },
        ),
        (EXEC, ProcEvent::Exec { pid, tgid, timestamp_ns }),
        (UID, ProcEvent::Uid { pid, tgid, ruid: a, euid: b, timestamp_ns }),
        (GID, ProcEvent::Gid { pid, tgid, rgid: a, egid: b, timestamp_ns }),
        (SID, ProcEvent::Sid { pid, tgid, timestamp_ns }),
        (PTRACE, ProcEvent::Ptrace { pid, tgid, tracer_pid: a, tracer_tgid: b, timestamp_ns }),
        (COMM, ProcEvent::Comm { pid, tgid, comm, timestamp_ns }),
        (COREDUMP, ProcEvent::Coredump { pid, tgid, timestamp_ns }),
        (EXIT, ProcEvent::Exit { pid, tgid, exit_code: a, exit_signal: b, timestamp_ns }),
    ];
    for (what, expected) in cases {
        assert_eq!(converted(&event(what, &words)), expected);
    }
    for what in [NEW_KIND, EXEC | EXIT, u32::MAX] {
        let unknown = ProcEvent::Unknown { what, raw_data: bytes.clone() };
        assert_eq!(converted(&event(what, &words)), unknown);
    }
}

#[test]
fn every_error_of_0_1_5_exists_and_has_a_message() {
    // Matches like downstream code, with the wildcard that `#[non_exhaustive]` requires.
    fn old(error: &Error) -> Option<&'static str> {
        Some(match error {
            Error::Os(error) => {
                let _: &io::Error = error;
                "system call error"
            }
            Error::Truncated => "truncated message",
            Error::BufferTooSmall { needed } => {
                let _: &usize = needed;
                "buffer too small, need at least 76 bytes"
            }
            Error::Interrupted => "interrupted by signal",
            Error::ConnectionClosed => "connection closed",
            Error::Overrun => "message overrun",
            Error::WouldBlock => "operation would block",
            Error::UnexpectedConnector => "unexpected connector index (expected CN_IDX_PROC)",
            _ => return None,
        })
    }
    let errors = [
        Error::Os(io::Error::from_raw_os_error(1)),
        Error::Truncated,
        Error::BufferTooSmall { needed: 76 },
        Error::Interrupted,
        Error::ConnectionClosed,
        Error::Overrun,
        Error::WouldBlock,
        Error::UnexpectedConnector,
    ];
    for error in errors {
        let text = error.to_string();
        assert!(old(&error).is_some_and(|start| text.starts_with(start)), "{text}");
        assert_eq!(error.source().is_some(), matches!(error, Error::Os(_)));
        // An error must not repeat its source: reports print both.
        let repeats = |source: &dyn StdError| text.contains(&source.to_string());
        assert!(!error.source().is_some_and(repeats), "{text}");
    }
}
