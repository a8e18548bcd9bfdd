//! Counting events made by hand.

use std::time::{Duration, SystemTime};

use proc_connector::parser::context::layout::UsageHdr;
use proc_connector::parser::testing::context::{RawContext, RawExtension};
use proc_connector::parser::{EventData, EventRecord, Notification, Notifications};
use proc_connector::process::ProcessTable;
use proc_connector::{Received, Transport, Usage};

use super::{Interval, Tally};
use crate::cli::host::users::Users;
use crate::cli::output::statistics::report::Report;
use crate::cli::output::statistics::rows::{Ends, Key};
use crate::cli::pipeline::actions::Actions;

const MS: u64 = 1_000_000;

/// A tally and its table.
struct Counting {
    actions: Actions,
    tally: Tally,
    table: ProcessTable,
}

impl Counting {
    fn new() -> Self {
        let table = ProcessTable::without_proc().keep_ended(8, Duration::from_secs(1));
        Self { actions: Actions::default(), tally: Tally::default(), table }
    }

    fn event(&mut self, timestamp_ns: u64, data: EventData<'_>) {
        self.event_with_context(timestamp_ns, data, &[]);
    }

    fn event_with_context(&mut self, timestamp_ns: u64, data: EventData<'_>, context: &[u8]) {
        let record = EventRecord { seq: 0, cpu: 0, timestamp_ns, data };
        let mut datagram = [0; EventRecord::MAX_KERNEL_LEN];
        let len = record.encode_native(&mut datagram).expect("capacity");
        match Notifications::new(&datagram[..len]).next() {
            Some(Ok(Notification::Event(event))) => {
                self.take(&Received::Event(event.with_context(context)));
            }
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, received: &Received<'_>) {
        self.table.apply(received);
        let Self { actions, tally, table } = self;
        actions.each(received, table, |action| tally.add(&action));
    }

    fn name(&mut self, ns: u64, tgid: u32, name: &[u8]) {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name);
        self.event(ns, EventData::Comm { process_pid: tgid, process_tgid: tgid, comm });
    }

    fn user(&mut self, ns: u64, tgid: u32, [ruid, euid]: [u32; 2]) {
        self.event(ns, EventData::Uid { process_pid: tgid, process_tgid: tgid, ruid, euid });
    }

    fn fork(&mut self, ns: u64, parent: u32, child_pid: u32, child_tgid: u32) {
        let (parent_pid, parent_tgid) = (parent, parent);
        self.event(ns, EventData::Fork { parent_pid, parent_tgid, child_pid, child_tgid });
    }

    fn exit(&mut self, ns: u64, tgid: u32) {
        let data = EventData::Exit {
            process_pid: tgid,
            process_tgid: tgid,
            exit_code: 0,
            exit_signal: 17,
            parent_pid: 0,
            parent_tgid: 0,
        };
        self.event(ns, data);
    }

    /// The end of a process with a wait status, and with its CPU time and peak memory if these are
    /// known.
    fn end(&mut self, tgid: u32, status: u32, usage: Option<(u64, u64)>) {
        let data = EventData::Exit {
            process_pid: tgid,
            process_tgid: tgid,
            exit_code: status,
            exit_signal: 17,
            parent_pid: 0,
            parent_tgid: 0,
        };
        let usage = usage.map(|(cpu_ns, max_rss)| UsageHdr {
            cpu_ns: cpu_ns.into(),
            max_rss: max_rss.into(),
            ..UsageHdr::default()
        });
        let extension = RawExtension { process_usage: usage, ..RawExtension::default() };
        let context = RawContext::of_process((tgid, 1_000), (1, 1)).with_end(Some(status));
        let context = context.with_extension(extension).bytes();
        self.event_with_context(1_000, data, &context);
    }

    fn report(&self, top: usize) -> Report {
        let interval = Interval {
            time: Duration::from_secs(2),
            end: SystemTime::UNIX_EPOCH,
            transport: Transport::Ring,
            processes: self.table.len(),
        };
        let mut users = Users::default();
        let name = |uid| users.name(uid).map(str::to_owned);
        self.tally.report(interval, top, name)
    }
}

fn names(report: &Report) -> Vec<(Option<&[u8]>, u64)> {
    report.forks_by_name.iter().map(|row| (row.key.0.as_deref(), row.value.count)).collect()
}

#[test]
fn forks_are_counted_for_their_makers() {
    let mut counting = Counting::new();
    counting.name(1, 100, b"make");
    counting.name(2, 200, b"sh");
    for child in 0..3 {
        counting.fork(10 + u64::from(child), 100, 1000 + child, 1000 + child);
    }
    counting.fork(20, 200, 1100, 1100);
    // The parent of a thread is the parent of its process.
    counting.fork(21, 1, 201, 200);
    // An unknown process.
    counting.fork(22, 300, 1200, 1200);
    let report = counting.report(10);
    assert_eq!(names(&report), [(Some(&b"make"[..]), 3), (Some(b"sh"), 2), (None, 1)]);
    assert_eq!(report.threads, 1);
    // Only the first rows are listed.
    assert_eq!(names(&counting.report(1)), [(Some(&b"make"[..]), 3)]);
}

#[test]
fn counts_belong_to_the_effective_user() {
    let mut counting = Counting::new();
    counting.user(1, 100, [1000, 0xffff_fff0]);
    counting.fork(2, 100, 101, 101);
    // It has the user of its parent.
    counting.event(3, EventData::Exec { process_pid: 101, process_tgid: 101 });
    let report = counting.report(10);
    for rows in [&report.forks_by_user, &report.execs_by_user] {
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].key.uid, rows[0].value.count), (Some(0xffff_fff0), 1));
        assert_eq!(rows[0].key.user, None);
    }
}

#[test]
fn a_process_that_lives_for_less_than_10_ms_is_short_lived() {
    let mut counting = Counting::new();
    for (child, lifetime_ns) in [(1, MS), (2, 10 * MS - 1), (3, 10 * MS), (4, 1000 * MS)] {
        counting.fork(5, 100, child, child);
        counting.exit(5 + lifetime_ns, child);
    }
    let report = counting.report(10);
    assert_eq!((report.ended, report.short_lived), (4, 2));
    assert_eq!(report.short_lived_share, Some(0.5));
    // A process with an unknown start has an unknown lifetime.
    counting.exit(6000 * MS, 700);
    let report = counting.report(10);
    assert_eq!((report.ended, report.short_lived_share), (5, Some(0.5)));
    assert_eq!(Counting::new().report(10).short_lived_share, None);
}

#[test]
fn ends_are_summed_by_name_and_user() {
    let mut counting = Counting::new();
    for (tgid, name, user) in
        [(100, "cc", 7), (101, "cc", 8), (102, "cc", 8), (200, "sh", 7), (300, "ld", 7)]
    {
        counting.name(1, tgid, name.as_bytes());
        counting.user(2, tgid, [0, user]);
    }
    counting.end(100, 0, Some((50, 4_096)));
    // Another thread that exited at the same time reports the same end.
    counting.end(100, 0, Some((50, 4_096)));
    counting.end(101, 1 << 8, Some((30, 8_192)));
    counting.end(102, 9, None);
    counting.end(200, 0, Some((70, 1_024)));
    let report = counting.report(10);
    let ends = |count, failed, measured, cpu_ns, max_rss| Ends {
        count,
        failed,
        measured,
        usage: Some(Usage { cpu_ns, max_rss: Some(max_rss), ..Usage::default() }),
    };
    let by_name: Vec<_> =
        report.ended_by_name.iter().map(|row| (row.key.text(), row.value)).collect();
    assert_eq!(
        by_name,
        [("cc".to_owned(), ends(3, 2, 2, 80, 8_192)), ("sh".to_owned(), ends(1, 0, 1, 70, 1_024))]
    );
    let by_user: Vec<_> = report.ended_by_user.iter().map(|row| (row.key.uid, row.value)).collect();
    let users = [(Some(7), ends(2, 0, 2, 120, 4_096)), (Some(8), ends(2, 2, 1, 30, 8_192))];
    assert_eq!(by_user, users);
    assert_eq!((report.ended, report.failed, report.measured), (4, 2, 3));
    assert_eq!(report.usage, ends(4, 2, 3, 150, 8_192).usage);
    // Their cgroups are unknown, and only the first row is listed.
    assert_eq!(report.ended_by_cgroup.len(), 1);
    assert_eq!(counting.report(1).ended_by_name.len(), 1);
}

#[test]
fn each_kind_has_its_count_and_its_rate() {
    let mut counting = Counting::new();
    counting.name(1, 100, b"make");
    for child in 1..=4 {
        counting.fork(2, 100, child, child);
    }
    counting.exit(3, 1);
    let report = counting.report(10);
    assert_eq!(report.events, 6);
    let counts: Vec<(&str, u64)> = report.counts.iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(counts, [("fork", 4), ("exit", 1), ("comm", 1)]);
    let fork = report.rate.iter().find(|(kind, _)| *kind == "fork").expect("a rate");
    assert!((fork.1 - 2.0).abs() < 1e-9, "in two seconds: {fork:?}");
}

#[test]
fn losses_of_an_unknown_number_are_counted() {
    let mut counting = Counting::new();
    for count in ["5", "null"] {
        let lost = format!(r#"{{"event":"lost","count":{count},"cause":"overrun"}}"#);
        let lost = serde_json::from_str(&lost).expect("a loss");
        counting.take(&Received::Lost(lost));
    }
    let report = counting.report(10);
    assert_eq!((report.lost, report.losses, report.events), (5, 2, 0));
}
