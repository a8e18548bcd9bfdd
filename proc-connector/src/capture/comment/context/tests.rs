//! Contexts are equal after they were written and read. The contexts are built by the test module of the
//! parser.

use proc_connector_core::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector_core::testing::context::{RawContext, RawExtension};
use proc_connector_core::{Context, Event, EventData, EventRecord, Notification, Notifications};
use proptest::prelude::*;

use super::{CommonIds, ContextWriter, INITIAL_PID_NS, read};

const TIME: u64 = 1_000_000_007;

fn with_event(data: EventData<'_>, context: &[u8], test: impl FnOnce(Event<'_>)) {
    let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
    let record = EventRecord { seq: 1, cpu: 0, timestamp_ns: TIME, data };
    record.encode_native(&mut datagram).expect("a known kind");
    let Some(Ok(Notification::Event(event))) = Notifications::new(&datagram).next() else {
        panic!("an event")
    };
    test(event.with_context(context));
}

const FORK: EventData<'_> =
    EventData::Fork { parent_pid: 7, parent_tgid: 7, child_pid: 8, child_tgid: 8 };
const EXEC: EventData<'_> = EventData::Exec { process_pid: 7, process_tgid: 7 };
const EXIT: EventData<'_> = EventData::Exit {
    process_pid: 7,
    process_tgid: 7,
    exit_code: 256,
    exit_signal: 17,
    parent_pid: 1,
    parent_tgid: 1,
};

fn text(data: EventData<'_>, context: &[u8]) -> Option<String> {
    text_after(&mut ContextWriter::default(), data, context)
}

/// The same by a writer that has written others.
fn text_after(writer: &mut ContextWriter, data: EventData<'_>, context: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let mut found = None;
    with_event(data, context, |event| {
        let is_written = writer.write(&event, &mut text);
        found = is_written.then(|| String::from_utf8(text.clone()).expect("a comment is UTF-8"));
    });
    found
}

/// Reads a comment as if it were the first one of a recording.
fn read_alone(text: &str, timestamp_ns: u64, out: &mut Vec<u8>) -> Option<()> {
    read(text.as_bytes(), timestamp_ns, &mut CommonIds::default(), out)
}

/// All values of a context, independent of its bytes.
fn values(context: &Context<'_>) -> Vec<String> {
    fn all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
        parts.into_iter().collect()
    }
    let ids = (context.tgid(), context.start_boottime_ns(), context.parent_tgid());
    let starts = (context.parent_start_boottime_ns(), context.child_start_boottime_ns());
    let args = context.args().map(|args| (args.bytes(), args.is_cut()));
    let paths = [context.exe(), context.cwd()].map(|path| path.map(|path| all(path.components())));
    vec![
        format!("{ids:?} {starts:?} {:?} {:?}", context.is_over(), context.process_status()),
        format!("{:?} {:?}", context.usage(), context.process_usage()),
        format!("{:?} {:?} {:?}", context.comm(), context.pid(), context.boot_ns()),
        format!("{:?} {:?}", context.uid().zip(context.gid()), context.euid().zip(context.egid())),
        format!("{:?} {:?} {:?}", context.session(), context.tty(), context.cgroup_id()),
        format!("{:?} {:?}", context.login_uid(), context.audit_session()),
        // A comment has another number for the set.
        format!("{:?} {:?} {}", context.ns_tgid(), context.pid_ns(), context.css_set().is_some()),
        format!("{:?} {:?} {args:?}", context.program(), context.filename()),
        format!("{paths:?} {:?}", context.env().map(|env| env.bytes())),
    ]
}

/// Holds a context against the one that is read from its comment.
fn check(data: EventData<'_>, context: &[u8]) {
    let text = text(data, context).expect("a context");
    let mut bytes = Vec::new();
    read_alone(&text, TIME, &mut bytes).unwrap_or_else(|| panic!("unreadable: {text}"));
    with_event(data, context, |event| {
        let expected = values(&event.context().expect("a context"));
        let found = values(&event.with_context(&bytes).context().expect("a context"));
        assert_eq!(found, expected, "{text}");
    });
}

fn task() -> TaskHdr {
    let pair = |high: u64, low: u64| (high << 32 | low).into();
    TaskHdr {
        comm: *b"make\0\0\0\0\0\0\0\0\0\0\0\0",
        boot_ns: (TIME + 250).into(),
        cgroup_id: 12.into(),
        pid_tgid: pair(7, 8),
        uid_gid: pair(100, 1000),
        euid_egid: pair(100, 0),
        session: 17.into(),
        tty: (136 << 20 | 5).into(),
        login_uid: 1000.into(),
        audit_session: u32::MAX.into(),
        ns_tgid: 7.into(),
        pid_ns: 19.into(),
        css_set: 3.into(),
    }
}

fn exec(parts: [&[u8]; 5]) -> RawExtension {
    let len = |part: &[u8]| u32::try_from(part.len()).expect("short").into();
    let [args_len, filename_len, exe_len, cwd_len, env_len] = parts.map(len);
    let exec = ExecHdr {
        ino: 21.into(),
        ctime_sec: 1_700_000_000.into(),
        ctime_nsec: 9.into(),
        dev: (8 << 20 | 1).into(),
        nlink: 1.into(),
        flags: ExecHdr::UNHASHED.into(),
        args_len,
        filename_len,
        exe_len,
        cwd_len,
        env_len,
        ..ExecHdr::default()
    };
    RawExtension {
        recorded: Recorded::all() - Recorded::ARGS_CUT,
        task: task(),
        exec: Some(exec),
        tail: parts.concat(),
        ..RawExtension::default()
    }
}

#[test]
fn an_identity_is_short() {
    let context = RawContext::of_process((7, 70), (1, 10)).with_child_start(75).bytes();
    assert_eq!(text(FORK, &context).as_deref(), Some("pc1 p=7:70 pp=1:10 child=75"));
    check(FORK, &context);
    let context = RawContext::of_process((7, 70), (0, 0)).with_end(Some(256)).bytes();
    assert_eq!(text(EXIT, &context).as_deref(), Some("pc1 p=7:70 over=256"));
    check(EXIT, &context);
    assert_eq!(text(FORK, &[]), None, "an event without a context");
}

#[test]
fn an_exec_is_readable() {
    let parts = [&b"cc\0-c\0a b.c\0"[..], b"/bin/cc", b"gcc\0bin\0usr\0", b"", b"LANG=C\0"];
    let context = RawContext::of_process((7, 70), (1, 10)).with_extension(exec(parts)).bytes();
    let expected = "pc1 p=7:70 pp=1:10 t=8:7 comm=make u=1000:100 e=0:100 s=17 tty=136:5 \
                    au=1000: ns=19 cg=12 cs=1 boot=250 file=8:1:21:1700000000:9:1 deleted \
                    exe=/usr/bin/gcc cwd=/ filename=/bin/cc args=cc,-c,a%20b.c, env=LANG=C,";
    assert_eq!(text(EXEC, &context).as_deref(), Some(expected));
    check(EXEC, &context);
}

#[test]
fn values_that_most_processes_have_are_short() {
    type Change = fn(&mut RawExtension);
    let with = |change: Change| {
        let parts = [&b""[..], b"/usr/bin/cc", b"cc\0bin\0usr\0", b"", b""];
        let mut extension = exec(parts);
        extension.recorded = Recorded::UID_GID | Recorded::EUID_EGID | Recorded::TTY;
        extension.recorded |= Recorded::AUDIT | Recorded::PID_NS | Recorded::EXEC | Recorded::EXE;
        extension.recorded |= Recorded::FILENAME;
        (extension.task.uid_gid, extension.task.euid_egid) = (0.into(), 0.into());
        extension.task.tty = 0.into();
        extension.task.login_uid = u32::MAX.into();
        extension.task.pid_ns = INITIAL_PID_NS.into();
        change(&mut extension);
        RawContext::of_process((7, 70), (1, 10)).with_extension(extension).bytes()
    };
    let cases: [(Change, &str); 9] = [
        (|_| (), "u=0 e tty au ns exe=/usr/bin/cc direct"),
        (|it| it.task.uid_gid = 5.into(), "u=5:0 e=0 tty au ns exe=/usr/bin/cc direct"),
        (|it| it.task.euid_egid = (5 << 32).into(), "u=0 e=0:5 tty au ns exe=/usr/bin/cc direct"),
        (|it| it.task.tty = 5.into(), "u=0 e tty=0:5 au ns exe=/usr/bin/cc direct"),
        (|it| it.task.audit_session = 5.into(), "u=0 e tty au=:5 ns exe=/usr/bin/cc direct"),
        (|it| it.task.login_uid = 5.into(), "u=0 e tty au=5: ns exe=/usr/bin/cc direct"),
        (|it| it.task.pid_ns = 5.into(), "u=0 e tty au ns=5 exe=/usr/bin/cc direct"),
        (|it| it.task.ns_tgid = 0.into(), "u=0 e tty au ns=4026531836:0 exe=/usr/bin/cc direct"),
        (|it| it.tail[0] = b'.', "u=0 e tty au ns exe=/usr/bin/cc filename=.usr/bin/cc"),
    ];
    let mut writer = ContextWriter::default();
    for (change, expected) in cases {
        let context = with(change);
        let expected = format!("pc1 p=7:70 pp=1:10 {expected}");
        // The writer knows the text of the last context.
        assert_eq!(text_after(&mut writer, EXEC, &context), Some(expected));
        check(EXEC, &context);
    }
}

#[test]
fn a_usage_that_equals_the_default_is_left_out() {
    let usage = |cpu: u64, min_flt: u64, max_rss: u64| UsageHdr {
        cpu_ns: cpu.into(),
        min_flt: min_flt.into(),
        max_rss: max_rss.into(),
        ..UsageHdr::default()
    };
    let extension = |usage, process_usage| RawExtension {
        usage: Some(usage),
        process_usage: Some(process_usage),
        ..RawExtension::default()
    };
    for (own, all, expected) in [
        (usage(5, 3, 4096), usage(5, 3, 4096), "ru=5:::::3::::4096 pu="),
        (usage(5, 3, 0), usage(9, 3, 4096), "ru=5:::::3 pu=9:::::::::4096"),
        // A number can also be smaller.
        (usage(5, 3, 4096), usage(5, 0, 0), "ru=5:::::3::::4096 pu=:::::0::::0"),
    ] {
        let context = RawContext::of_process((7, 70), (1, 10)).with_end(Some(0));
        let context = context.with_extension(extension(own, all)).bytes();
        assert_eq!(text(EXIT, &context), Some(format!("pc1 p=7:70 pp=1:10 over=0 {expected}")));
        check(EXIT, &context);
    }
}

#[test]
fn arguments_that_do_not_fit_are_cut() {
    let args = vec![b'\n'; 32_768];
    let context = RawContext::of_process((7, 70), (1, 10));
    let context = context.with_extension(exec([&args, b"/a", b"a\0", b"", b"X=1\0"])).bytes();
    let text = text(EXEC, &context).expect("a context");
    assert!(text.len() < usize::from(u16::MAX), "{}", text.len());
    let mut bytes = Vec::new();
    read_alone(&text, TIME, &mut bytes).expect("a context");
    let context = Context::parse(2, &bytes).expect("a context");
    let read = context.args().expect("arguments");
    assert!(read.is_cut() && args.starts_with(read.bytes()) && read.bytes().len() > 10_000);
    assert_eq!(context.filename(), Some(&b"/a"[..]));
}

#[test]
fn unknown_keys_are_skipped_and_damage_is_noticed() {
    let mut bytes = Vec::new();
    let mut is_readable = |text: &str| read_alone(text, TIME, &mut bytes).is_some();
    assert!(is_readable("pc1 p=7:70 later=1:2 flag x=%"));
    for damaged in [
        "pc1 ",
        "pc1 pp=1:10",
        "pc1 p=",
        "pc1 p=7",
        "pc1 p=seven:70",
        "pc1 p=4294967296:70",
        "pc1 p=7:70 u=",
        "pc1 p=7:70 tty=136",
        "pc1 p=7:70 direct",
        "pc1 p=7:70 args=%4",
        "pc1 p=7:70 comm=12345678901234567",
        "pc1 p=7:70 exe=bin",
        "pc1 p=7:70 exe=/b,in",
        "pc1 p=7:70 ru=1:x",
    ] {
        assert!(!is_readable(damaged), "{damaged}");
    }
}

/// Holds recordings of earlier versions, which wrote all values, against the short forms.
#[test]
fn long_forms_are_read() {
    let restored = |comment: &str| {
        let mut bytes = Vec::new();
        read_alone(comment, TIME, &mut bytes).map(|()| bytes)
    };
    for (long, short) in [
        ("u=0:0 e", "u=0 e"),
        ("u=5:0 e=7:7", "u=5:0 e=7"),
        ("tty=0:0", "tty"),
        ("au=:", "au"),
        ("ns=4026531836", "ns"),
        ("exe=/bin/cc cwd=/ filename=/bin/cc", "exe=/bin/cc cwd=/ direct"),
    ] {
        let long = restored(&format!("pc1 p=7:70 {long}"));
        assert!(long.is_some());
        assert_eq!(long, restored(&format!("pc1 p=7:70 {short}")), "{short}");
    }
}

#[test]
fn a_text_that_is_kept_belongs_to_equal_values() {
    // The ids have the same place.
    let processes = [(7, 70), (7, 71), (134, 70), (7, 70), (0, 0)];
    let changes: [fn(&mut TaskHdr); 10] = [
        |_| (),
        |it| it.uid_gid = 1.into(),
        |it| it.euid_egid = 1.into(),
        |it| it.session = 1.into(),
        |it| it.tty = 1.into(),
        |it| it.login_uid = 1.into(),
        |it| it.audit_session = 1.into(),
        |it| it.pid_ns = 1.into(),
        |it| it.ns_tgid = 134.into(),
        |it| it.cgroup_id = 1.into(),
    ];
    let parts = Recorded::all() - Recorded::EXEC - Recorded::USAGE - Recorded::PROCESS_USAGE;
    let mut writer = ContextWriter::default();
    let mut check = |recorded, process, parent, change: fn(&mut TaskHdr)| {
        let mut task = task();
        change(&mut task);
        let extension = RawExtension { recorded, task, ..RawExtension::default() };
        let context = RawContext::of_process(process, parent).with_extension(extension).bytes();
        assert_eq!(text_after(&mut writer, FORK, &context), text(FORK, &context));
    };
    // Only one value differs from those before.
    for change in changes {
        check(parts, processes[0], processes[1], changes[0]);
        check(parts, processes[0], processes[1], change);
        check(parts - Recorded::TTY, processes[0], processes[1], change);
    }
    // In the namespace, neither has the id of the context.
    check(parts, processes[0], processes[1], |it| it.ns_tgid = 134.into());
    check(parts, processes[0], processes[1], |it| it.ns_tgid = 135.into());
    for process in processes {
        for parent in processes {
            check(parts, process, parent, changes[0]);
        }
    }
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    // Each name ends with a zero byte.
    let name = proptest::collection::vec(1..=255_u8, 1..20);
    proptest::collection::vec(name, 0..5)
        .prop_map(|names| names.into_iter().flat_map(|name| [name, vec![0]].concat()).collect())
}

proptest! {
    #[test]
    fn every_context_is_read_again(
        kind in 0..3_usize,
        numbers in proptest::collection::vec(any::<u64>(), 40),
        recorded in any::<u32>(),
        comm in "[a-z ,%/é]{0,8}",
        args in proptest::collection::vec(any::<u8>(), 0..200),
        filename in proptest::collection::vec(any::<u8>(), 0..50),
        [exe, cwd] in [names(), names()],
        env in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        let word = |place: usize| numbers[place] as u32;
        let usage = |from: usize| UsageHdr {
            cpu_ns: numbers[from].into(),
            utime: 0.into(),
            stime: numbers[from + 1].into(),
            nvcsw: (numbers[from + 2] % 2).into(),
            nivcsw: (numbers[from + 3] % 2).into(),
            min_flt: numbers[from + 4].into(),
            maj_flt: 0.into(),
            read_bytes: numbers[from + 5].into(),
            write_bytes: numbers[from + 6].into(),
            max_rss: (numbers[from + 7] % 2).into(),
        };
        let mut name = [0; 16];
        name[..comm.len()].copy_from_slice(comm.as_bytes());
        let task = TaskHdr {
            comm: name,
            boot_ns: numbers[0].into(),
            cgroup_id: numbers[1].into(),
            pid_tgid: numbers[2].into(),
            uid_gid: numbers[3].into(),
            euid_egid: numbers[4].into(),
            session: word(5).into(),
            tty: word(6).into(),
            login_uid: word(7).into(),
            audit_session: word(8).into(),
            ns_tgid: word(9).into(),
            pid_ns: word(10).into(),
            css_set: numbers[11].into(),
        };
        let parts = [&args[..], &filename, &exe, &cwd, &env];
        let mut extension = exec(parts);
        let recorded = Recorded::from_bits_truncate(recorded);
        extension.exec = extension.exec.filter(|_| recorded.contains(Recorded::EXEC));
        extension.usage = recorded.contains(Recorded::USAGE).then(|| usage(12));
        let process_usage = recorded.contains(Recorded::PROCESS_USAGE);
        extension.process_usage = process_usage.then(|| usage(20));
        (extension.recorded, extension.task) = (recorded, task);
        if extension.exec.is_none() {
            extension.tail.clear();
        }
        let context = RawContext::of_process((word(28), numbers[29]), (word(30), numbers[31]));
        let (data, context) = match kind {
            0 => (FORK, context.with_child_start(numbers[32])),
            1 => (EXEC, context),
            _ => (EXIT, context.with_end((numbers[33] % 2 == 0).then_some(word(34)))),
        };
        check(data, &context.with_extension(extension).bytes());
    }

    #[test]
    fn any_comment_is_read_without_a_panic(text in "pc1 ([a-z]{1,4}=[0-9:,%/a-f]{0,12} ){0,6}") {
        let _ = read_alone(&text, u64::MAX, &mut Vec::new());
    }
    #[test]
    fn ids_that_are_kept_are_those_that_are_read(
        comments in proptest::collection::vec(proptest::collection::vec(0..WORDS.len(), 0..10), 2..8),
    ) {
        let mut ids = CommonIds::default();
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for words in comments {
            let words: Vec<&str> = words.into_iter().map(|word| WORDS[word]).collect();
            for text in [format!("pc1 p=7:70 {}", words.join(" ")), format!("pc1 p=9:9 {}", words.join(" "))] {
                let is_read = read(text.as_bytes(), TIME, &mut ids, &mut found);
                prop_assert_eq!(is_read, read_alone(&text, TIME, &mut expected), "{}", text);
                prop_assert!(is_read.is_none() || found == expected, "{}", text);
            }
        }
    }
}

/// Words of which comments consist, the ids of tasks above all.
const WORDS: [&str; 22] = [
    "u=1", "u=1:1", "u=1:12", "u=2:2:3", "e", "e=3:3", "s=4", "s=41", "tty=1:2", "au=:", "au=1:2",
    "ns", "ns=5", "ns=5:7", "ns=5:9", "cg=1", "cs=2", "cs=2:x", "comm=x", "later=1", "p=8:8",
    "cs=x",
];
