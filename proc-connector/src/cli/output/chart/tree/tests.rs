use super::super::forest::{Forest, Io, Life};
use super::super::order::SortKey;
use super::super::samples::{BEGIN, HOSTILE, a_loop, build, forest, measured, process};
use super::{Look, Screened, write};
use crate::cli::shown::Styles;

/// The tree without colours.
fn text(forest: &Forest, look: Look) -> String {
    anstream::adapter::strip_str(&styled(forest, look)).to_string()
}

fn styled(forest: &Forest, look: Look) -> String {
    let mut output = Vec::new();
    write(forest, look, &mut Screened::new(&mut output, Styles::Kept)).expect("memory");
    String::from_utf8(output).expect("UTF-8")
}

fn narrow(width: usize) -> Look {
    Look { width: Some(width), ..Look::default() }
}

const FULL: Look = Look { width: None, full: true, sort: None };

#[test]
fn a_build_is_a_tree_with_times_and_ends() {
    let expected = "
PID    TIME    END            COMMAND
100  374 ms  ✗ exit 2         make -j2 test  (first ran nice)
101   56 ms    exit 0         ├─ cc -MM a.c b.c
102  217 ms    exit 0         ├─ sh -c 'cc -c a.c'
104  181 ms    exit 0         │  └─ cc -c a.c
106  174 ms    exit 0         │     └─ /usr/libexec/cc1 -quiet -o /tmp/a.s a.c
103  118 ms    exit 0         ├─ cc -c b.c
105  109 ms    exit 0         │  └─ /usr/libexec/cc1 -quiet -o /tmp/b.s b.c
110   12 ms    exit 0         ├─ ./test --threads  +4 threads
107   57 ms    exit 0         ├─ cc -o test a.o b.o
108   51 ms    exit 0         │  └─ /usr/bin/ld -o test a.o b.o
109  3.0 ms    exit 0         ├─ (sh)
111  2.5 ms  ✗ SIGSEGV, core  ├─ ./test --crash
112  400 µs  ✗ exit 1         ├─ ./test --fail
113   20 ms    running        └─ ./server --port 8080
";
    assert_eq!(text(&build(), Look::default()), expected[1..]);
}

#[test]
fn commands_are_cut_to_the_width() {
    let expected = "
PID    TIME    END            COMMAND
100  374 ms  ✗ exit 2         make -j2 test  (first ran nice)
101   56 ms    exit 0         ├─ cc -MM a.c b.c
102  217 ms    exit 0         ├─ sh -c 'cc -c a.c'
104  181 ms    exit 0         │  └─ cc -c a.c
106  174 ms    exit 0         │     └─ cc1 -quiet -o /tmp/…
103  118 ms    exit 0         ├─ cc -c b.c
105  109 ms    exit 0         │  └─ cc1 -quiet -o /tmp/b.…
110   12 ms    exit 0         ├─ ./test --threads  +4 threads
107   57 ms    exit 0         ├─ cc -o test a.o b.o
108   51 ms    exit 0         │  └─ ld -o test a.o b.o
109  3.0 ms    exit 0         ├─ (sh)
111  2.5 ms  ✗ SIGSEGV, core  ├─ ./test --crash
112  400 µs  ✗ exit 1         ├─ ./test --fail
113   20 ms    running        └─ ./server --port 8080
";
    assert_eq!(text(&build(), narrow(58)), expected[1..]);
}

#[test]
fn failures_are_red() {
    let styled = styled(&build(), Look::default());
    for line in styled.lines().skip(1) {
        assert_eq!(line.contains('✗'), line.starts_with("\u{1b}[31m"), "{line:?}");
    }
}

#[test]
fn a_long_loop_is_a_few_lines() {
    let expected = "
   PID    TIME    END     COMMAND
   100   2.1 s    exit 0  sh -c 'a loop'
1997 ×  756 µs    exit 0  ├─ /bin/true  each 612 µs to 911 µs
   451  662 µs  ✗ exit 1  ├─ /bin/true
  1151  762 µs  ✗ exit 1  ├─ /bin/true
  1851  862 µs  ✗ exit 1  └─ /bin/true
";
    assert_eq!(text(&a_loop(2_000), Look::default()), expected[1..]);
    assert_eq!(text(&a_loop(2_000), FULL).lines().count(), 2_002);
}

#[test]
fn children_of_a_group_are_grouped_below_it() {
    let mut lives = vec![process(None, 1, "sh", 0, 100_000)];
    for n in 0..1_000 {
        let place = lives.len();
        let start = u64::from(n) * 100;
        lives.push(process(0, 1_000 + n, "sh -c x", start, start + 80));
        lives.push(process(place, 3_000 + n, "true", start + 10, start + 20));
        lives.push(process(place, 5_000 + n, "false", start + 30, start + 40).ending(1 << 8));
    }
    let expected = "
   PID    TIME    END     COMMAND
     1  100 ms    exit 0  sh
1000 ×   80 µs    exit 0  └─ sh -c x  each 80 µs to 80 µs
1000 ×   10 µs    exit 0     ├─ true  each 10 µs to 10 µs
1000 ×   10 µs  ✗ exit 1     └─ false  each 10 µs to 10 µs
";
    assert_eq!(text(&forest(lives), Look::default()), expected[1..]);
}

#[test]
fn many_siblings_with_different_arguments_are_grouped_by_name() {
    let lives = |count: u32| {
        let mut lives = vec![process(None, 1, "make", 0, 10_000)];
        lives.extend((0..count).map(|n| process(0, 100 + n, &format!("/bin/expr {n} + 1"), 5, 9)));
        lives.push(process(0, 9_000, "ls -l", 8_000, 9_000));
        forest(lives)
    };
    // The most groups without grouping by name.
    assert_eq!(text(&lives(39), Look::default()).lines().count(), 42);
    let expected = "
   PID    TIME    END     COMMAND
     1   10 ms    exit 0  make
2000 ×  4.0 µs    exit 0  ├─ expr …  each 4.0 µs to 4.0 µs
  9000  1.0 ms    exit 0  └─ ls -l
";
    assert_eq!(text(&lives(2_000), Look::default()), expected[1..]);
}

#[test]
fn an_empty_forest_has_no_lines() {
    assert_eq!(text(&Forest::default(), Look::default()), "");
}

#[test]
fn an_unknown_end_is_not_a_success() {
    let life = Life { status: None, ..process(None, 7, "sleep 1", 0, 5) };
    let unknown = Life { tgid: 8, end_ns: Some(BEGIN), ..Life::default() };
    let expected = "
PID    TIME    END      COMMAND
  7  5.0 µs    unknown  sleep 1
  8    0 ns    unknown  ?
";
    assert_eq!(text(&forest(vec![life, unknown]), Look::default()), expected[1..]);
}

#[test]
fn a_tree_deeper_than_the_terminal_is_wide_keeps_its_lines_short() {
    let depth: u32 = 5_000;
    let place = |n: u32| n.checked_sub(1).map(|n| n as usize);
    let lives = (0..depth).map(|n| process(place(n), 1 + n, &format!("sh {n}"), 0, 9)).collect();
    let text = text(&forest(lives), narrow(80));
    assert_eq!(text.lines().count(), 5_001);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.lines().nth(3).expect("a line").ends_with("   └─ sh 2"), "{text}");
    assert!(text.trim_end().ends_with("└─ sh 4999"));
}

#[test]
fn names_cannot_break_lines() {
    let lives = HOSTILE.iter().map(|name| {
        let name = crate::cli::shown::shown(name);
        process(None, 1, &name, 0, 5)
    });
    let lives: Vec<Life> = lives.collect();
    let text = text(&forest(lives), narrow(60));
    assert_eq!(text.lines().count(), 1 + HOSTILE.len());
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
}

#[test]
fn usage_has_columns_in_wide_trees() {
    let expected = "
PID    TIME     CPU   MEM  READ  WRITE    END      COMMAND
100  374 ms  9.0 ms  3.1M     0      0    exit 0   make -s
101   56 ms  2.0 ms  1.7M     0      0    exit 0   ├─ cc -c a.c
102   54 ms   51 ms   60M  8.0M   4.0K    exit 0   │  └─ cc1 a.c
103  220 ms   30 ms   40M     0   3.0M    exit 0   ├─ ld a.o
104   74 ms                               running  ├─ ./server
5 ×  800 µs  1.5 ms   48M  500B      0    exit 0   └─ true  each 800 µs to 800 µs
";
    assert_eq!(text(&measured(), narrow(100)), expected[1..]);
}

#[test]
fn columns_are_left_out_before_the_command_is_too_narrow() {
    let headings = |width| {
        let text = text(&measured(), narrow(width));
        text.lines().next().expect("a line").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let all = "PID TIME CPU MEM READ WRITE END COMMAND";
    for (width, expected) in [
        (300, all),
        (84, all),
        (83, "PID TIME CPU MEM READ END COMMAND"),
        (71, "PID TIME CPU MEM END COMMAND"),
        (61, "PID TIME CPU END COMMAND"),
        (51, "PID TIME END COMMAND"),
        (1, "PID TIME END COMMAND"),
    ] {
        assert_eq!(headings(width), expected, "{width}");
    }
    let mut forest = measured();
    for life in &mut forest.lives {
        // Nothing was read or written.
        life.io = life.io.map(|_| Io::default());
    }
    let text = text(&forest, FULL);
    assert!(text.starts_with("PID    TIME     CPU   MEM    END      COMMAND\n"), "{text}");
}

#[test]
fn siblings_are_sorted_and_stay_below_their_parent() {
    let sorted = |key, full| {
        let look = Look { full, sort: Some(key), ..Look::default() };
        let text = text(&measured(), look);
        let commands = text.lines().skip(1).filter_map(|line| line.split_whitespace().last());
        commands.map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).collect::<Vec<_>>()
    };
    // 53 ms with its child, 30 ms, 1.5 ms together, unknown.
    assert_eq!(sorted(SortKey::Cpu, false), ["-s", "a.c", "a.c", "a.o", "µs", "server"]);
    // 1.7 MiB, but 60 MiB with its child; 48 MiB; 40 MiB; unknown.
    assert_eq!(sorted(SortKey::Mem, false), ["-s", "a.c", "a.c", "µs", "a.o", "server"]);
    // 220, 74, 56 and 0.8 ms.
    assert_eq!(sorted(SortKey::Time, false), ["-s", "a.o", "server", "a.c", "a.c", "µs"]);
    let mut forest = measured();
    forest.lives[9].usage = forest.lives[9].usage.map(|usage| usage + usage);
    let look = Look { full: true, sort: Some(SortKey::Cpu), ..Look::default() };
    let text = text(&forest, look);
    let cpu: Vec<&str> = text
        .lines()
        .rev()
        .skip(1)
        .take(5)
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(cpu, ["300", "301", "302", "303", "608"], "{text}");
}

#[test]
fn a_sum_with_an_unknown_part_is_blank() {
    let mut forest = measured();
    (forest.lives[7].usage, forest.lives[8].io) = (None, None);
    let text = text(&forest, Look::default());
    let last = text.lines().last().expect("a line");
    let blank = format!("5 ×  800 µs  {:25}    exit 0   └─ /bin/true", "");
    assert!(last.starts_with(&blank), "{text}");
}
