//! Reports of every size.

use super::super::report::{ByName, ByUser, Kinds, Report};
use super::{PLAIN_WIDTH, lines};
use jiff::tz::TimeZone;
use proc_connector::EventMask;

fn report(rows: usize) -> Report {
    let mut counts = Kinds::default();
    for _ in 0..2000 {
        counts.count(EventMask::FORK);
    }
    counts.count(EventMask::EXEC);
    let names = || {
        let name = |row| ByName { name: Some(format!("name\x1b[2J {row}").into()), count: 2000 };
        (0..rows).map(name).collect()
    };
    let users = || {
        let user = |row| ByUser { uid: Some(row), user: None, count: 1 };
        (0..u32::try_from(rows).expect("few")).map(user).collect()
    };
    Report {
        time: jiff::Timestamp::UNIX_EPOCH,
        interval: 2.0,
        events: 2001,
        lost: 17,
        losses: 1,
        counts,
        rate: counts.rates(2.0),
        threads: 10,
        processes: 123,
        ended: 50,
        short_lived: 25,
        short_lived_share: Some(0.5),
        forks_by_name: names(),
        forks_by_user: users(),
        execs_by_name: names(),
        execs_by_user: users(),
    }
}

fn text(report: &Report, width: usize, height: usize) -> String {
    lines(report, &TimeZone::UTC, width, height).into_iter().map(|line| line.text + "\n").collect()
}

#[test]
fn it_fits_every_terminal() {
    for report in [report(0), report(3), report(500)] {
        for width in [1, 5, 20, 40, 79, 100, 300] {
            for height in [1, 2, 5, 10, 23, 100] {
                let lines = lines(&report, &TimeZone::UTC, width, height);
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
    let text = text(&report(2), PLAIN_WIDTH, usize::MAX);
    for part in [
        "1000 events/s in 2.0 s, 17 LOST",
        "fork 1000/s (threads 5.0)  exec 0.5/s",
        "123 processes, 25.0/s ended, 50.0 % of them after less than 10 ms",
        "   1000 name",
        "    0.5 1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(text.lines().count(), 3 + 2 + 2, "four lists side by side:\n{text}");
}

#[test]
fn lists_go_below_each_other_where_it_is_narrow() {
    for (width, groups) in [(100, 1), (60, 2), (30, 4)] {
        let text = text(&report(1), width, usize::MAX);
        let headings = text.lines().filter(|line| line.contains("S/s ")).count();
        assert_eq!(headings, groups, "{width}:\n{text}");
    }
}
