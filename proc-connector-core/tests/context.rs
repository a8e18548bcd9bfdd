//! Contexts, laid out by hand.

use proc_connector_core::{Context, ExitStatus};

const FORK: u32 = 1;
const EXEC: u32 = 2;
const EXIT: u32 = 0x8000_0000;

const EXEC_BIT: u32 = 1 << 14;
/// The bits of all fields of the task.
const TASK_BITS: u32 = 0b1111_1001_1111 | 1 << 20;

/// An identity in the host's byte order, with `detail` in its last 8 bytes.
fn identity(detail: u64) -> Vec<u8> {
    let ids = [8_u32, 1].map(u32::to_ne_bytes).concat();
    [ids, [500_u64, 100, detail].map(u64::to_ne_bytes).concat()].concat()
}

fn extension(bits: u32) -> Vec<u8> {
    let mut bytes = [bits, 0].map(u32::to_ne_bytes).concat();
    bytes.extend(b"a name\0\0\0\0\0\0\0\0\0\0");
    let numbers = [5, 6, (8 << 32) + 7, (10 << 32) + 9, (12 << 32) + 11];
    bytes.extend(numbers.map(u64::to_ne_bytes).concat());
    bytes.extend([13_u32, 14, 15, 16, 17, 18].map(u32::to_ne_bytes).concat());
    bytes.extend(19_u64.to_ne_bytes());
    bytes
}

fn usage(first: u64) -> Vec<u8> {
    (first..first + 10).flat_map(u64::to_ne_bytes).collect()
}

/// The header of an exec, with the lengths of the variable parts.
fn exec(lengths: [u32; 5]) -> Vec<u8> {
    let mut bytes = [21_u64, 22].map(u64::to_ne_bytes).concat();
    let words = [23, (8 << 20) + 1, 0, 3];
    bytes.extend(words.iter().chain(&lengths).chain(&[0]).flat_map(|word| word.to_ne_bytes()));
    bytes
}

#[test]
fn an_identity_alone_is_complete() {
    let bytes = identity(600);
    let context = Context::parse(FORK, &bytes).expect("a context");
    assert_eq!((context.tgid(), context.start_boottime_ns()), (Some(8), Some(500)));
    assert_eq!((context.parent_tgid(), context.parent_start_boottime_ns()), (Some(1), Some(100)));
    assert_eq!(context.child_start_boottime_ns(), Some(600));
    assert_eq!((context.is_over(), context.comm(), context.args()), (None, None, None));
    let context = Context::parse(EXEC, &bytes).expect("a context");
    assert_eq!(context.child_start_boottime_ns(), None);
    let none = Context::parse(FORK, &[0; 32]).expect("a context");
    assert_eq!((none.tgid(), none.start_boottime_ns(), none.parent_tgid()), (None, None, None));
}

#[test]
fn an_exit_reports_whether_the_process_is_over() {
    let word = |state: u32, status: u32| {
        let bytes = [state.to_ne_bytes(), status.to_ne_bytes()].concat();
        u64::from_ne_bytes(bytes.try_into().expect("8 bytes"))
    };
    for (state, status, expected) in
        [(0, 7, (None, None)), (1, 7, (Some(false), None)), (2, 768, (Some(true), Some(768)))]
    {
        let bytes = identity(word(state, status));
        let context = Context::parse(EXIT, &bytes).expect("a context");
        let actual = (context.is_over(), context.process_status().map(ExitStatus::into_raw));
        assert_eq!(actual, expected);
        let other = Context::parse(EXEC, &bytes).expect("a context");
        assert_eq!((other.is_over(), other.process_status()), (None, None));
    }
}

#[test]
fn every_field_of_the_task_is_read_at_its_offset() {
    let bytes = [identity(0), extension(TASK_BITS)].concat();
    let context = Context::parse(EXIT, &bytes).expect("a context");
    assert_eq!(context.comm(), Some(&b"a name"[..]));
    assert_eq!((context.boot_ns(), context.cgroup_id()), (Some(5), Some(6)));
    assert_eq!((context.pid(), context.tgid()), (Some(7), Some(8)));
    assert_eq!((context.uid(), context.gid()), (Some(9), Some(10)));
    assert_eq!((context.euid(), context.egid()), (Some(11), Some(12)));
    assert_eq!((context.session(), context.tty()), (Some(13), Some(14)));
    assert_eq!((context.login_uid(), context.audit_session()), (Some(15), Some(16)));
    assert_eq!((context.ns_tgid(), context.pid_ns()), (Some(17), Some(18)));
    assert_eq!(context.bytes(), &bytes[..]);
}

#[test]
fn each_bit_enables_one_part() {
    for bit in (0..21).filter(|bit| TASK_BITS & (1 << bit) != 0) {
        let bytes = [identity(0), extension(1 << bit)].concat();
        let context = Context::parse(EXIT, &bytes).expect("a context");
        let present = [
            (0, context.boot_ns().is_some()),
            (1, context.cgroup_id().is_some()),
            (2, context.pid().is_some()),
            (3, context.uid().is_some() && context.gid().is_some()),
            (4, context.comm().is_some()),
            (7, context.euid().is_some() && context.egid().is_some()),
            (8, context.session().is_some()),
            (9, context.tty().is_some()),
            (10, context.login_uid().is_some() && context.audit_session().is_some()),
            (20, context.css_set() == Some(19)),
            (11, context.ns_tgid().is_some() && context.pid_ns().is_some()),
        ];
        assert!(present.iter().all(|&(of, present)| present == (of == bit)), "{bit}: {present:?}");
    }
}

#[test]
fn an_exit_has_the_usage_of_the_thread_and_of_the_process() {
    for (bits, expected) in [
        (0, [None, None]),
        (1 << 12, [Some(30), None]),
        (1 << 13, [None, Some(30)]),
        (3 << 12, [Some(30), Some(50)]),
    ] {
        let bytes = [identity(0), extension(bits), usage(30), usage(50)].concat();
        let context = Context::parse(EXIT, &bytes).expect("a context");
        assert_eq!([context.usage(), context.process_usage()].map(|u| Some(u?.cpu_ns)), expected);
    }
    let bytes = [identity(0), extension(1 << 12), usage(30)].concat();
    let usage = Context::parse(EXIT, &bytes).and_then(|context| context.usage()).expect("usage");
    assert_eq!((usage.cpu_ns, usage.utime_ns, usage.stime_ns), (30, 31, 32));
    assert_eq!((usage.nvcsw, usage.nivcsw, usage.min_flt, usage.maj_flt), (33, 34, 35, 36));
    assert_eq!((usage.read_bytes, usage.write_bytes, usage.max_rss), (37, 38, Some(39)));
}

#[test]
fn an_exec_has_its_program_and_the_variable_parts() {
    let tail = b"true\0a\0\0\0./truetrue\0bin\0tmp\0A=b\0";
    let all = EXEC_BIT | 1 << 5 | 0b1_1111 << 15;
    let bytes = [identity(0), extension(all), exec([9, 6, 9, 4, 4]), tail.to_vec()].concat();
    let context = Context::parse(EXEC, &bytes).expect("a context");
    let program = context.program().expect("a program");
    assert_eq!((program.ino, program.ctime_sec, program.ctime_nsec), (21, 22, 23));
    assert_eq!((program.dev_major, program.dev_minor), (8, 1));
    assert_eq!((program.nlink, program.is_memfd, program.is_deleted), (0, true, false));
    let args = context.args().expect("arguments");
    assert!(args.iter().eq([&b"true"[..], b"a", b"", b""]) && !args.is_cut());
    assert_eq!(context.filename(), Some(&b"./true"[..]));
    assert!(context.exe().expect("a path").components().eq([&b"bin"[..], b"true"]));
    assert!(context.cwd().expect("a path").components().eq([b"tmp"]));
    assert!(context.env().expect("variables").iter().eq([b"A=b"]));
}

#[test]
fn truncated_arguments_are_marked_and_an_empty_list_is_empty() {
    let args = |bits: u32, bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).expect("few");
        let all = [&identity(0)[..], &extension(EXEC_BIT | bits), &exec([len, 0, 0, 0, 0]), bytes];
        let all = all.concat();
        let context = Context::parse(EXEC, &all).expect("a context");
        context.args().map(|args| (args.is_cut(), args.iter().map(<[u8]>::to_vec).collect()))
    };
    assert_eq!(args(3 << 5, b"tru"), Some((true, vec![b"tru".to_vec()])));
    assert_eq!(args(1 << 5, b""), Some((false, vec![])));
    assert_eq!(args(0, b"tru"), None);
}

#[test]
fn too_few_bytes_are_no_context() {
    let bits = EXEC_BIT | 3 << 12;
    let headers =
        [identity(0), extension(bits), usage(0), usage(0), exec([0, 0, 0, 0, 0])].concat();
    assert!(Context::parse(EXEC, &headers).is_some());
    let complete = [32, headers.len()];
    for len in (0..=headers.len()).filter(|len| !complete.contains(len)) {
        assert!(Context::parse(EXEC, &headers[..len]).is_none(), "{len} bytes");
    }
    // A length beyond the end hides only the part that it belongs to and those behind it.
    let bits = EXEC_BIT | 1 << 5 | 1 << 16;
    let bytes = [&identity(0)[..], &extension(bits), &exec([2, 9, 0, 0, 0]), b"a\0b"].concat();
    let context = Context::parse(EXEC, &bytes).expect("a context");
    assert_eq!((context.args().is_some(), context.filename()), (true, None));
}
