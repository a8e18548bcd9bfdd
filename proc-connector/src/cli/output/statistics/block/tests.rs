//! Reports of every size.

use super::super::report::{Kinds, Report};
use super::super::rows::{Cgroup, Count, Ends, Name, Row, User};
use super::{By, PLAIN_WIDTH, View, lines};
use jiff::tz::TimeZone;
use proc_connector::Usage;
use proc_connector::{EventMask, Transport};

fn view(by: By) -> View {
    static UTC: TimeZone = TimeZone::UTC;
    View { zone: &UTC, by }
}

fn report(rows: u32) -> Report {
    let mut counts = Kinds::default();
    for _ in 0..2000 {
        counts.count(EventMask::FORK);
    }
    counts.count(EventMask::EXEC);
    let name = |row| Name(Some(format!("name\x1b[2J {row}").into()));
    let user = |row| User { uid: Some(row), user: None };
    let names = || (0..rows).map(|row| Row { key: name(row), value: Count { count: 2000 } });
    let users = || (0..rows).map(|row| Row { key: user(row), value: Count { count: 1 } });
    let usage = Usage { cpu_ns: 1_500_000, max_rss: Some(62 << 20), ..Usage::default() };
    let ends = Ends { count: 9, failed: 4, measured: 8, usage: Some(usage) };
    Report {
        time: jiff::Timestamp::UNIX_EPOCH,
        interval: 2.0,
        transport: Transport::Ring,
        events: 2001,
        lost: 17,
        losses: 1,
        counts,
        rate: counts.rates(2.0),
        threads: 10,
        processes: 123,
        ended: 50,
        failed: 4,
        measured: 49,
        usage: Some(usage),
        short_lived: 25,
        short_lived_share: Some(0.5),
        forks_by_name: names().collect(),
        forks_by_user: users().collect(),
        execs_by_name: names().collect(),
        execs_by_user: users().collect(),
        ended_by_name: (0..rows).map(|row| Row { key: name(row), value: ends }).collect(),
        ended_by_user: (0..rows).map(|row| Row { key: user(row), value: ends }).collect(),
        ended_by_cgroup: (0..rows)
            .map(|row| Row { key: Cgroup(Some(format!("/a/{row}").into())), value: ends })
            .collect(),
    }
}

fn text(report: &Report, by: By, width: usize, height: usize) -> String {
    lines(report, view(by), width, height).into_iter().map(|line| line.text + "\n").collect()
}

#[test]
fn it_fits_every_terminal() {
    for report in [report(0), report(3), report(500)] {
        for width in [1, 5, 20, 40, 79, 100, 300] {
            for height in [1, 2, 5, 10, 23, 100] {
                let lines = lines(&report, view(By::Name), width, height);
                assert!(lines.len() <= height, "{width}x{height}: {}", lines.len());
                for line in &lines {
                    assert!(line.width() <= width, "{width}x{height}: {line:?}");
                    assert!(!line.text.contains('\x1b'), "{line:?}");
                }
            }
        }
    }
}

#[test]
fn the_text_has_every_number() {
    let text = text(&report(2), By::Name, PLAIN_WIDTH, usize::MAX);
    for part in [
        "1000 events/s in 2.0 s, 17 LOST",
        "fork 1000/s (threads 5.0)  exec 0.5/s",
        "123 processes, 25.0/s ended, 50.0 % of them after less than 10 ms; 4 failed",
        "49 ended processes used 1.5 ms of CPU time and at most 62M of memory each",
        "    CPU    MEM   ENDED  FAILED  BY NAME",
        " 1.5 ms    62M       9       4  name",
        "   1000 name",
        "    0.5 1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(
        text.lines().count(),
        4 + 2 + 2 + 2 + 2,
        "a table, four lists side by side:\n{text}"
    );
}

#[test]
fn ended_processes_are_grouped_as_requested() {
    for (by, heading, row) in [
        (By::Name, "  BY NAME\n", "  name"),
        (By::User, "  BY USER\n", "  1\n"),
        (By::Cgroup, "  BY CGROUP\n", "  /a/1\n"),
    ] {
        let text = text(&report(2), by, PLAIN_WIDTH, usize::MAX);
        assert!(text.contains(heading) && text.contains(row), "{text}");
    }
}

#[test]
fn over_the_socket_the_reason_for_missing_columns_is_shown() {
    let unknown = |ends: Ends| Ends { measured: 0, usage: None, ..ends };
    let mut report = report(1);
    (report.transport, report.measured, report.usage) = (Transport::Socket, 0, None);
    report.ended_by_name[0].value = unknown(report.ended_by_name[0].value);
    let text = text(&report, By::Name, PLAIN_WIDTH, usize::MAX);
    assert!(text.contains("\nCPU time and memory require the ring transport\n"), "{text}");
    assert!(text.contains("\n ENDED  FAILED  BY NAME\n     9       4  name"), "{text}");
}

#[test]
fn a_kernel_that_reports_no_usage_is_not_an_idle_machine() {
    let unknown = "\nCPU time and memory of the ended processes are unknown\n";
    for (ended, is_shown) in [(50, true), (0, false)] {
        let report = Report { ended, measured: 0, usage: None, ..report(1) };
        let text = text(&report, By::Name, PLAIN_WIDTH, usize::MAX);
        assert_eq!(text.contains(unknown), is_shown, "{text}");
    }
}

#[test]
fn a_narrow_terminal_keeps_the_names() {
    let heading = |width| {
        let text = text(&report(1), By::Name, width, usize::MAX);
        let line = text.lines().find(|line| line.contains("CPU ") && line.ends_with("BY NAME"));
        line.expect(&text).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(heading(79), "CPU MEM ENDED FAILED BY NAME");
    assert_eq!(heading(40), "CPU MEM ENDED BY NAME");
    assert_eq!(heading(30), "CPU MEM BY NAME");
}

#[test]
fn lists_go_below_each_other_where_it_is_narrow() {
    for (width, groups) in [(100, 1), (60, 2), (30, 4)] {
        let text = text(&report(1), By::Name, width, usize::MAX);
        let headings = text.lines().filter(|line| line.contains("S/s ")).count();
        assert_eq!(headings, groups, "{width}:\n{text}");
    }
}
