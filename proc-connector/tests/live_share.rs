//! Limits of filters: the share of a cgroup, the number of followed processes, and conditions that no
//! process can meet.

mod common;

#[path = "common/choice/mod.rs"]
mod choice;

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use choice::cgroup::Cgroup;
use common::helper_process::{HelperProcess, pause, print_number};
use common::{
    CAP_SYS_ADMIN, Deadline, builder, large_buffer, load, named, require_capability, skip,
    transport,
};
use nix::unistd::setsid;
use proc_connector::parser::filter::{NamePattern, TreeRoot};
use proc_connector::testing::behaviour as sys;
use proc_connector::{
    Error, EventMask, Filter, LossCause, OwnedEvent, OwnedReceived, Payload, ProcConnector,
    Transport,
};

fn main() -> ExitCode {
    let tests = named![
        a_flood_from_one_cgroup_leaves_the_others_complete,
        processes_that_do_not_fit_the_table_are_reported,
        a_missing_root_is_an_error_and_the_filter_stays,
        a_zombie_is_a_missing_root,
        empty_conditions_select_all_tasks,
        an_unknown_cgroup_selects_nothing,
    ];
    common::main(&named![creates_threads, forks_children], &tests)
}

/// Threads of the flood, and of the other process. Each causes two events.
const FLOOD: u32 = 20_000;
const OTHERS: u32 = 300;

/// The share is below the events of the flood in a second, and above all those of the other process.
const SHARE: u32 = 1_000;

/// A role: creates as many threads as the test requests.
fn creates_threads() {
    print_number(0);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    load::threads(line.trim().parse().expect("a number"));
}

/// The events and losses of a connector.
#[derive(Debug, Default)]
struct Received {
    events: Vec<OwnedEvent>,
    over_share: u64,
    unfollowed: u64,
}

impl Received {
    /// Receives until a condition is met.
    fn until(
        &mut self,
        connector: &mut ProcConnector,
        mut is_met: impl FnMut(&Self, &ProcConnector) -> bool,
    ) {
        let deadline = Deadline::new();
        while !is_met(self, connector) {
            assert!(deadline.left().is_some(), "{} events", self.events.len());
            self.take(connector, Duration::from_millis(10));
        }
    }

    fn take(&mut self, connector: &mut ProcConnector, time: Duration) -> bool {
        let before = self.events.len();
        for received in connector.recv_batch_timeout(time).expect("a batch") {
            match OwnedReceived::from(received) {
                OwnedReceived::Event(event) => self.events.push(event),
                OwnedReceived::Lost(lost) => {
                    let count = lost.count.expect("a number");
                    match lost.cause {
                        LossCause::ShareExceeded => self.over_share += count,
                        LossCause::Unfollowed => self.unfollowed += count,
                        cause => panic!("{count} lost: {cause:?}"),
                    }
                }
            }
        }
        self.events.len() > before
    }

    /// How many events concern a process.
    fn of(&self, tgid: u32) -> u32 {
        let mut count = 0;
        for event in &self.events {
            count += u32::from(event.process().is_some_and(|process| process.tgid == tgid));
        }
        count
    }

    /// Whether the exit of a process was received.
    fn has_exit(&self, pid: u32) -> bool {
        let mut exits = self.events.iter().filter_map(|event| match event.payload() {
            Payload::Exit(exit) => Some(exit.process_pid()),
            _ => None,
        });
        exits.any(|exited| exited == pid)
    }
}

fn require_ring() {
    if transport() != Transport::Ring {
        skip("only the ring transport has this limit");
    }
}

fn a_flood_from_one_cgroup_leaves_the_others_complete() {
    require_ring();
    require_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN");
    let (flooded, quiet) = (Cgroup::new("flooded"), Cgroup::new("quiet"));
    let [mut flood, mut other] = [&flooded, &quiet].map(|cgroup| {
        let mut helper = HelperProcess::start("creates_threads");
        helper.read_number();
        cgroup.add(helper.pid());
        helper
    });
    let ids = [&flooded, &quiet].map(|cgroup| cgroup.id);
    let filter = Filter::default().in_cgroups(&ids).expect("two");
    // Without the share, the flood would not fit this buffer.
    let builder = builder().receive_buffer(1 << 20).filter(filter);
    let builder = builder.share(NonZeroU32::new(SHARE).expect("not zero"));
    let mut connector = builder.open().expect("a live connector");
    flood.write_number(FLOOD);
    let mut received = Received::default();
    received.until(&mut connector, |_, connector| !connector.share_losses().is_empty());
    // While the flood exceeds its share.
    other.write_number(OTHERS);
    let lost = |connector: &ProcConnector, id| {
        let losses = connector.share_losses();
        losses.iter().filter(|loss| loss.cgroup_id == id).map(|loss| loss.lost).sum::<u64>()
    };
    // The processes exit as well.
    let emitted = u64::from(2 * FLOOD + 1);
    let (flood_pid, other_pid) = (flood.pid(), other.pid());
    received.until(&mut connector, |received, connector| {
        let of_flood = u64::from(received.of(flood_pid)) + lost(connector, flooded.id);
        of_flood >= emitted && received.has_exit(other_pid)
    });
    flood.wait();
    other.wait();
    received.until(&mut connector, |received, connector| {
        received.over_share >= lost(connector, flooded.id)
    });
    while received.take(&mut connector, Duration::ZERO) {}
    assert_eq!(received.of(other_pid), 2 * OTHERS + 1);
    assert_eq!(lost(&connector, quiet.id), 0);
    assert_eq!(u64::from(received.of(flood_pid)) + lost(&connector, flooded.id), emitted);
    assert_eq!(received.over_share, lost(&connector, flooded.id));
    eprintln!(
        "{} of {emitted} events received, {} lost",
        received.of(flood_pid),
        received.over_share
    );
}

/// A role: forks children that start a session when it is resumed, and end with it.
fn forks_children() {
    print_number(0);
    pause();
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let mut writer = Some(writer);
    let mut children = Vec::new();
    for _ in 0..CHILDREN {
        children.push(sys::fork(|| {
            writer = None;
            nix::unistd::read(&reader, &mut [0; 1]).expect("a pipe");
            setsid().expect("no leader of a group");
        }));
    }
    print_number(CHILDREN);
    pause();
    drop(writer);
    for child in children {
        sys::wait4(child).expect("a child");
    }
}

const CHILDREN: u32 = 12;

fn processes_that_do_not_fit_the_table_are_reported() {
    require_ring();
    let mut helper = HelperProcess::start("forks_children");
    helper.read_number();
    let builder = large_buffer().followed_processes(NonZeroU32::new(4).expect("not zero"));
    let mut connector = builder.filter(of(helper.pid())).open().expect("a live connector");
    helper.resume();
    helper.read_number();
    let mut received = Received::default();
    let is_fork = |event: &&OwnedEvent| event.mask() == EventMask::FORK;
    let forks = |received: &Received| received.events.iter().filter(is_fork).count();
    received.until(&mut connector, |received, _| {
        forks(received) == CHILDREN as usize && received.unfollowed > 0
    });
    received.take(&mut connector, Duration::ZERO);
    let unfollowed = received.unfollowed;
    helper.resume();
    received.until(&mut connector, |received, _| received.has_exit(helper.pid()));
    let sessions = received.events.iter().filter(|event| event.mask() == EventMask::SID).count();
    eprintln!("{unfollowed} of {CHILDREN} children are not followed");
    assert_eq!(sessions as u64 + unfollowed, u64::from(CHILDREN));
    assert!(sessions >= 3, "the root and three others fit");
    assert_eq!(received.unfollowed, unfollowed);
}

fn of(root: u32) -> Filter {
    Filter::default().descendants_of(&[TreeRoot::new(root)]).expect("one")
}

/// Asserts that a filter is refused because of a root, when it is set first and in place of another.
fn assert_is_missing(filter: &Filter, root: u32) {
    let refused = large_buffer().filter(filter.clone()).open().expect_err("no such process");
    assert!(matches!(refused, Error::NoSuchProcess { tgid } if tgid == root), "{refused:?}");
    let exits = Filter::new(EventMask::EXIT);
    let mut connector = large_buffer().filter(exits).open().expect("a live connector");
    let refused = connector.set_filter(filter).expect_err("no such process");
    assert!(matches!(refused, Error::NoSuchProcess { tgid } if tgid == root), "{refused:?}");
    let thread = load::threads(1)[0];
    let mut received = Received::default();
    received.until(&mut connector, |received, _| received.has_exit(thread));
    assert!(received.events.iter().all(|event| event.mask() == EventMask::EXIT));
}

fn a_missing_root_is_an_error_and_the_filter_stays() {
    // No process has an id above `PID_MAX_LIMIT`.
    assert_is_missing(&of(1 << 22), 1 << 22);
    let this = std::process::id();
    // This process started later.
    let early = Filter::default().descendants_of(&[TreeRoot::with_start(this, 1)]);
    assert_is_missing(&early.expect("one"), this);
    let two = [TreeRoot::new(this), TreeRoot::new(1 << 22)];
    assert_is_missing(&Filter::default().descendants_of(&two).expect("two"), 1 << 22);
}

fn a_zombie_is_a_missing_root() {
    let mut child = common::helper_process::command("creates_threads")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("this binary can be started");
    let stat = format!("/proc/{}/stat", child.id());
    let deadline = Deadline::new();
    while !std::fs::read_to_string(&stat).expect("a zombie").contains(") Z ") {
        assert!(deadline.left().is_some(), "it fails without input");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_is_missing(&of(child.id()), child.id());
    child.wait().expect("a child");
}

fn empty_conditions_select_all_tasks() {
    let empty = Filter::default()
        .descendants_of(&[])
        .and_then(|filter| filter.descendants_of_programs(&[]))
        .and_then(|filter| filter.in_cgroups(&[]))
        .and_then(|filter| filter.of_users(&[]))
        .and_then(|filter| filter.named(&[]))
        .expect("none");
    let any_name = Filter::default().named(&[NamePattern::prefix(b"")]).expect("one");
    // Over the socket, the name of a thread that has ended is unknown, and matches no pattern.
    let count = if transport() == Transport::Ring { 2 } else { 1 };
    for filter in [&empty, &any_name].into_iter().take(count) {
        let mut connector = large_buffer().filter(filter.clone()).open().expect("a live connector");
        let threads = load::threads(3);
        let mut received = Received::default();
        received.until(&mut connector, |received, _| {
            threads.iter().all(|&thread| received.has_exit(thread))
        });
    }
}

fn an_unknown_cgroup_selects_nothing() {
    let filter = Filter::default().in_cgroups(&[u64::MAX, 0]).expect("two");
    let mut connector = large_buffer().filter(filter).open().expect("a live connector");
    for cpu in [load::cpus(), load::cpus()].concat() {
        load::thread_on(cpu);
    }
    let mut received = Received::default();
    received.take(&mut connector, Duration::from_millis(20));
    assert_eq!(received.events, []);
    connector.set_filter(&Filter::default()).expect("a filter");
    let thread = load::threads(1)[0];
    received.until(&mut connector, |received, _| received.has_exit(thread));
    // Exits of the other threads can be sent late.
    let few = 2 + 2 * load::cpus().len();
    assert!((received.of(std::process::id()) as usize) <= few);
}
