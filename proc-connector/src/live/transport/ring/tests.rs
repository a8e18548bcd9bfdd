//! Tests the program in the kernel, attached to a Unix socket instead of a netlink socket.
//!
//! A socket filter runs in the task that sends, so the test's process plays the acting task.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proc_connector_core::context::layout::Recorded;
use proc_connector_core::testing::filters::{FilterModel, RawEvent, TgidRule};
use proc_connector_core::testing::kinds::{COMM, EXEC, EXIT, FORK, PTRACE};
use proc_connector_core::testing::strategies::{filter_model, raw_event};
use proc_connector_core::{Context, EventMask, Filter, KernelPath, Notification};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use socket2::{Domain, Socket, Type};

use super::context::{ContextPlan, Wants};
use super::helpers::{self, SenderCheck};
use super::layout::Word;
use super::memory::{KernelMemory, Trust};
use super::queue::{Popped, RingQueue, bytes_per_event};
use super::reason::RingError;
use crate::live::transport::item::Item;
use crate::live::transport::moderation::EventQueue;
use crate::live::transport::readiness::Notice;
use crate::sys::poll_readable;
use crate::transport_kind::NoRing;

/// A ring, with a pair of sockets whose receiver has the program attached.
pub(super) struct Harness {
    pub(super) ring: RingQueue,
    sender: Socket,
    receiver: Socket,
}

/// Whether the program refuses actions of other tasks than the sender.
#[derive(Clone, Copy)]
pub(super) enum TaskCheck {
    Off,
    On,
}

impl Harness {
    /// `None` if this process may not use the ring, with the reason on standard error.
    pub(super) fn new(
        bytes: usize,
        filter: &Filter,
        task_check: TaskCheck,
        context: ContextPlan,
    ) -> Option<Self> {
        let (sender, receiver) =
            Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
        receiver.set_nonblocking(true).expect("a socket");
        let mut ring = match RingQueue::new(receiver.as_fd(), bytes, memory(), context, notice()) {
            Ok(ring) => ring,
            Err(RingError { reason: NoRing::Forbidden, .. }) => {
                eprintln!("skipped: {}", NoRing::Forbidden);
                return None;
            }
            Err(error) => panic!("{error:?}"),
        };
        // The control block of a Unix socket's buffers has another layout.
        ring.check = match (task_check, helpers::pid_tgid(memory())) {
            (TaskCheck::On, Some(pid_tgid)) => SenderCheck::OwnActions(pid_tgid),
            _ => SenderCheck::FormOnly,
        };
        ring.attach(filter).expect("the kernel accepts the program");
        ring.set_seeding(false);
        Some(Self { ring, sender, receiver })
    }

    pub(super) fn send(&self, datagram: &[u8]) {
        match (&self.sender).write(datagram) {
            Ok(sent) => assert_eq!(sent, datagram.len()),
            // Some kernels report to the sender that the receiver's filter dropped the datagram.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
    }

    /// Takes the datagram that the program left in the socket's queue.
    fn queued(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 100];
        match (&self.receiver).read(&mut buffer) {
            Ok(len) => Some(buffer[..len].to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }

    /// Empties the ring. `Err` holds the count of a loss.
    pub(super) fn drain(&mut self) -> Vec<Result<[u8; 76], u32>> {
        let mut items = Vec::new();
        let mut buffer = [0; 76];
        loop {
            match self.ring.pop(&mut buffer).expect("a ring") {
                Popped::Datagram(76) => items.push(Ok(buffer)),
                Popped::Datagram(len) => panic!("{len} bytes"),
                Popped::Lost(count) => items.push(Err(count)),
                Popped::Nothing => break,
            }
        }
        assert_eq!(self.queued(), None);
        items
    }

    fn is_readable(&self) -> bool {
        let [readable] = poll_readable([Some(self.ring.wakeup_fd())], Some(Duration::ZERO))
            .expect("a descriptor");
        readable
    }
}

/// Reading the types of the kernel takes a moment, so all tests share them.
pub(super) fn memory() -> &'static KernelMemory {
    static MEMORY: OnceLock<KernelMemory> = OnceLock::new();
    MEMORY.get_or_init(|| KernelMemory::detect(Trust::Nothing))
}

pub(super) fn identity_only() -> ContextPlan {
    ContextPlan::new(memory(), None)
}

fn fork(number: u32) -> RawEvent {
    RawEvent { what: FORK, words: [1, 1, number, number, 0, 0] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_program_keeps_exactly_the_wanted_events(
        model in filter_model(),
        events in vec(raw_event(), 1..40),
    ) {
        let Some(mut harness) = Harness::new(0, &model.filter(), TaskCheck::Off, identity_only()) else {
            return Ok(());
        };
        for event in &events {
            harness.send(&event.datagram());
        }
        let wanted: Vec<Result<[u8; 76], u32>> = events
            .iter()
            .filter(|event| model.passes(event))
            .map(|event| Ok(event.datagram()))
            .collect();
        prop_assert_eq!(harness.drain(), wanted);
        prop_assert_eq!(harness.ring.refused(), 0);
    }
}

#[test]
fn the_kernel_accepts_a_filter_of_1024_ids() {
    let exec = |tgid| RawEvent { what: EXEC, words: [tgid, tgid, 0, 0, 0, 0] };
    for distance in [4093, 4_194_301] {
        let ids = (0..1024).map(|n| n * distance);
        let model = FilterModel {
            mask: u32::MAX,
            processes_only: true,
            failures_only: true,
            tgids: Some((TgidRule::Only, ids.clone().collect())),
        };
        let Some(mut harness) =
            Harness::new(1 << 20, &model.filter(), TaskCheck::Off, identity_only())
        else {
            return;
        };
        for id in ids {
            harness.send(&exec(id).datagram());
            harness.send(&exec(id + 1).datagram());
        }
        assert_eq!(harness.drain().len(), 1024);
    }
}

#[test]
fn a_datagram_that_is_not_exactly_an_event_is_refused() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let event = fork(7).datagram();
    let mut refused = 0;
    // Every byte of the headers, except for fields whose values vary: `nlmsg_seq`, `seq`, and all
    // from `what` on.
    for at in (0..8).chain(12..24).chain(28..36) {
        let mut other = event;
        other[at] ^= 0x10;
        harness.send(&other);
        refused += 1;
        assert_eq!(harness.ring.refused(), refused, "byte {at}");
    }
    for len in (0..76).chain(77..200) {
        let mut other = event.to_vec();
        other.resize(len, 0);
        harness.send(&other);
    }
    assert_eq!(harness.drain(), []);
    harness.send(&event);
    assert_eq!(harness.drain(), [Ok(event)]);
}

#[test]
fn a_process_cannot_forge_actions_of_another() {
    let this = std::process::id();
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::On, identity_only())
    else {
        return;
    };
    if helpers::pid_tgid(memory()).is_none() {
        eprintln!("skipped: on this kernel a socket's program cannot read the running task's ids");
        return;
    }
    let by = |what, tgid| RawEvent { what, words: [tgid, tgid, 0, 0, 0, 0] }.datagram();
    for what in [EXEC, EXIT, COMM] {
        harness.send(&by(what, this + 1));
        assert_eq!(harness.drain(), []);
        harness.send(&by(what, this));
        assert_eq!(harness.drain(), [Ok(by(what, this))]);
    }
    assert_eq!(harness.ring.refused(), 3);
    // In these events the kernel names other processes than the acting one.
    for what in [FORK, PTRACE] {
        harness.send(&by(what, this + 1));
        assert_eq!(harness.drain(), [Ok(by(what, this + 1))]);
    }
}

#[test]
fn a_ring_wraps_and_counts_the_events_that_do_not_fit() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let capacity = harness.ring.size() / bytes_per_event(&identity_only());
    let (mut sent, mut received, mut lost) = (0, 0, 0);
    for round in 0..1000 {
        // Bursts of many lengths, so that the ring's end falls on every place in a record.
        for _ in 0..=(round * 7) % (2 * capacity) {
            harness.send(&fork(sent).datagram());
            sent += 1;
        }
        for item in harness.drain() {
            match item {
                Ok(datagram) => {
                    assert_eq!(datagram, fork(received + lost).datagram(), "round {round}");
                    received += 1;
                }
                Err(count) => lost += count,
            }
        }
        assert_eq!(received + lost, sent, "round {round}");
    }
    assert!(lost > 0 && received > 0);
}

#[test]
fn an_impossible_size_is_reported_as_too_large() {
    let (socket, _) = Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
    for bytes in [usize::MAX / 2, usize::MAX] {
        let error = RingQueue::new(socket.as_fd(), bytes, memory(), identity_only(), notice())
            .expect_err("too large for a ring");
        assert_eq!(error.reason, NoRing::TooLarge, "{bytes} bytes");
    }
}

#[test]
fn acknowledgements_that_do_not_fit_are_not_losses() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let capacity = harness.ring.size() / bytes_per_event(&identity_only());
    let ack = RawEvent { what: 0, words: [0; 6] }.datagram();
    for _ in 0..capacity + 3 {
        harness.send(&ack);
    }
    assert_eq!(harness.drain(), vec![Ok(ack); capacity]);
    assert_eq!(harness.ring.lost_acks(), 3);
}

#[test]
fn batches_report_losses_between_the_events_around_them() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let capacity = harness.ring.size() / bytes_per_event(&identity_only());
    let capacity = u32::try_from(capacity).expect("a small ring");
    let mut reported = Vec::new();
    let mut number = 0;
    for burst in [capacity + 5, capacity + 3, 1] {
        for _ in 0..burst {
            harness.send(&fork(number).datagram());
            number += 1;
        }
        // The loss at the end of a burst is in no record: the reader finds it in the shared word.
        while harness.ring.fetch().expect("a ring") {
            reported.extend(harness.ring.records().map(|item| match item {
                Item::Message(Ok(Notification::Event(event))) => {
                    let data = event.data();
                    Ok(u32::from_ne_bytes(data[8..12].try_into().expect("4 bytes")))
                }
                Item::Lost(lost) => Err(lost.count.expect("a count")),
                _ => panic!("neither an event nor a loss"),
            }));
        }
    }
    let mut expected: Vec<Result<u32, u64>> = (0..capacity).map(Ok).collect();
    expected.push(Err(5));
    expected.extend((capacity + 5..2 * capacity + 5).map(Ok));
    expected.push(Err(3));
    expected.push(Ok(number - 1));
    assert_eq!(reported, expected);
}

#[test]
fn a_new_filter_applies_to_the_events_that_follow() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    harness.send(&fork(1).datagram());
    harness.ring.attach(&Filter::new(EventMask::EXIT)).expect("the kernel accepts the program");
    harness.send(&fork(2).datagram());
    assert_eq!(harness.drain(), [Ok(fork(1).datagram())]);
}

#[test]
fn an_armed_ring_wakes_once() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let is_armed = |harness: &Harness| harness.ring.word(Word::Armed).load(Relaxed) != 0;
    assert!(harness.ring.arm() && !harness.is_readable());
    harness.send(&fork(1).datagram());
    assert!(harness.is_readable() && !is_armed(&harness), "the program disarmed the ring");
    harness.send(&fork(2).datagram());
    // A datagram cut short would be cut for other listeners as well.
    assert_eq!(harness.queued(), Some(fork(1).datagram().to_vec()));
    assert_eq!(harness.queued(), None);
    harness.send(&fork(3).datagram());
    assert!(!harness.ring.arm(), "there is something to read first");
    assert_eq!(harness.drain().len(), 3);

    assert!(harness.ring.arm());
    harness.send(&fork(4).datagram());
    assert!(harness.is_readable());
    assert!(!harness.ring.arm() && !harness.is_readable(), "arming empties the socket's queue");
    assert_eq!(harness.drain().len(), 1);
    assert!(harness.ring.arm() && !harness.is_readable());
}

#[test]
fn acknowledgements_reach_the_socket_while_the_reader_awaits_them() {
    let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, identity_only())
    else {
        return;
    };
    let ack = RawEvent { what: 0, words: [0; 6] }.datagram();
    for (awaiting, queued) in [(false, None), (true, Some(ack.to_vec())), (false, None)] {
        harness.ring.set_awaiting_ack(awaiting);
        harness.send(&ack);
        assert_eq!(harness.queued(), queued);
    }
    assert_eq!(harness.drain().len(), 3, "the ring has them for their sequence numbers");
}

#[test]
fn records_describe_the_acting_task() {
    let cmdline = fs::read("/proc/self/cmdline").expect("/proc is mounted");
    let this = std::process::id();
    // Space for all arguments, for some and for none; and all of them without the helpers that
    // older kernels lack.
    for (args_len, old) in [(4096, false), (5, false), (0, false), (4096, true)] {
        let plan = ContextPlan::new(
            memory(),
            Some(&Wants {
                args_len,
                cwd: true,
                variables: vec![b"PATH".to_vec(), b"NO_SUCH".to_vec()],
            }),
        );
        let plan = if old { plan.without_helpers(memory()) } else { plan };
        let Some(mut harness) = Harness::new(0, &Filter::default(), TaskCheck::Off, plan.clone())
        else {
            return;
        };
        for what in [EXEC, EXIT] {
            let parent = std::os::unix::process::parent_id();
            harness.send(&RawEvent { what, words: [this, this, 0, 0, parent, parent] }.datagram());
        }
        assert!(harness.ring.fetch().expect("a ring"));
        let available = plan.available();
        let has = |part| available.contains(part);
        let events: Vec<_> = harness.ring.records().collect();
        assert_eq!(events.len(), 2);
        for (item, what) in events.iter().zip([EXEC, EXIT]) {
            let Item::Message(Ok(Notification::Event(event))) = item else { panic!("an event") };
            assert_eq!(event.what(), what);
            let context = event.context().expect("a context");
            let thread = nix::unistd::gettid().as_raw();
            assert_eq!(
                context.pid(),
                has(Recorded::PID_TGID).then_some(thread.try_into().expect("an id"))
            );
            assert_eq!(context.tgid(), has(Recorded::PID_TGID).then_some(this));
            let uid = has(Recorded::UID_GID).then_some(nix::unistd::getuid().as_raw());
            let gid = has(Recorded::UID_GID).then_some(nix::unistd::getgid().as_raw());
            assert_eq!((context.uid(), context.gid()), (uid, gid));
            let comm = fs::read("/proc/thread-self/comm").expect("/proc is mounted");
            assert_eq!(context.comm(), has(Recorded::COMM).then_some(comm.trim_ascii_end()));
            assert_describes_this_task(&context, available);
            let args = context.args();
            if what == EXIT || !has(Recorded::ARGS) {
                assert_eq!(args, None);
                continue;
            }
            let args = args.expect("the arguments");
            assert_eq!(args.is_cut(), cmdline.len() > args_len);
            assert_eq!(args.bytes(), &cmdline[..cmdline.len().min(args_len)]);
        }
    }
}

/// Compares a context with `/proc` and the system calls of this task.
fn assert_describes_this_task(context: &Context<'_>, available: Recorded) {
    use std::os::unix::fs::MetadataExt;

    let has = |part| available.contains(part);
    let line = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
    let (_, rest) = line.rsplit_once(')').expect("a name");
    // The first of these is field 3.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields[number - 3].parse::<u64>().expect("a number");
    let ticks = |ns: Option<u64>| ns.map(|ns| ns / 10_000_000);
    assert_eq!(ticks(context.start_boottime_ns()), Some(field(22)));
    assert_eq!(context.parent_tgid(), Some(std::os::unix::process::parent_id()));
    let parent = fs::read_to_string(format!("/proc/{}/stat", std::os::unix::process::parent_id()));
    let parent = parent.expect("a parent");
    let start = parent.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19));
    assert_eq!(
        ticks(context.parent_start_boottime_ns()),
        start.map(|start| start.parse().expect("a number"))
    );
    let number = |path: &str| {
        fs::read_to_string(path).ok().map(|text| text.trim().parse::<u32>().expect("a number"))
    };
    let effective = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let effective = has(Recorded::EUID_EGID).then_some(effective);
    assert_eq!(context.euid().zip(context.egid()), effective);
    let as_u32 = |number: u64| u32::try_from(number).expect("32 bits");
    assert_eq!(context.session(), has(Recorded::SESSION).then(|| as_u32(field(6))));
    assert_eq!(context.tty(), has(Recorded::TTY).then(|| as_u32(field(7))));
    if has(Recorded::AUDIT) {
        assert_eq!(context.login_uid(), number("/proc/self/loginuid"));
        assert_eq!(context.audit_session(), number("/proc/self/sessionid"));
    }
    if has(Recorded::PID_NS) {
        let namespace = fs::metadata("/proc/self/ns/pid").expect("a namespace");
        assert_eq!(context.pid_ns().map(u64::from), Some(namespace.ino()));
        assert_eq!(context.ns_tgid(), Some(std::process::id()));
    }
    if let Some(program) = context.program() {
        let file = fs::metadata("/proc/self/exe").expect("a program");
        assert_eq!((program.ino, u64::from(program.nlink)), (file.ino(), file.nlink()));
        assert_eq!(
            (program.ctime_sec, i64::from(program.ctime_nsec)),
            (file.ctime(), file.ctime_nsec())
        );
        assert_eq!(program.dev_major, libc::major(file.dev()));
        assert_eq!(program.dev_minor, libc::minor(file.dev()));
        assert!(!program.is_deleted && !program.is_memfd);
        let executed = context.filename().expect("a file name");
        let executed = fs::metadata(String::from_utf8_lossy(executed).into_owned());
        assert_eq!(executed.expect("the program").ino(), file.ino());
        let exe = std::env::current_exe().expect("a program");
        assert_eq!(path(context.exe()), exe.to_string_lossy());
        let cwd = std::env::current_dir().expect("a directory");
        assert_eq!(path(context.cwd()), cwd.to_string_lossy());
        let environment = fs::read("/proc/self/environ").expect("/proc is mounted");
        let paths = environment.split(|&byte| byte == 0).filter(|it| it.starts_with(b"PATH="));
        assert!(context.env().expect("variables").iter().eq(paths));
    }
}

fn path(path: Option<KernelPath<'_>>) -> String {
    let names = path.expect("a path").components();
    names.fold(String::new(), |path, name| path + "/" + &String::from_utf8_lossy(name))
}

fn notice() -> Arc<Notice> {
    Notice::new().expect("a descriptor")
}
