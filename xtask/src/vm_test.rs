//! `cargo xtask vm-test`: runs the live tests on other kernels than this machine's, under QEMU.

mod guest;
mod initramfs;
mod kernel;
mod qemu;
pub(crate) mod seeds;

use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use crate::command;
use crate::workspace::Metadata;
use guest::Binaries;
use kernel::Kernel;
use qemu::{Boot, Machine};

/// Run the live tests on Debian's kernels under QEMU
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Test only this series of kernels
    #[arg(long, value_name = "SERIES", default_value = "all")]
    kernel: Choice,
    /// Stop a machine after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT)]
    timeout: u64,
    /// Run only this test
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
}

/// In seconds. Two emulators on a busy machine take up to 15 minutes.
const TIMEOUT: u64 = 1800;

impl Args {
    /// The arguments for `cargo xtask ci`.
    pub(crate) fn all() -> Self {
        Self { kernel: Choice::All, timeout: TIMEOUT, test: None }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Choice {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    All,
}

impl Choice {
    fn series(self) -> &'static [Series] {
        match self {
            Self::V6_1 => &[V6_1],
            Self::V6_12 => &[V6_12],
            Self::All => &[V6_1, V6_12],
        }
    }
}

/// A series of kernels.
#[derive(Clone, Copy, Debug)]
struct Series {
    name: &'static str,
    /// Whether unprivileged processes may listen, as since 6.6.
    open_to_all: bool,
}

const V6_1: Series = Series { name: "6.1", open_to_all: false };
const V6_12: Series = Series { name: "6.12", open_to_all: true };

/// Which parts of the connector a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// All parts.
    Whole,
    /// As without `CONFIG_PROC_EVENTS`.
    NoEvents,
    /// As without `CONFIG_CONNECTOR`.
    NoConnector,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Whole, Self::NoEvents, Self::NoConnector];

    fn name(self) -> &'static str {
        match self {
            Self::Whole => "as it is",
            Self::NoEvents => "without proc events",
            Self::NoConnector => "without connector",
        }
    }

    /// An additional kernel parameter. It disables the initialisation functions of
    /// `drivers/connector/cn_proc.c` or `drivers/connector/connector.c`.
    fn parameter(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::NoEvents => "initcall_blacklist=cn_proc_init",
            Self::NoConnector => "initcall_blacklist=cn_init",
        }
    }
}

/// The test of missing kernel features, which runs on every kernel and as every user.
const LIMITS: &str = "live_kernels";

pub(crate) fn run(args: &Args) -> Result<()> {
    need_qemu()?;
    let directory = Metadata::load()?.target_dir()?.join("vm");
    let binaries = guest::build(&directory.join("build"))?;
    for wanted in args.test.iter().map(String::as_str).chain([LIMITS]) {
        ensure!(binaries.tests().any(|name| name == wanted), "the test {wanted} is missing");
    }

    let mut kernels = Vec::new();
    for &series in args.kernel.series() {
        kernels.push((series, kernel::fetch(series.name, &directory)?));
    }
    // Each machine has one processor, and keeps one of this machine's busy.
    let outcomes: Result<Vec<Vec<Outcome>>> = thread::scope(|scope| {
        let start = |(series, kernel)| {
            let (binaries, directory) = (&binaries, &directory);
            scope.spawn(move || outcomes(series, &kernel, binaries, directory, args))
        };
        let running: Vec<_> = kernels.into_iter().map(start).collect();
        running.into_iter().map(joined).collect()
    });
    let outcomes: Vec<Outcome> = outcomes?.into_iter().flatten().collect();
    println!("\n{}", table(&outcomes));
    let failed = outcomes.iter().filter(|outcome| outcome.boot.verdict.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} machines failed", outcomes.len());
    }
    Ok(())
}

fn need_qemu() -> Result<()> {
    ensure!(
        command::available(qemu::PROGRAM, &["--version"]),
        "{} is missing: apt-get install qemu-system-x86",
        qemu::PROGRAM
    );
    Ok(())
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Boots all variants of a kernel, one after the other.
fn outcomes(
    series: Series,
    kernel: &Kernel,
    binaries: &Binaries,
    directory: &Path,
    args: &Args,
) -> Result<Vec<Outcome>> {
    let initramfs = directory.join(format!("initramfs-{}.cpio", series.name));
    let mut outcomes = Vec::new();
    for variant in Variant::ALL {
        let is_wanted = |name: &&str| args.test.as_deref().is_none_or(|wanted| wanted == *name);
        let plan = plan(series, variant, binaries.tests().filter(is_wanted));
        if plan.is_empty() {
            continue;
        }
        binaries.write_initramfs(&plan, &initramfs)?;
        let machine = Machine {
            name: series.name,
            kernel: &kernel.image,
            initramfs: &initramfs,
            parameter: variant.parameter(),
        };
        let boot = machine.boot(Duration::from_secs(args.timeout))?;
        outcomes.push(Outcome { kernel: kernel.name.clone(), variant, boot });
    }
    Ok(outcomes)
}

/// The test binaries to run: a line `USER NAME [ARGUMENT ...]` for each run.
fn plan<'a>(series: Series, variant: Variant, tests: impl Iterator<Item = &'a str>) -> String {
    let users = |name| match (variant, name) {
        (_, LIMITS) => &["root", "nobody"][..],
        (Variant::Whole, _) if series.open_to_all => &["root", "nobody"],
        (Variant::Whole, _) => &["root"],
        _ => &[],
    };
    let runs =
        tests.flat_map(|name| users(name).iter().map(move |user| format!("{user} {name}\n")));
    runs.collect()
}

/// The result of one machine.
struct Outcome {
    kernel: String,
    variant: Variant,
    boot: Boot,
}

fn table(outcomes: &[Outcome]) -> String {
    let seconds =
        |time: Option<Duration>| time.map_or("-".into(), |t| format!("{:.1} s", t.as_secs_f64()));
    let row = |kernel: &str, variant: &str, booted: &str, all: &str, result: &str| {
        format!("{kernel:<26} {variant:<20} {booted:>8} {all:>8}  {result}\n")
    };
    let mut table = row("kernel", "connector", "boot", "all", "result");
    for Outcome { kernel, variant, boot } in outcomes {
        let (Ok(result) | Err(result)) = &boot.verdict;
        let (booted, all) = (seconds(boot.booted), seconds(Some(boot.all)));
        table += &row(kernel, variant.name(), &booted, &all, result);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: [&str; 2] = ["live_kernels", "live_recv"];

    #[test]
    fn each_user_runs_the_tests_that_the_kernel_permits() {
        let old = plan(V6_1, Variant::Whole, TESTS.into_iter());
        assert_eq!(old, "root live_kernels\nnobody live_kernels\nroot live_recv\n");
        let new = plan(V6_12, Variant::Whole, TESTS.into_iter());
        assert_eq!(new, old.clone() + "nobody live_recv\n");
    }

    #[test]
    fn without_a_connector_only_its_absence_is_tested() {
        let plan = plan(V6_12, Variant::NoEvents, TESTS.into_iter());
        assert_eq!(plan, "root live_kernels\nnobody live_kernels\n");
    }

    #[test]
    fn the_table_has_a_line_for_each_machine() {
        let outcome = |booted, verdict| Outcome {
            kernel: "6.1.0-1-cloud-amd64".to_owned(),
            variant: Variant::Whole,
            boot: Boot { booted, all: Duration::from_millis(2500), verdict, console: Vec::new() },
        };
        let outcomes = [
            outcome(Some(Duration::from_secs(1)), Ok("all 2 runs passed".to_owned())),
            outcome(None, Err("timed out".to_owned())),
        ];
        let expected = "\
kernel                     connector                boot      all  result
6.1.0-1-cloud-amd64        as it is                1.0 s    2.5 s  all 2 runs passed
6.1.0-1-cloud-amd64        as it is                    -    2.5 s  timed out
";
        assert_eq!(table(&outcomes), expected);
    }
}
