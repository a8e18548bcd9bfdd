//! The workspace that compiles and runs the edited code, in `target/migration/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::edit::Edit;
use super::guide::Guide;
use super::published::{self, Declared, Published};
use super::results::{Outcome, Results};
use super::tokens;
use crate::command;
use crate::workspace::{self, Metadata, cargo};

pub(super) struct Scratch {
    root: PathBuf,
    target: PathBuf,
    versions: Vec<String>,
}

/// The package that depends on the older versions.
const CONSTANTS: &str = "constants";

/// Further dependencies of the older versions' tests.
const DEPENDENCIES: &str = "libc = \"0.2\"\nproptest = { version = \"1\", default-features = false, features = [\"std\"] }\n";

impl Scratch {
    /// Writes the manifests, and packages without code.
    pub(super) fn new(versions: &[&str]) -> Result<Self> {
        let target = Metadata::load()?.target_dir()?;
        let root = target.join("migration");
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("cannot remove {}", root.display()))?;
        }
        let versions: Vec<_> = versions.iter().map(|&version| version.to_owned()).collect();
        let scratch = Self { root, target, versions };

        let ours = ["proc-connector", "proc-connector-sys"].map(|name| {
            format!("{name} = {{ path = \"{}\" }}\n", workspace::root().join(name).display())
        });
        let theirs = scratch.versions.iter().map(|version| {
            let name = alias(version);
            format!("{name} = {{ package = \"proc-connector\", version = \"={version}\" }}\n")
        });
        scratch.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n")?;
        scratch.write_package(CONSTANTS, &(ours.concat() + &theirs.collect::<String>()))?;
        for version in &scratch.versions {
            scratch.write_package(&alias(version), &(ours.concat() + DEPENDENCIES))?;
        }
        // Uses the dependencies' versions that the workspace is tested with.
        fs::copy(workspace::root().join("Cargo.lock"), scratch.root.join("Cargo.lock"))?;
        Ok(scratch)
    }

    fn write_package(&self, name: &str, dependencies: &str) -> Result<()> {
        let package =
            format!("[package]\nname = \"{name}\"\nedition = \"2024\"\npublish = false\n");
        // The edits leave unused imports and unnecessary parentheses.
        let lints = "[lints.rust]\nunused_imports = \"allow\"\nunused_parens = \"allow\"\n";
        let manifest = format!("{package}\n{lints}\n[dependencies]\n{dependencies}");
        self.write(&format!("{name}/Cargo.toml"), &manifest)?;
        self.write(&format!("{name}/src/lib.rs"), "")
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo();
        cargo.current_dir(&self.root).args(arguments).arg("--quiet");
        // Most dependencies are already built there.
        cargo.env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// The older versions, which cargo fetches.
    pub(super) fn published(&self) -> Result<Vec<Published>> {
        let json = command::read(&mut self.cargo(&["metadata", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&json)?;
        let packages = metadata["packages"].as_array().context("no packages in metadata")?;
        let find = |version: &String| {
            let is_it = |package: &&Value| {
                package["name"] == "proc-connector" && package["version"] == version.as_str()
            };
            let package = packages.iter().find(is_it);
            let manifest = package.and_then(|package| package["manifest_path"].as_str());
            let directory = manifest.and_then(|path| Path::new(path).parent());
            let directory = directory.with_context(|| format!("cargo fetched no {version}"))?;
            Ok(Published { version: version.clone(), directory: directory.to_owned() })
        };
        self.versions.iter().map(find).collect()
    }

    /// Writes the examples and tests of a version, with all edits applied.
    pub(super) fn write_programs(
        &self,
        published: &Published,
        declared: &Declared,
        guide: &Guide,
    ) -> Result<()> {
        let package = alias(&published.version);
        for directory in ["examples", "tests"] {
            for path in published::sources(&published.directory.join(directory))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let source = fs::read_to_string(&path)?;
                self.write(&format!("{package}/{directory}/{name}"), &guide.edited(&source))?;
            }
        }
        let mut documentation = "#![allow(non_snake_case)]\n".to_owned();
        for example in &declared.examples {
            let block = format!("```{}\n{}```", example.attributes, guide.edited(&example.code));
            for line in block.lines() {
                documentation.extend(["/// ", line, "\n"]);
            }
            documentation.extend(["pub mod ", &example.name, " {}\n"]);
        }
        self.write(&format!("{package}/src/lib.rs"), &documentation)
    }

    /// Compares constants and functions with the expressions that replace them, and returns the
    /// number of comparisons.
    pub(super) fn check_constants(
        &self,
        declarations: &[(String, Declared)],
        guide: &Guide,
    ) -> Result<usize> {
        let mut lines = Vec::new();
        for edit in &guide.edits {
            let Edit::Rewrite { before, after } = edit else { continue };
            let name = tokens::tokens(before).first().map_or("", |token| token.text);
            for (version, declared) in declarations {
                let function = before.contains('(') && before.starts_with("nlmsg_");
                if !function && !declared.constants.iter().any(|constant| constant == before) {
                    continue;
                }
                ensure!(
                    declared.names.iter().any(|known| known == name),
                    "{version} has no {name}"
                );
                let [before, after] = [before, after].map(|text| text.replace("$len", "21"));
                lines.push(format!("    same({}::{before}, {after});\n", alias(version)));
            }
        }
        let test = format!(
            "#[test]\nfn same_values() {{\n{}}}\n\
             fn same<T: PartialEq + std::fmt::Debug>(before: T, after: T) {{\n    \
             assert_eq!(before, after);\n}}\n",
            lines.concat(),
        );
        self.write(&format!("{CONSTANTS}/tests/same.rs"), &test)?;
        command::read(&mut self.cargo(&["test", "--package", CONSTANTS]))?;
        Ok(lines.len())
    }

    /// Compiles the examples of a version and runs its tests.
    pub(super) fn test(&self, version: &str, live: bool) -> Result<Results> {
        let package = alias(version);
        command::run(&mut self.cargo(&["check", "--package", &package, "--all-targets"]))?;
        let mut test = self.cargo(&["test", "--no-fail-fast", "--package", &package]);
        test.args(["--", "--format=pretty"]);
        if live {
            test.arg("--include-ignored");
        }
        // Some tests fail, so cargo fails too.
        let output = test.stderr(Stdio::null()).output().context("cannot start cargo")?;
        let output = String::from_utf8_lossy(&output.stdout);
        let results: Results = output.lines().filter_map(result).collect();
        ensure!(!results.is_empty(), "no test of {version} ran");
        let missing: Vec<_> = self.expected_names(&package)?;
        let missing: Vec<_> =
            missing.into_iter().filter(|name| !results.contains_key(name)).collect();
        ensure!(missing.is_empty(), "these tests of {version} did not run: {missing:?}");
        Ok(results)
    }

    /// The names of the tests in a package: a test that did not run must be noticed.
    fn expected_names(&self, package: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for path in published::sources(&self.root.join(package).join("tests"))? {
            let source = fs::read_to_string(path)?;
            let tests = source.split("#[test]").skip(1);
            let name = |test: &str| Some(test.split_once("fn ")?.1.split_once('(')?.0.to_owned());
            names.extend(tests.filter_map(name));
        }
        Ok(names)
    }
}

/// A version as the name of a package.
fn alias(version: &str) -> String {
    format!("v{}", version.replace('.', "_"))
}

/// The name and the result in a line of libtest.
fn result(line: &str) -> Option<(String, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match outcome {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        _ if outcome.starts_with("ignored") => Outcome::Ignored,
        _ => return None,
    };
    // Documentation tests: `src/lib.rs - NAME (line 3)`, `src/lib.rs - NAME (line 3) - compile`.
    let name = name.split_once(" - ").map_or(name, |(_, item)| item);
    let name = name.split(" (line ").next().unwrap_or(name);
    Some((name.to_owned(), outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_are_results() {
        let cases = [
            ("test a ... ok", Some(("a", Outcome::Passed))),
            ("test a ... ignored, needs root", Some(("a", Outcome::Ignored))),
            (
                "test v/src/lib.rs - E_1 (line 3) - compile ... FAILED",
                Some(("E_1", Outcome::Failed)),
            ),
            ("test result: ok. 1 passed", None),
        ];
        for (line, expected) in cases {
            assert_eq!(
                result(line),
                expected.map(|(name, found)| (name.to_owned(), found)),
                "{line}"
            );
        }
    }
}
