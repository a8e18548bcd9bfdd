//! A recording whose events have every value that the ring records, and text that is not UTF-8.

use std::time::{Duration, SystemTime};

use proc_connector::capture::{Note, Writer};
use proc_connector::parser::context::layout::{ExecHdr, Recorded, TaskHdr};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::{LossCause, Lost, Received};
use proc_connector_core::testing::context::{RawContext, RawExtension, distinct_usage};

/// The process, its parent, and their starts.
const CHILD: (u32, u64) = (8, 80);
const PARENT: (u32, u64) = (7, 70);
/// The id of the cgroup.
const CGROUP: u64 = 12;

pub(crate) fn capture() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).expect("memory");
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let (pid, tgid) = (CHILD.0, CHILD.0);
    let fork = EventData::Fork { parent_pid: 7, parent_tgid: 7, child_pid: pid, child_tgid: tgid };
    let of_parent = RawContext::of_process(PARENT, (1, 10)).with_child_start(CHILD.1);
    with_event(fork, 1_000, &of_parent, |event| writer.write(event, at(1)).expect("memory"));
    // The public constructors cannot make the note of a cgroup, which has a comment of this length.
    writer.write_note(&Note::of_user(1234, b"/a\xff"), at(2)).expect("memory");
    let of_child = RawContext::of_process(CHILD, PARENT);
    let exec = EventData::Exec { process_pid: pid, process_tgid: tgid };
    let context = of_child.clone().with_extension(exec_extension());
    with_event(exec, 2_000, &context, |event| writer.write(event, at(2)).expect("memory"));
    for cause in [LossCause::Overrun, LossCause::ShareExceeded, LossCause::Recorded] {
        let lost = Received::Lost(Lost::new(Some(3), cause));
        writer.write(&lost, at(3)).expect("memory");
        // A thread exits.
        let context = of_child.clone().with_end(None).with_extension(exit_extension(false));
        with_event(exit(9), 3_000, &context, |event| {
            writer.write(event, at(3)).expect("memory");
        });
    }
    let context = of_child.with_end(Some(0x8b)).with_extension(exit_extension(true));
    with_event(exit(pid), 4_000, &context, |event| writer.write(event, at(4)).expect("memory"));
    writer.finish().expect("memory");
    let (user, cgroup) = (b"user=1234 name=", b"cgroup=12 path=");
    let place = file.windows(user.len()).position(|window| window == user).expect("the note");
    file[place..place + user.len()].copy_from_slice(cgroup);
    file
}

fn exit(pid: u32) -> EventData<'static> {
    EventData::Exit {
        process_pid: pid,
        process_tgid: CHILD.0,
        exit_code: 3 << 8,
        exit_signal: 17,
        parent_pid: PARENT.0,
        parent_tgid: PARENT.0,
    }
}

fn with_event(
    data: EventData<'_>,
    timestamp_ns: u64,
    context: &RawContext,
    write: impl FnOnce(&Received<'_>),
) {
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq: 1, cpu: 0, timestamp_ns, data };
    record.encode_native(&mut datagram).expect("a known kind");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
        panic!("an event")
    };
    write(&Received::Event(event.with_context(&context.bytes())));
}

fn task() -> TaskHdr {
    let pair = |high: u64, low: u64| (high << 32 | low).into();
    TaskHdr {
        comm: *b"sh\xff\0\0\0\0\0\0\0\0\0\0\0\0\0",
        boot_ns: 11.into(),
        cgroup_id: CGROUP.into(),
        pid_tgid: pair(8, 8),
        uid_gid: pair(14, 13),
        euid_egid: pair(16, 15),
        session: 17.into(),
        tty: (136 << 20 | 5).into(),
        login_uid: 1000.into(),
        audit_session: 2.into(),
        ns_tgid: 18.into(),
        pid_ns: 19.into(),
        css_set: 0.into(),
    }
}

/// All of an exec, with arguments that are cut.
fn exec_extension() -> RawExtension {
    let parts: [&[u8]; 4] = [b"s\xff\0-c", b"./s\xff", b"s\xff\0bin\0", b"\xe9\0srv\0"];
    let exec = ExecHdr {
        ino: 21.into(),
        dev: (8 << 20 | 1).into(),
        nlink: 1.into(),
        ..ExecHdr::default()
    };
    let recorded = Recorded::all() - Recorded::ENV - Recorded::CSS_SET;
    RawExtension { recorded, task: task(), ..RawExtension::default() }.with_exec(exec, parts)
}

fn exit_extension(is_last: bool) -> RawExtension {
    let usage = distinct_usage();
    let of_exec = Recorded::ARGS
        | Recorded::ARGS_CUT
        | Recorded::PROGRAM
        | Recorded::FILENAME
        | Recorded::EXE
        | Recorded::CWD;
    RawExtension {
        recorded: Recorded::all() - Recorded::ENV - Recorded::CSS_SET - of_exec,
        task: task(),
        usage: Some(usage),
        process_usage: is_last.then_some(usage),
        ..RawExtension::default()
    }
}
