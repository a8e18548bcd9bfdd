//! `cargo xtask migration`: applies the migration guide to the examples and tests of older
//! versions. Cargo fetches their code, which is not part of this repository.

mod edit;
mod guide;
mod published;
mod results;
mod scratch;
mod tokens;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use self::guide::Guide;
use self::published::Declared;
use self::results::{Outcome, Results};
use self::scratch::Scratch;

/// Apply the migration guide to the examples and tests of older versions, and run them
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Also run the tests that need the connector
    #[arg(long)]
    live: bool,
}

/// The versions that the guide describes.
const VERSIONS: [&str; 2] = ["0.1.5", "0.3.0"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let guide = Guide::read()?;
    let scratch = Scratch::new(&VERSIONS)?;
    let mut declarations = Vec::new();
    for published in scratch.published()? {
        let declared = published.declared()?;
        let missing = guide.missing(&declared.names);
        ensure!(missing.is_empty(), "the guide does not name {missing:?} of {}", published.version);
        scratch.write_programs(&published, &declared, &guide)?;
        declarations.push((published.version, declared));
    }
    let constants = scratch.check_constants(&declarations, &guide)?;
    println!("{constants} constants and functions have the same values and types");

    let mut unused = guide.failures.clone();
    for (version, declared) in &declarations {
        let results = scratch.test(version, args.live)?;
        let expected = |name: &String| guide.failures.contains(name);
        let failed = names(&results, Outcome::Failed);
        let surprises: Vec<_> = failed.iter().filter(|name| !expected(name)).collect();
        ensure!(surprises.is_empty(), "{version}: the guide does not explain {surprises:?}");
        let wrong: Vec<_> = results
            .iter()
            .filter(|(name, outcome)| **outcome == Outcome::Passed && expected(name))
            .collect();
        ensure!(wrong.is_empty(), "{version}: the guide.says that these fail: {wrong:?}");
        unused.retain(|name| !failed.contains(name));
        ensure_counted(&guide, version, declared, &results)?;
        println!("{version}: {}", summary(&results, declared));
    }
    ensure!(unused.is_empty(), "the guide explains failures of unknown tests: {unused:?}");
    Ok(())
}

/// Fails unless the guide contains the number of passing tests.
fn ensure_counted(
    guide: &Guide,
    version: &str,
    declared: &Declared,
    results: &Results,
) -> Result<()> {
    let (_, tests) = declared.split(results);
    // Tests that do not run here count as passing.
    let passing = tests.len() - names(&tests, Outcome::Failed).len();
    let sentence = format!("{passing} of the {} tests of {version} pass", tests.len());
    ensure!(tests.is_empty() || guide.says(&sentence), "the guide does not say: {sentence}");
    Ok(())
}

fn names(results: &Results, outcome: Outcome) -> BTreeSet<String> {
    let with = results.iter().filter(|(_, found)| **found == outcome);
    with.map(|(name, _)| name.clone()).collect()
}

fn summary(results: &Results, declared: &Declared) -> String {
    let (examples, tests) = declared.split(results);
    let count = |results: &Results| {
        let passed = names(results, Outcome::Passed).len();
        let ignored = match names(results, Outcome::Ignored).len() {
            0 => String::new(),
            ignored => format!(" ({ignored} not run)"),
        };
        format!("{passed} of {}{ignored}", results.len())
    };
    let examples = format!("{} examples of its documentation pass", count(&examples));
    if tests.is_empty() { examples } else { format!("{} tests and {examples}", count(&tests)) }
}
