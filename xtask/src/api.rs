//! `cargo xtask api`: the public API of each crate, as a committed list that is reviewed like code.

mod examples;
mod foreign;
mod reachable;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use public_api::Builder;

use crate::command;
use crate::workspace::{self, Metadata};

/// List the public API of each crate
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Write nothing; fail if the committed lists differ
    #[arg(long)]
    check: bool,
}

impl Args {
    pub(crate) fn check() -> Self {
        Self { check: true }
    }
}

/// The libraries. The API of `proc-connector-sys` has no list: it consists of the committed
/// bindings.
const LISTED: [&str; 2] = ["proc-connector-core", "proc-connector"];
const LIST: &str = "api.txt";

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        command::available("rustup", &["run", "nightly", "rustc", "--version"]),
        "the list needs nightly: rustup toolchain install nightly --profile minimal"
    );
    let metadata = Metadata::load()?;
    for package in LISTED {
        let json = documented(package, &metadata)?;
        let items = items(&json)?;
        foreign::check(package, &items)?;
        reachable::check(package, &items)?;
        let path = workspace::root().join(package).join(LIST);
        if args.check {
            let checked_in = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {package}/{LIST}"))?;
            let checked_in: Vec<String> = checked_in.lines().map(str::to_owned).collect();
            if let Some(changes) = changes(&checked_in, &items) {
                bail!(
                    "the public API of {package} has changed; if that is intended, run \
                     `cargo xtask api` and note it in CHANGELOG.md:\n{changes}"
                );
            }
            println!("{package}/{LIST}: {} items, unchanged", items.len());
        } else {
            fs::write(&path, items.join("\n") + "\n")
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {package}/{LIST}: {} items", items.len());
        }
        examples::check(package, &json)?;
    }
    Ok(())
}

/// Makes rustdoc of nightly describe a library as JSON; returns the path.
fn documented(package: &str, metadata: &Metadata) -> Result<PathBuf> {
    let mut features = metadata.features(package)?;
    // The program adds nothing to the library, and the helpers of tests are not public.
    features.retain(|feature| {
        !["cli", "default"].contains(&feature.as_str()) && !feature.starts_with("testing")
    });
    // A separate directory: in the usual one, files of another compiler would be rebuilt each time.
    let target = metadata.target_dir()?.join("api");
    let mut rustdoc = Command::new("rustup");
    rustdoc
        .args(["run", "nightly", "cargo", "rustdoc", "--quiet", "--lib"])
        .arg(format!("--package={package}"))
        .arg(format!("--features={}", features.join(",")))
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"])
        .current_dir(workspace::root());
    // These variables were set for this program by its cargo, and belong to another toolchain.
    for variable in env::vars_os().map(|(name, _)| name) {
        if variable.to_str().is_some_and(|name| name == "CARGO" || name.starts_with("RUSTUP_TOOL"))
        {
            rustdoc.env_remove(variable);
        }
    }
    command::run(&mut rustdoc)?;
    Ok(target.join("doc").join(format!("{}.json", package.replace('-', "_"))))
}

/// One item per line, without implementations that the compiler adds to every type.
fn items(json: &Path) -> Result<Vec<String>> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()
        .with_context(|| {
            format!(
                "cannot read {}: `public-api` in xtask/Cargo.toml may have to be updated for this \
                 nightly, or nightly for it ({} or later)",
                json.display(),
                public_api::MINIMUM_NIGHTLY_RUST_VERSION
            )
        })?;
    let items = api.items().map(ToString::to_string);
    // The chapters of the guide are modules for rustdoc alone.
    let is_chapter = |item: &str| item.starts_with("pub mod proc_connector::guide");
    Ok(items.filter(|item| !is_derived_noise(item) && !is_chapter(item)).collect())
}

/// Hidden items of derives, which are not used directly.
fn is_derived_noise(item: &str) -> bool {
    const NAMES: [&str; 3] = [
        "::only_derive_is_allowed_to_implement_this_trait",
        "::assert_receiver_is_total_eq",
        "::PointerMetadata",
    ];
    NAMES.iter().any(|name| item.contains(name))
}

/// The differences between two lists; `None` if they are equal.
fn changes(old: &[String], new: &[String]) -> Option<String> {
    let [old_set, new_set] = [old, new].map(|items| items.iter().collect::<BTreeSet<_>>());
    let mut text = String::new();
    for item in old_set.difference(&new_set) {
        let _ = writeln!(text, "- {item}");
    }
    for item in new_set.difference(&old_set) {
        let _ = writeln!(text, "+ {item}");
    }
    if text.is_empty() && old != new {
        text.push_str("the order of the items differs\n");
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_and_equal_lists_have_none() {
        let [a, b, c] = ["a", "b", "c"].map(str::to_owned);
        let (old, new) = ([a.clone(), b.clone()], [b.clone(), c.clone()]);
        assert_eq!(changes(&old, &new).as_deref(), Some("- a\n+ c\n"));
        assert_eq!(changes(&old, &old), None);
        assert!(changes(&[a.clone(), b.clone()], &[b, a]).is_some());
    }
}
