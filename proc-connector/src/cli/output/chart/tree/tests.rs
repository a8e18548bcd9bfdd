use super::super::forest::{Forest, Life};
use super::super::samples::{BEGIN, HOSTILE, a_loop, build, forest, process};
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
    Look { width: Some(width), full: false }
}

const FULL: Look = Look { width: None, full: true };

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
