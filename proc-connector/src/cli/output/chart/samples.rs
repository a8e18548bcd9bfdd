//! Sample forests, for tests.

use proc_connector::ExitStatus;
use proc_connector::Usage;

use super::forest::{Forest, Io, Life, Loss, Program};

pub(crate) const MS: u64 = 1_000_000;
/// A machine's clock, some days after boot.
pub(crate) const BEGIN: u64 = 400_000_000 * MS;

/// A process that executes a command a little after it was forked, and exits with 0.
pub(crate) fn process(
    creator: impl Into<Option<usize>>,
    tgid: u32,
    command: &str,
    from_us: u64,
    to_us: u64,
) -> Life {
    let at = |us: u64| BEGIN + us * 1_000;
    Life {
        creator: creator.into(),
        tgid,
        inherited: Some("sh".into()),
        programs: vec![program(command, at(from_us + (to_us - from_us) / 10))],
        start_ns: Some(at(from_us)),
        end_ns: Some(at(to_us)),
        status: Some(ExitStatus::from_raw(0)),
        ..Life::default()
    }
}

pub(crate) fn program(command: &str, at_ns: u64) -> Program {
    let path = command.split(' ').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    Program {
        at_ns: Some(at_ns),
        name: Some(name),
        command: Some(command.to_owned()),
        ..Program::default()
    }
}

impl Life {
    pub(crate) fn ending(self, wait_status: u32) -> Self {
        Self { status: Some(ExitStatus::from_raw(wait_status)), ..self }
    }

    /// Sets what it used: CPU time in microseconds, peak memory in KiB, and bytes read and written.
    pub(crate) fn using(self, cpu: u64, memory: u64, [read, written]: [u64; 2]) -> Self {
        let max_rss = Some(memory << 10);
        let cpu_ns = cpu * 1_000;
        let usage = Usage { cpu_ns, max_rss, ..Usage::default() };
        Self { usage: Some(usage), io: Some(Io { read, written }), ..self }
    }

    pub(crate) fn running(self) -> Self {
        Self { end_ns: None, status: None, ..self }
    }

    /// Makes it a process that has not executed a program.
    pub(crate) fn forked(self) -> Self {
        Self { programs: Vec::new(), ..self }
    }
}

pub(crate) fn forest(lives: Vec<Life>) -> Forest {
    let end_ns = lives.iter().filter_map(|life| life.end_ns).max().unwrap_or(BEGIN);
    Forest { lives, losses: Vec::new(), begin_ns: BEGIN, end_ns, cores: Some(2) }
}

/// A small build: threads, a subshell of a pipe, a failure, a crash, a process that keeps running, and
/// a loss.
pub(crate) fn build() -> Forest {
    let mut make = process(None, 100, "make -j2 test", 0, 374_000).ending(2 << 8);
    make.programs.insert(0, program("nice make -j2 test", BEGIN + 10_000_000));
    make.programs[1].at_ns = Some(BEGIN + 22_000_000);
    let mut test = process(0, 110, "./test --threads", 250_000, 262_000);
    test.threads = 4;
    let mut forest = forest(vec![
        make,
        process(0, 101, "cc -MM a.c b.c", 10_000, 66_000),
        process(0, 102, "sh -c 'cc -c a.c'", 70_000, 287_000),
        process(0, 103, "cc -c b.c", 71_000, 189_000),
        process(2, 104, "cc -c a.c", 72_000, 253_000),
        process(3, 105, "/usr/libexec/cc1 -quiet -o /tmp/b.s b.c", 77_000, 186_000),
        process(4, 106, "/usr/libexec/cc1 -quiet -o /tmp/a.s a.c", 78_000, 252_000),
        process(0, 107, "cc -o test a.o b.o", 288_000, 345_000),
        process(7, 108, "/usr/bin/ld -o test a.o b.o", 292_000, 343_000),
        process(0, 109, "sh", 346_000, 349_000).forked(),
        test,
        process(0, 111, "./test --crash", 350_000, 352_500).ending(0x8b),
        process(0, 112, "./test --fail", 353_000, 353_400).ending(1 << 8),
        process(0, 113, "./server --port 8080", 354_000, 374_000).running(),
    ]);
    forest.losses = vec![Loss { at_ns: BEGIN + 200 * MS, count: Some(12) }];
    forest
}

/// A small build whose usage is known, except that of a process that keeps running.
pub(crate) fn measured() -> Forest {
    let mut lives = vec![
        process(None, 100, "make -s", 0, 374_000).using(9_000, 3_200, [0, 0]),
        process(0, 101, "cc -c a.c", 10_000, 66_000).using(2_000, 1_800, [0, 0]),
        process(1, 102, "/usr/libexec/cc1 a.c", 11_000, 65_000).using(
            51_000,
            62_000,
            [8 << 20, 4_096],
        ),
        process(0, 103, "ld a.o", 70_000, 290_000).using(30_000, 41_000, [0, 3 << 20]),
        process(0, 104, "./server", 300_000, 374_000).running(),
    ];
    for n in 0..5 {
        let start = 310_000 + n * 2_000;
        let life = process(0, 110, "/bin/true", start, start + 800);
        lives.push(life.using(300 + n, 50_000 + n, [100, 0]));
    }
    forest(lives)
}

/// A loop of short commands, some of which fail.
pub(crate) fn a_loop(count: u32) -> Forest {
    let mut lives = vec![process(None, 100, "sh -c 'a loop'", 0, u64::from(count) * 1_050 + 900)];
    for n in 0..count {
        let start = 400 + u64::from(n) * 1_050;
        let life = process(0, 101 + n, "/bin/true", start, start + 612 + u64::from(n) % 300);
        lives.push(if n % 700 == 350 { life.ending(1 << 8) } else { life });
    }
    forest(lives)
}

/// Names of hostile processes.
pub(crate) const HOSTILE: [&str; 7] = [
    "</text><script>alert(1)</script>",
    "a&b \"c\" 'd' ]]> --> <!--",
    "\u{1b}[2J\u{7}\0\r\n\t",
    "\u{fffe}\u{ffff}\u{202e}gpj.exe",
    "日本語の名前 とても長い名前",
    "e\u{301}\u{301}\u{301}",
    "",
];
