//! Lines of events with contexts.

use proc_connector::parser::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector::parser::testing::context::{RawContext, RawExtension, distinct_usage};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{ExitStatus, Received};
use serde_json::{Value, json};

use super::Json;
use crate::cli::output::sink::{Details, End, Item, Sink};

/// The line of an event, with its task.
fn line(data: EventData<'_>, context: &RawContext, end: Option<End>) -> Value {
    let record = EventRecord { seq: 1, cpu: 2, timestamp_ns: 3, data };
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let len = record.encode_native(&mut datagram).expect("capacity");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram[..len]).next() else {
        panic!("an event");
    };
    let context = context.bytes();
    let received = Received::Event(event.with_context(&context));
    let mut json = Json::new(Vec::new());
    let is_over = Some(end.is_some());
    let item = Item {
        received: &received,
        time: None,
        process: None,
        user: None,
        is_over,
        end,
        details: Details::default(),
    };
    json.write(&item).expect("memory");
    serde_json::from_slice(&json.output).expect("JSON")
}

/// No peak memory: the thread of an exit has none of its own.
fn usage() -> UsageHdr {
    UsageHdr { max_rss: 0.into(), ..distinct_usage() }
}

fn exit(pid: u32) -> EventData<'static> {
    EventData::Exit {
        process_pid: pid,
        process_tgid: 7,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: 1,
        parent_tgid: 1,
    }
}

#[test]
fn the_end_of_a_process_differs_from_the_exit_of_its_thread() {
    let extension = RawExtension { usage: Some(usage()), ..RawExtension::default() };
    let context = RawContext::of_process((7, 70), (1, 10)).with_extension(extension);
    let used = proc_connector::parser::Usage { cpu_ns: 50, max_rss: Some(8), ..Default::default() };
    let end =
        End { status: Some(ExitStatus::from_raw(0x8b)), lifetime_ns: Some(9), usage: Some(used) };
    let line = line(exit(8), &context, Some(end));
    assert_eq!(
        (&line["code"], &line["signal"], &line["over"]),
        (&json!(0), &json!(null), &json!(true))
    );
    let zeros = ["user_ns", "system_ns", "min_flt", "maj_flt", "nvcsw", "nivcsw", "read_bytes"];
    let mut usage = json!({"cpu_ns": 50, "max_rss": 8, "write_bytes": 0});
    for key in zeros {
        usage[key] = json!(0);
    }
    usage["user_ns"] = json!(50);
    let expected = json!({
        "code": null, "signal": 11, "core_dumped": true, "lifetime_ns": 9, "usage": usage,
    });
    assert_eq!(line["process_end"], expected);
    let of_thread = json!({
        "cpu_ns": 30, "user_ns": 20, "system_ns": 10, "min_flt": 3, "maj_flt": 4, "nvcsw": 1,
        "nivcsw": 2, "read_bytes": 5, "write_bytes": 6,
    });
    assert_eq!(line["task"]["usage"], of_thread);
}

#[test]
fn an_exit_of_a_process_that_continues_has_no_end() {
    let line = line(exit(7), &RawContext::of_process((7, 70), (1, 10)), None);
    assert_eq!(line["over"], false);
    assert!(line.get("process_end").is_none(), "{line}");
    assert!(line["task"].get("usage").is_none(), "{line}");
}

#[test]
fn a_status_that_is_not_known_is_null() {
    let context = RawContext::of_process((7, 70), (1, 10));
    let line = line(exit(7), &context, Some(End::default()));
    let expected = json!({"code": null, "signal": null, "core_dumped": null});
    assert_eq!(line["process_end"], expected);
}

#[test]
fn a_task_has_all_that_the_kernel_recorded() {
    let pair = |high: u64, low: u64| (high << 32 | low).into();
    let task = TaskHdr {
        comm: *b"sh\xff\0\0\0\0\0\0\0\0\0\0\0\0\0",
        boot_ns: 11.into(),
        cgroup_id: 12.into(),
        pid_tgid: pair(7, 8),
        uid_gid: pair(14, 13),
        euid_egid: pair(16, 15),
        session: 17.into(),
        tty: (136 << 20 | 5).into(),
        login_uid: 1000.into(),
        audit_session: u32::MAX.into(),
        ns_tgid: 18.into(),
        pid_ns: 19.into(),
        css_set: 0.into(),
    };
    let parts: [&[u8]; 4] = [b"sh\0-c\0", b"./sh", b"sh\0bin\0", b"\xe9\0srv\0"];
    let len = |part: usize| u32::try_from(parts[part].len()).expect("short").into();
    let exec = ExecHdr {
        ino: 21.into(),
        dev: (8 << 20 | 1).into(),
        nlink: 1.into(),
        flags: ExecHdr::UNHASHED.into(),
        args_len: len(0),
        filename_len: len(1),
        exe_len: len(2),
        cwd_len: len(3),
        ..ExecHdr::default()
    };
    let recorded = Recorded::all() - Recorded::ARGS_CUT - Recorded::ENV;
    let extension = RawExtension {
        recorded,
        task,
        exec: Some(exec),
        tail: parts.concat(),
        ..RawExtension::default()
    };
    let context = RawContext::of_process((7, 70), (1, 10)).with_extension(extension);
    let data = EventData::Exec { process_pid: 8, process_tgid: 7 };
    let line = line(data, &context, None);
    let expected = json!({
        "pid": 8, "tgid": 7, "start_boottime_ns": 70,
        "parent_tgid": 1, "parent_start_boottime_ns": 10,
        "ruid": 13, "rgid": 14, "euid": 15, "egid": 16,
        "comm": "sh\u{fffd}", "raw_comm": [115, 104, 255],
        "session": 17, "tty": "136:5", "login_uid": 1000, "audit_session": null,
        "cgroup_id": 12, "ns_tgid": 18, "pid_ns": 19, "boot_ns": 11,
        "filename": "./sh", "args": ["sh", "-c"], "args_cut": false, "exe": "/bin/sh",
        "program": {"dev": "8:1", "ino": 21, "deleted": true, "memfd": false},
        "cwd": "/srv/\u{fffd}", "raw_cwd": b"/srv/\xe9",
    });
    assert_eq!(line["task"], expected);
}
