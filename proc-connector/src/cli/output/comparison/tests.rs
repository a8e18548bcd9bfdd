use proc_connector::{ExitStatus, Usage};

use super::{Change, Comparison, Costs, difference, write_table};
use crate::cli::output::chart::Forest;
use crate::cli::output::chart::forest::{Life, Program};
use crate::cli::shown::{Screened, Styles};

const MS: u64 = 1_000_000;

/// A process: the program, the run time in ms, and the CPU time in ms with the peak memory in bytes.
fn life(name: &str, run: u64, used: Option<(u64, u64)>) -> Life {
    let program = Program { name: Some(name.to_owned()), ..Program::default() };
    let usage = used.map(|(cpu, max_rss)| Usage {
        cpu_ns: cpu * MS,
        max_rss: Some(max_rss),
        ..Usage::default()
    });
    let (start_ns, end_ns) = (Some(0), Some(run * MS));
    Life { programs: vec![program], start_ns, end_ns, usage, ..Life::default() }
}

fn forest(lives: Vec<Life>) -> Forest {
    Forest { lives, losses: Vec::new(), begin_ns: 0, end_ns: 1_000 * MS, cores: Some(2) }
}

fn text(comparison: &Comparison) -> String {
    let mut output = Vec::new();
    write_table(comparison, &mut Screened::new(&mut output, Styles::Dropped)).expect("memory");
    String::from_utf8(output).expect("text")
}

#[test]
fn programs_with_the_largest_change_are_first() {
    let mut failed = life("test", 5, Some((1, 1 << 20)));
    failed.status = Some(ExitStatus::from_raw(11));
    let old = forest(vec![
        life("ld", 100, Some((40, 9 << 20))),
        life("cc", 10, Some((20, 5 << 20))),
        life("cc", 20, Some((30, 6 << 20))),
        failed,
    ]);
    let new = forest(vec![
        life("ld", 90, Some((10, 9 << 20))),
        life("cc", 10, Some((61, 7 << 20))),
        life("as", 1, Some((2, 1 << 20))),
    ]);
    let comparison = Comparison::new(&old, &new);
    let names: Vec<&str> = comparison.programs.iter().map(|row| row.program.as_str()).collect();
    assert_eq!(names, ["ld", "cc", "as", "test"]);
    let cc = comparison.programs[1].costs;
    assert_eq!(
        cc.old,
        Costs {
            processes: 2,
            failed: 0,
            measured: 2,
            run_ns: 30 * MS,
            cpu_ns: Some(50 * MS),
            max_rss: Some(6 << 20)
        }
    );
    let ms = 1_000_000;
    let change = Change {
        processes: -1,
        failed: 0,
        run_ns: -20 * ms,
        cpu_ns: Some(11 * ms),
        max_rss: Some(1 << 20),
    };
    assert_eq!(cc.change, change);
    assert_eq!(
        (comparison.total.change.cpu_ns, comparison.total.change.failed),
        (Some(-18 * ms), -1)
    );
    let expected = "\
PROGRAM    PROCESSES           CPU TIME                         RUN TIME                          PEAK MEMORY
           old  new  change      old     new   change     %       old     new   change     %       old   new  change     %
ld           1    1       0    40 ms   10 ms   -30 ms  -75%    100 ms   90 ms   -10 ms  -10%      9.0M  9.0M       0
cc           2    1      -1    50 ms   61 ms   +11 ms  +22%     30 ms   10 ms   -20 ms  -67%      6.0M  7.0M   +1.0M  +17%
as           0    1      +1     0 ns  2.0 ms  +2.0 ms            0 ns  1.0 ms  +1.0 ms               0  1.0M   +1.0M
";
    let found = text(&comparison);
    let words = |text: &str| -> Vec<String> {
        text.lines().take(5).flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    assert_eq!(words(&found), words(expected), "{found}");
    // The columns are aligned: each change ends where its heading does.
    let lines: Vec<&str> = found.lines().skip(1).collect();
    let ends = |line: &str| -> Vec<usize> {
        line.match_indices("change").map(|(place, word)| place + word.len()).collect()
    };
    for end in ends(lines[0]) {
        for line in &lines[1..] {
            assert!(line.len() == end || line[..=end].ends_with(' '), "{found}");
            assert!(line[..end].ends_with(char::is_alphanumeric), "{found}");
        }
    }
}

#[test]
fn without_usage_the_run_times_are_compared() {
    let old = forest(vec![life("a", 10, None), life("b", 10, None)]);
    let new = forest(vec![life("a", 11, None), life("b", 20, None)]);
    let comparison = Comparison::new(&old, &new);
    let names: Vec<&str> = comparison.programs.iter().map(|row| row.program.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(comparison.total.change.cpu_ns, None);
    let table = text(&comparison);
    assert!(!table.contains("CPU") && table.contains("RUN TIME"), "{table}");
    // One of the recordings has the usage: it is shown, and the change is unknown.
    let new = forest(vec![life("a", 11, Some((3, 4096))), life("c", 11, Some((3, 4096)))]);
    let comparison = Comparison::new(&old, &new);
    assert!(comparison.programs.iter().all(|row| row.costs.change.cpu_ns.is_none()));
    let names: Vec<&str> = comparison.programs.iter().map(|row| row.program.as_str()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    assert!(text(&comparison).contains("3.0 ms"));
}

#[test]
fn without_processes_only_the_totals_are_zero() {
    let comparison = Comparison::new(&Forest::default(), &Forest::default());
    assert_eq!(text(&comparison).lines().count(), 3);
    assert_eq!(comparison.total.old, Costs::default());
}

#[test]
fn differences_have_a_limit() {
    assert_eq!(difference(3, 1), -2);
    assert_eq!(difference(0, u64::MAX), i64::MAX);
    assert_eq!(difference(u64::MAX, 0), -i64::MAX);
}

#[test]
fn shares_are_shown_only_of_values_that_both_recordings_have() {
    let shares = |old: u64, new: u64| {
        let forest = |run| forest(vec![life("a", run, None)]);
        let table = text(&Comparison::new(&forest(old), &forest(new)));
        let row = table.lines().nth(2).expect("a row").to_owned();
        row.split_whitespace().last().filter(|word| word.contains('%')).map(str::to_owned)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(shares(200, 300), some("+50%"));
    assert_eq!(shares(300, 200), some("-33%"));
    assert_eq!(shares(900, 901), some("0%"));
    assert_eq!(shares(10, 109), some("+990%"));
    assert_eq!(shares(10, 900), some(">999%"));
    for (old, new) in [(0, 5), (5, 0), (7, 7)] {
        assert_eq!(shares(old, new), None, "{old} {new}");
    }
}
