//! The process table: CPU time per event without `/proc`, CPU time per exec with `/proc`, memory
//! per process, and the proportion of execs with known arguments.
//!
//! `cargo bench --bench process --features process`

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use proc_connector::parser::context::layout::{ExecHdr, Recorded, TaskHdr, UsageHdr};
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::process::{ChangeKind, Process, ProcessTable};
use proc_connector::{ProcConnector, Received, Transport};
use rustix::time::{ClockId, clock_gettime};

/// The number of live processes during the events.
const LIVE: u32 = 1_000;

fn datagrams(events: impl Iterator<Item = EventData<'static>>, start_ns: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (data, timestamp_ns) in events.zip(start_ns..) {
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns, data };
        let len = record.encode_native(&mut datagram).expect("a buffer of the maximum length");
        bytes.extend(&datagram[..len]);
    }
    bytes
}

fn apply(table: &mut ProcessTable, datagrams: &[u8], context: &[u8]) {
    for notification in Notifications::new(datagrams) {
        let Ok(Notification::Event(event)) = notification else { panic!("an event") };
        let event = event.with_context(context);
        for change in table.apply(&Received::Event(event)) {
            black_box(change.process);
        }
    }
}

fn fork(parent: u32, child_pid: u32, child_tgid: u32) -> EventData<'static> {
    EventData::Fork { parent_pid: parent, parent_tgid: parent, child_pid, child_tgid }
}

fn exit(process_pid: u32, process_tgid: u32) -> EventData<'static> {
    EventData::Exit {
        process_pid,
        process_tgid,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: 1,
        parent_tgid: 1,
    }
}

/// Processes that continue to run.
fn live_processes(number: u32) -> impl Iterator<Item = EventData<'static>> {
    (2..number + 2).map(|tgid| fork(1, tgid, tgid))
}

/// Prints the CPU time per event: the least of many rounds, so that other programs do not count.
fn events(_: &mut Criterion) {
    let none = |data, ns| (datagrams([data].into_iter(), ns), Vec::new());
    let inferred = short_lives().zip(1_000_000..).map(|(data, ns)| none(data, ns));
    print_time("without identity", &inferred.collect::<Vec<_>>());
    print_time("with identity", &proven_lives(false).collect::<Vec<_>>());
    print_time("with identity and context", &proven_lives(true).collect::<Vec<_>>());
}

fn print_time(name: &str, events: &[(Vec<u8>, Vec<u8>)]) {
    const ROUNDS: usize = 300;
    let mut table = ProcessTable::without_proc();
    apply(&mut table, &datagrams(live_processes(LIVE), 1), &[]);
    let round = |_| {
        let before = cpu_time();
        for (event, context) in events {
            apply(&mut table, event, context);
        }
        cpu_time().saturating_sub(before)
    };
    let least = (0..ROUNDS).map(round).min().expect("rounds");
    assert_eq!(table.len(), LIVE as usize, "each short process has ended");
    let each = least.as_nanos() / events.len() as u128;
    println!("event {name}: {each} ns");
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().expect("less than a second"))
}

/// Each live process has a child that creates a thread, executes a program, and ends.
fn short_lives() -> impl Iterator<Item = EventData<'static>> {
    (2..LIVE + 2).flat_map(|parent| {
        let child = parent + 1_000_000;
        let exec = EventData::Exec { process_pid: child, process_tgid: child };
        let thread = child + 1_000_000;
        [
            fork(parent, child, child),
            fork(parent, thread, child),
            exit(thread, child),
            exec,
            exit(child, child),
        ]
    })
}

/// The same events, each with the context that the ring records: the identity, or all of it.
fn proven_lives(is_whole: bool) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let start = |tgid: u32| u64::from(tgid) * 1_000;
    short_lives().zip(1_000_000..).map(move |(data, ns)| {
        let actor = match data {
            EventData::Fork { parent_tgid, child_pid, child_tgid, .. }
                if child_pid == child_tgid =>
            {
                parent_tgid
            }
            EventData::Fork { child_tgid, .. } => child_tgid,
            EventData::Exec { process_tgid, .. } | EventData::Exit { process_tgid, .. } => {
                process_tgid
            }
            _ => unreachable!(),
        };
        let parent = if actor > 1_000_000 { actor - 1_000_000 } else { 1 };
        let mut context = RawContext::of_process((actor, start(actor)), (parent, start(parent)));
        context = match data {
            EventData::Fork { child_tgid, .. } => context.with_child_start(start(child_tgid)),
            EventData::Exit { process_pid, process_tgid, .. } => {
                context.with_end((process_pid == process_tgid).then_some(0))
            }
            _ => context,
        };
        let args = "/usr/lib/a/program\0--number=1\0--and\0more\0";
        context.extension = match data {
            _ if !is_whole => None,
            EventData::Exec { .. } => Some(program(args, 1)),
            EventData::Exit { process_pid, process_tgid, .. } if process_pid == process_tgid => {
                let usage = Some(UsageHdr::default());
                Some(RawExtension { usage, process_usage: usage, ..task(1) })
            }
            _ => Some(task(1)),
        };
        (datagrams([data].into_iter(), ns), context.bytes())
    })
}

fn execs(c: &mut Criterion) {
    let mut table = ProcessTable::new().expect("/proc is mounted");
    let own = std::process::id();
    let exec = || {
        let now = clock_gettime(ClockId::Monotonic);
        let now_ns = now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs();
        let exec = EventData::Exec { process_pid: own, process_tgid: own };
        datagrams([exec].into_iter(), now_ns)
    };
    let mut group = c.benchmark_group("table");
    let args: String = std::env::args().flat_map(|arg| [arg, "\0".to_owned()]).collect();
    for (name, context) in [("", vec![]), (" and context", recorded_context(&args, own_cgroup()))] {
        group.bench_function(format!("exec, with /proc{name}"), |b| {
            b.iter_batched(exec, |exec| apply(&mut table, &exec, &context), BatchSize::SmallInput);
        });
    }
    let process = table.get(own).expect("this process");
    assert!(process.args().is_some() && process.exe().is_some() && process.cgroup().is_some());
    group.bench_function("read of the same by path, for comparison", |b| {
        b.iter(|| {
            for file in ["stat", "cmdline", "cgroup"] {
                black_box(std::fs::read(format!("/proc/{own}/{file}")).expect("a file"));
            }
            black_box(std::fs::read_link(format!("/proc/{own}/exe")).expect("a link"));
        });
    });
    group.finish();
}

/// Prints the memory of 100,000 live processes with different arguments.
fn memory(_: &mut Criterion) {
    const MANY: u32 = 100_000;
    let forks = datagrams(live_processes(MANY), 1);
    let execs = |tgid| EventData::Exec { process_pid: tgid, process_tgid: tgid };
    let execs = datagrams((2..MANY + 2).map(execs), u64::from(MANY) + 1);
    let before = resident();
    let mut table = ProcessTable::without_proc();
    apply(&mut table, &forks, &[]);
    for (number, notification) in Notifications::new(&execs).enumerate() {
        let Ok(Notification::Event(event)) = notification else { panic!("an event") };
        let args = format!("/usr/lib/a/program\0--number={number:08}\0--and\0{:40}\0", "more");
        let context = recorded_context(&args, 1);
        table.apply(&Received::Event(event.with_context(&context)));
    }
    assert_eq!(table.len(), MANY as usize);
    assert!(table.iter().all(|process| process.args().is_some()));
    let bytes = resident() - before;
    println!("{MANY} processes: {} MB, {} bytes each", bytes / 1_000_000, bytes / MANY as usize);
}

/// Prints for how many execs the arguments are known, and how many of those are wrong.
fn arguments(_: &mut Criterion) {
    // `cargo bench --bench process -- event` measures the events alone.
    if std::env::args().skip(1).any(|arg| !arg.starts_with('-')) {
        return;
    }
    for transport in [Transport::Ring, Transport::Socket] {
        for coalesce in [Duration::ZERO, Duration::from_millis(1)] {
            let options = ProcConnector::builder().transport(transport).context(true);
            match options.coalesce(coalesce).receive_buffer_events(50_000).open() {
                Ok(connector) => println!("{transport:?}, {coalesce:?}: {}", known(connector)),
                Err(error) => println!("{transport:?}, {coalesce:?}: {error}"),
            }
        }
    }
}

/// Executes a program that exits immediately, and compares its arguments with those in the table.
fn known(mut connector: ProcConnector) -> String {
    const EXECS: usize = 10_000;
    let mut table = ProcessTable::new().expect("/proc is mounted");
    let own = table.get(std::process::id()).map(Process::serial);
    let run = |number: usize| {
        let mut program = Command::new("/bin/true");
        program.arg0("true").arg(number.to_string()).status().expect("a program");
    };
    let runner = std::thread::spawn(move || (0..EXECS).for_each(run));
    let (mut execs, mut known, mut wrong) = (0, 0, 0);
    while execs < EXECS {
        for received in connector.recv_batch_timeout(Duration::from_secs(10)).expect("a batch") {
            for change in table.apply(&received) {
                if change.kind != ChangeKind::Executed || change.process.creator() != own {
                    continue;
                }
                let args = change.process.args();
                // Execs arrive in order: each process is waited for before the next one starts.
                let given = format!("true\0{execs}\0");
                execs += 1;
                known += usize::from(args.is_some());
                wrong += usize::from(args.is_some_and(|args| args.bytes() != given.as_bytes()));
            }
        }
    }
    runner.join().expect("its end");
    format!("the arguments of {known} of {execs} execs, {wrong} of them wrong")
}

/// Arguments in the form in which the ring's program records them, without an identity.
fn recorded_context(args: &str, cgroup_id: u64) -> Vec<u8> {
    RawContext { extension: Some(program(args, cgroup_id)), ..RawContext::default() }.bytes()
}

/// A task, and its program with these arguments.
fn program(args: &str, cgroup_id: u64) -> RawExtension {
    let exe = "program\0bin\0usr\0";
    let exec = ExecHdr {
        ino: 7.into(),
        dev: 1.into(),
        nlink: 1.into(),
        args_len: u32::try_from(args.len()).expect("short").into(),
        exe_len: u32::try_from(exe.len()).expect("short").into(),
        ..ExecHdr::default()
    };
    let of_exec = Recorded::ARGS | Recorded::EXE | Recorded::PROGRAM;
    let task = task(cgroup_id);
    RawExtension {
        recorded: task.recorded | of_exec,
        exec: Some(exec),
        tail: [args.as_bytes(), exe.as_bytes()].concat(),
        ..task
    }
}

/// A task with all values.
fn task(cgroup_id: u64) -> RawExtension {
    let task = TaskHdr {
        cgroup_id: cgroup_id.into(),
        comm: *b"program\0\0\0\0\0\0\0\0\0",
        ..TaskHdr::default()
    };
    let recorded = Recorded::BOOT_NS
        | Recorded::CGROUP_ID
        | Recorded::PID_TGID
        | Recorded::UID_GID
        | Recorded::COMM
        | Recorded::EUID_EGID
        | Recorded::SESSION
        | Recorded::TTY
        | Recorded::AUDIT
        | Recorded::PID_NS;
    RawExtension { recorded, task, ..RawExtension::default() }
}

/// The id of this process's cgroup.
fn own_cgroup() -> u64 {
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    std::fs::metadata(format!("/sys/fs/cgroup{path}")).map_or(0, |directory| directory.ino())
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * rustix::param::page_size()
}

criterion_group!(benches, memory, events, execs, arguments);
criterion_main!(benches);
