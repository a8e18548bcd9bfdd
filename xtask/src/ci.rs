//! `cargo xtask ci`: runs every check in order, and prints the duration of each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{
    api, big_endian, bindgen, clippy, deny, dist, docs, fmt, fuzz, layers, migration, no_std,
    package, targets, vm_test,
};

/// Run every check except the tests with this machine's kernel
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Run only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Skip these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',', conflicts_with = "only")]
    skip: Vec<Step>,
    /// Run each fuzz target for this many seconds
    #[arg(long, default_value_t = 10)]
    fuzz_seconds: u32,
}

/// The steps in order: the fastest ones come first.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fmt,
    Layers,
    Clippy,
    Docs,
    Api,
    Dist,
    Bindings,
    NoStd,
    Targets,
    BigEndian,
    Vm,
    Fuzz,
    Deny,
    Package,
    Migration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut done: Vec<(Step, Duration)> = Vec::new();
    for &step in &selected(&args.only, &args.skip) {
        eprintln!("\n=== {}", step.name());
        let start = Instant::now();
        step.run(args).with_context(|| format!("ci step `{}` failed", step.name()))?;
        eprintln!("=== {}: {:.1} s", step.name(), start.elapsed().as_secs_f64());
        done.push((step, start.elapsed()));
    }
    println!("\n{}", summary(&done));
    Ok(())
}

/// All steps, or those in `only`, without those in `skip`, in order.
fn selected(only: &[Step], skip: &[Step]) -> Vec<Step> {
    let all = Step::value_variants().iter().copied();
    all.filter(|step| only.is_empty() || only.contains(step))
        .filter(|step| !skip.contains(step))
        .collect()
}

fn summary(done: &[(Step, Duration)]) -> String {
    let total: Duration = done.iter().map(|(_, duration)| *duration).sum();
    done.iter()
        .map(|(step, duration)| (step.name(), *duration))
        .chain([("all".to_owned(), total)])
        .map(|(name, duration)| format!("{name:<12}{:>8.1} s", duration.as_secs_f64()))
        .collect::<Vec<_>>()
        .join("\n")
}

impl Step {
    fn run(self, args: &Args) -> Result<()> {
        match self {
            Self::Fmt => fmt::run(),
            Self::Layers => layers::run(&layers::Args::default()),
            Self::Clippy => clippy::run(),
            Self::Docs => docs::run(),
            Self::Api => api::run(&api::Args::check()),
            Self::Dist => dist::run(&dist::Args::default()),
            Self::Bindings => bindgen::run(&bindgen::Args::check()),
            Self::NoStd => no_std::run(),
            Self::Targets => targets::run(),
            Self::BigEndian => big_endian::run(),
            Self::Vm => vm_test::run(&vm_test::Args::all()),
            Self::Fuzz => fuzz::run(&fuzz::Args { seconds: args.fuzz_seconds }),
            Self::Deny => deny::run(),
            // In CI the checkout is clean. Elsewhere, uncommitted changes are normal.
            Self::Package => package::run(&package::Args {
                allow_dirty: std::env::var_os("CI").is_none(),
                test: false,
            }),
            Self::Migration => migration::run(&migration::Args::default()),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_in_their_own_order_regardless_of_the_order_of_the_arguments() {
        assert_eq!(selected(&[], &[]), Step::value_variants());
        assert_eq!(selected(&[Step::Deny, Step::Fmt], &[]), [Step::Fmt, Step::Deny]);
        assert!(!selected(&[], &[Step::Fuzz]).contains(&Step::Fuzz));
    }

    #[test]
    fn the_summary_ends_with_the_total() {
        let done =
            [(Step::Fmt, Duration::from_millis(500)), (Step::NoStd, Duration::from_secs(20))];
        let expected = "\
fmt              0.5 s
no-std          20.0 s
all             20.5 s";
        assert_eq!(summary(&done), expected);
    }
}
