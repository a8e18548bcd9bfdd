//! The choice by trees, with events made by hand.

use proc_connector::Received;
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};

use super::{Choose, Chooser, Conditions, End, EventChoice, Events, Item, ProcessChooser};
use crate::cli::options::events::EventOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::sink::Details;
use crate::cli::pipeline::ends;
use crate::cli::pipeline::identify::Identify;
use crate::cli::values;

const MS: u64 = 1_000_000;

/// Events, and the choice of some of their processes.
struct Story<'a> {
    identify: Identify,
    chooser: Chooser<'a>,
    now_ns: u64,
}

fn options(tree: &[&str]) -> ProcessOptions {
    let roots = tree.iter().map(|root| values::root(root).expect("an id or a name"));
    ProcessOptions { tree: roots.collect(), ..ProcessOptions::default() }
}

/// The choice by options of the command line, for an output that includes threads.
fn choice(options: &[&str]) -> EventChoice {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: EventOptions,
    }
    let words = ["proc-connector"].iter().chain(options);
    let line: Line = clap::Parser::try_parse_from(words).expect("valid options");
    line.options.choice(true).expect("few process ids")
}

impl<'a> Story<'a> {
    fn new(options: &'a ProcessOptions) -> Self {
        let conditions = Conditions::recorded(options).expect("ids of users");
        let processes = ProcessChooser::recorded(&conditions).expect("few conditions");
        let chooser = Chooser::new(choice(&[]), processes);
        Self { identify: Identify::recorded(), chooser, now_ns: 1_000_000_000 }
    }

    /// Identifies an event of that time. Returns whether it is chosen.
    fn event_at(&mut self, timestamp_ns: u64, data: EventData<'_>) -> bool {
        self.event_with(timestamp_ns, data, None)
    }

    fn event_with(
        &mut self,
        timestamp_ns: u64,
        data: EventData<'_>,
        context: Option<&[u8]>,
    ) -> bool {
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        match Notifications::new(&datagram[..len]).next() {
            Some(Ok(Notification::Event(event))) => {
                let event = match context {
                    Some(context) => event.with_context(context),
                    None => event,
                };
                let received = Received::Event(event);
                let subject = self.identify.apply(&received);
                self.chooser.follow(self.identify.table(), Some(&received));
                let process = self.identify.process(subject);
                let (is_over, end) = ends::identified(&received, self.identify.changes());
                let item = Item {
                    received: &received,
                    time: None,
                    process,
                    user: None,
                    is_over,
                    end,
                    details: Details::default(),
                };
                self.chooser.chooses(&item)
            }
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self, data: EventData<'_>) -> bool {
        self.now_ns += MS;
        self.event_at(self.now_ns, data)
    }

    fn fork(&mut self, parent: u32, child: u32) -> bool {
        self.event(fork(parent, child))
    }

    fn exit(&mut self, tgid: u32) -> bool {
        self.event(exit(tgid))
    }

    fn exec(&mut self, tgid: u32) -> bool {
        self.event(EventData::Exec { process_pid: tgid, process_tgid: tgid })
    }

    /// An exec whose name the kernel has recorded.
    fn exec_as(&mut self, tgid: u32, name: &[u8]) -> bool {
        let extension = RawExtension::default().with_comm(name);
        let context = RawContext::default().with_extension(extension).bytes();
        self.now_ns += MS;
        let exec = EventData::Exec { process_pid: tgid, process_tgid: tgid };
        self.event_with(self.now_ns, exec, Some(&context))
    }

    /// Enough other processes start and end that the table forgets those that ended before.
    fn others_come_and_go(&mut self) {
        for _ in 0..5_000 {
            assert!(!self.fork(9, 9_000));
            assert!(!self.exit(9_000));
        }
    }
}

fn fork(parent: u32, child: u32) -> EventData<'static> {
    EventData::Fork { parent_pid: parent, parent_tgid: parent, child_pid: child, child_tgid: child }
}

fn exit(tgid: u32) -> EventData<'static> {
    EventData::Exit {
        process_pid: tgid,
        process_tgid: tgid,
        exit_code: 0,
        exit_signal: 17,
        parent_pid: 1,
        parent_tgid: 1,
    }
}

#[test]
fn a_descendant_is_in_the_tree_after_its_ancestors_are_forgotten() {
    let options = options(&["100"]);
    let mut story = Story::new(&options);
    assert!(story.exec(100));
    assert!(story.fork(100, 101) && story.fork(101, 102));
    assert!(story.exit(101) && story.exit(100));
    story.others_come_and_go();
    assert!(story.exec(102) && story.fork(102, 103) && story.exit(102));
    story.others_come_and_go();
    assert!(story.exec(103) && story.exit(103));
}

#[test]
fn a_process_that_gets_the_id_of_a_member_is_not_in_the_tree() {
    let options = options(&["100"]);
    let mut story = Story::new(&options);
    assert!(story.exec(100) && story.fork(100, 101));
    assert!(story.exit(101) && story.exit(100));
    assert!(!story.fork(9, 100) && !story.exec(100) && !story.fork(100, 102) && !story.exec(102));
    assert!(!story.fork(9, 101) && !story.exit(101) && !story.exit(100));
}

#[test]
fn a_root_may_start_later() {
    let options = options(&["100"]);
    let mut story = Story::new(&options);
    // The fork is an event of process 9.
    assert!(!story.exec(9) && !story.fork(9, 100) && story.exec(100) && story.exit(100));
    assert!(!story.fork(9, 100));
}

#[test]
fn every_process_of_a_name_is_a_root() {
    let options = options(&["make"]);
    let mut story = Story::new(&options);
    assert!(!story.exec(100) && story.exec_as(101, b"make") && story.exec_as(102, b"make"));
    assert!(story.fork(101, 103) && story.exec_as(103, b"cc") && !story.exec_as(104, b"cc"));
}

#[test]
fn a_fork_that_is_received_after_its_parents_exit_is_in_the_tree() {
    let options = options(&["100"]);
    let mut story = Story::new(&options);
    assert!(story.exec(100));
    let before = story.now_ns + MS / 2;
    assert!(story.exit(100));
    assert!(story.event_at(before, fork(100, 101)));
    assert!(story.exec(101));
    // A new process that has the root's id is not in the tree.
    assert!(!story.fork(9, 100));
    assert!(!story.fork(100, 104));
}

#[test]
fn the_memory_of_a_tree_is_bounded_by_its_live_members() {
    let options = options(&["100"]);
    let mut story = Story::new(&options);
    assert!(story.exec(100));
    for child in 0..10_000 {
        assert!(story.fork(100, 1_000 + child) && story.exit(1_000 + child));
        let selector = story.chooser.processes.selector.as_ref().expect("a recording");
        assert!(selector.followed().count() <= 4_100, "{child}");
    }
}

/// Process 100 starts a thread. Its first thread exits, then the other one.
fn threads_exit(story: &mut Story<'_>, first: u32, last: u32) -> [bool; 3] {
    let thread = EventData::Fork { parent_pid: 1, parent_tgid: 1, child_pid: 101, child_tgid: 100 };
    let exit = |process_pid, exit_code| EventData::Exit {
        process_pid,
        process_tgid: 100,
        exit_code,
        exit_signal: 17,
        parent_pid: 1,
        parent_tgid: 1,
    };
    [story.event(thread), story.event(exit(100, first)), story.event(exit(101, last))]
}

#[test]
fn failed_processes_are_chosen_once_by_their_own_status() {
    let all = options(&[]);
    for (words, first, last, expected) in [
        (&[][..], 0x300, 0x300, [true, true, true]),
        (&["--processes"], 0x300, 0x300, [false, false, true]),
        (&["--failed"], 0x300, 0x300, [true, false, true]),
        (&["--failed", "--processes"], 0x300, 0x300, [false, false, true]),
        (&["--failed", "--processes"], 0, 0, [false, false, false]),
        (&["--failed", "--processes"], 9, 9, [false, false, true]),
        (&["--failed", "--events", "exec"], 9, 9, [false, false, false]),
        (&["--failed", "--pid", "100"], 9, 9, [true, false, true]),
        (&["--failed", "--pid", "101"], 9, 9, [false, false, false]),
    ] {
        let mut story = Story::new(&all);
        story.chooser.events = Events::Identified(choice(words));
        story.fork(1, 100);
        assert_eq!(threads_exit(&mut story, first, last), expected, "{words:?} {first} {last}");
    }
}

#[test]
fn an_end_without_a_known_status_is_no_failure() {
    let failed = choice(&["--failed"]);
    assert!(!failed.matches_end(100, &End::default()));
    assert!(choice(&[]).matches_end(100, &End::default()));
}
