//! Wait statuses, and sets of event kinds as text.

mod common;

use std::collections::HashSet;

use common::{COMM, COREDUMP, EXEC, EXIT, FORK, GID, NONZERO_EXIT, PTRACE, SID, UID};
use proc_connector_core::{EventMask, ExitStatus, signal_name};

#[test]
fn a_wait_status_is_decoded() {
    #[rustfmt::skip]
    let cases = [
        (0, Some(0), None, false, "exit 0"),
        (256, Some(1), None, false, "exit 1"),
        (768, Some(3), None, false, "exit 3"),
        (0xff00, Some(255), None, false, "exit 255"),
        (9, None, Some(9), false, "killed by SIGKILL"),
        (11, None, Some(11), false, "killed by SIGSEGV"),
        (134, None, Some(6), true, "killed by SIGABRT (core dumped)"),
        (6, None, Some(6), false, "killed by SIGABRT"),
        (15, None, Some(15), false, "killed by SIGTERM"),
        (34, None, Some(34), false, "killed by signal 34"),
        (64 | 0x80, None, Some(64), true, "killed by signal 64 (core dumped)"),
        // Only the low 16 bits are a wait status.
        (0xdead_0300, Some(3), None, false, "exit 3"),
    ];
    for (raw, code, signal, core_dumped, text) in cases {
        let status = ExitStatus::from_raw(raw);
        assert_eq!(status.code(), code, "{raw:#x}");
        assert_eq!(status.signal(), signal, "{raw:#x}");
        assert_eq!(status.core_dumped(), core_dumped, "{raw:#x}");
        assert_eq!(status.success(), code == Some(0), "{raw:#x}");
        assert_eq!(status.to_string(), text, "{raw:#x}");
        assert_eq!(status.into_raw(), raw);
    }
}

/// `std` decodes like WIFEXITED, WEXITSTATUS, WTERMSIG and WCOREDUMP of the C library.
#[cfg(target_os = "linux")]
#[test]
fn every_wait_status_is_decoded_as_in_the_c_library() {
    use std::os::unix::process::ExitStatusExt;

    let exits = (0..=255u32).map(|code| code << 8);
    // In the C library 0x7f means a stopped task, which has not ended.
    let kills = (1..0x7f).flat_map(|signal| [signal, signal | 0x80]);
    for raw in exits.chain(kills) {
        let theirs = std::process::ExitStatus::from_raw(i32::try_from(raw).unwrap());
        let ours = ExitStatus::from_raw(raw);
        assert_eq!(ours.code().map(i32::from), theirs.code(), "{raw:#x}");
        assert_eq!(ours.signal().map(i32::from), theirs.signal(), "{raw:#x}");
        assert_eq!(ours.core_dumped(), theirs.core_dumped(), "{raw:#x}");
        assert_eq!(ours.success(), theirs.success(), "{raw:#x}");
    }
}

#[test]
fn signals_have_the_names_of_the_man_page_signal_7() {
    let names = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (16, "SIGSTKFLT"),
        (17, "SIGCHLD"),
        (18, "SIGCONT"),
        (19, "SIGSTOP"),
        (20, "SIGTSTP"),
        (21, "SIGTTIN"),
        (22, "SIGTTOU"),
        (23, "SIGURG"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
        (26, "SIGVTALRM"),
        (27, "SIGPROF"),
        (28, "SIGWINCH"),
        (29, "SIGIO"),
        (30, "SIGPWR"),
        (31, "SIGSYS"),
    ];
    for (signal, name) in names {
        assert_eq!(signal_name(signal), Some(name));
    }
    assert_eq!(names.map(|(_, name)| name).into_iter().collect::<HashSet<_>>().len(), 31);
    for signal in [0].into_iter().chain(32..=u8::MAX) {
        assert_eq!(signal_name(signal), None, "{signal}");
    }
}

const NAMED: [(&str, u32, EventMask); 10] = [
    ("fork", FORK, EventMask::FORK),
    ("exec", EXEC, EventMask::EXEC),
    ("uid", UID, EventMask::UID),
    ("gid", GID, EventMask::GID),
    ("sid", SID, EventMask::SID),
    ("ptrace", PTRACE, EventMask::PTRACE),
    ("comm", COMM, EventMask::COMM),
    ("nonzero_exit", NONZERO_EXIT, EventMask::NONZERO_EXIT),
    ("coredump", COREDUMP, EventMask::COREDUMP),
    ("exit", EXIT, EventMask::EXIT),
];

#[test]
fn each_kind_has_the_kernels_bit_and_a_name() {
    for (name, bit, mask) in NAMED {
        assert_eq!(mask.bits(), bit, "{name}");
        assert_eq!(mask.to_string(), name);
        assert_eq!(name.parse(), Ok(mask));
        assert_eq!(name.to_uppercase().parse(), Ok(mask), "letter case is ignored");
    }
    let all = NAMED.iter().fold(0, |bits, (_, bit, _)| bits | bit);
    assert_eq!(EventMask::ALL.bits(), all, "PROC_EVENT_ALL of cn_proc.h");
    assert_eq!(EventMask::EVENTS.bits(), all & !NONZERO_EXIT, "no event has the bit for requests");
}

#[test]
fn lists_of_kinds_are_read_and_written_with_commas() {
    let read = [
        ("exec,exit", EXEC | EXIT),
        ("exit,exec", EXEC | EXIT),
        (" exec , exit ", EXEC | EXIT),
        ("exec,exec", EXEC),
        ("all", EventMask::EVENTS.bits()),
        ("ALL,nonzero_exit", EventMask::ALL.bits()),
        ("0x400", 0x400),
        ("exec,0xc00", EXEC | 0xc00),
        ("0x0", 0),
        ("0XFFFFFFFF", u32::MAX),
    ];
    for (text, bits) in read {
        assert_eq!(text.parse(), Ok(EventMask::from_bits_retain(bits)), "{text:?}");
    }
    let written = [
        (EXIT | EXEC, "exec,exit"),
        (0x400, "0x400"),
        (EXEC | 0xc00, "exec,0xc00"),
        (0, "0x0"),
        (EventMask::EVENTS.bits(), "fork,exec,uid,gid,sid,ptrace,comm,coredump,exit"),
    ];
    for (bits, text) in written {
        let mask = EventMask::from_bits_retain(bits);
        assert_eq!(mask.to_string(), text);
        assert_eq!(text.parse(), Ok(mask), "what is written can be read");
    }
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_kinds() {
    let texts = [
        "",
        ",",
        "exec,",
        ",exec",
        "execs",
        "exec exit",
        "exec;exit",
        "0x",
        "0xg",
        "0x+4",
        "0x-4",
        "0x100000000",
        "400",
        "none",
    ];
    for text in texts {
        let error = text.parse::<EventMask>().expect_err(text);
        assert_eq!(
            error.to_string(),
            "unknown event kind: use a comma-separated list of \
             fork, exec, uid, gid, sid, ptrace, comm, coredump, exit, all",
        );
    }
}

#[test]
fn unnamed_bits_are_kept() {
    let mask = EventMask::from_bits_retain(EXEC | 0x400);
    assert_eq!((mask | EventMask::EXIT).bits(), EXEC | 0x400 | EXIT);
    assert_eq!((mask & EventMask::from_bits_retain(0x400)).bits(), 0x400);
    assert_eq!((mask - EventMask::EXEC).bits(), 0x400);
    assert_eq!(EventMask::from_bits(0x400).map(|mask| mask.bits()), Some(0x400));
    assert_eq!(EventMask::from_bits_truncate(0x400).bits(), 0x400);
}
