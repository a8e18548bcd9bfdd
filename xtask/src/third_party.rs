//! The notices of the crates and of the standard library that are part of the packaged program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command;
use crate::workspace::{Metadata, cargo, root};

const PACKAGE: &str = "proc-connector";

/// The texts for crates whose packages have none, in a file with the name of the crate.
const ADDED: &str = "proc-connector/packaging/licenses";

/// What the names of files with licences and notices start with, in lower case.
const STARTS: [&str; 6] = ["licence", "license", "copying", "copyright", "notice", "unlicense"];

/// Writes the notices for the program of the Debian package, compressed, to this directory.
pub(crate) fn write(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let features = Metadata::load()?.deb_features(PACKAGE)?;
    let crates = linked(&features)?;
    ensure!(crates.len() > 20, "cargo tree lists only {} crates", crates.len());
    let texts = crates.iter().map(Crate::texts).collect::<Result<Vec<_>>>()?;
    let notices = directory.join("crates.txt");
    fs::write(&notices, document(&crates, &texts))?;
    let library = directory.join("rust-standard-library.html");
    let source = standard_library()?;
    fs::copy(&source, &library).with_context(|| {
        format!("{} is missing: build with a toolchain of rustup", source.display())
    })?;
    command::run(Command::new("gzip").args(["-9", "--no-name"]).args([notices, library]))
}

/// The notices of the standard library, which the compiler's package contains.
fn standard_library() -> Result<PathBuf> {
    let sysroot = command::read(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html"))
}

/// A crate of another project.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    /// The expression in its manifest.
    license: String,
    repository: String,
    /// Where its package is unpacked.
    directory: PathBuf,
}

/// A file with a licence or a notice, and its content.
type Text = (String, String);

/// The crates of other projects that the program is linked with, without macros and build scripts.
fn linked(features: &[String]) -> Result<Vec<Crate>> {
    let manifest = root().join(PACKAGE).join("Cargo.toml");
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--edges=normal,no-proc-macro", "--no-default-features"]);
    tree.args(["--prefix=none", "--format={p}", "--features", &features.join(",")]);
    let tree = command::read(tree.arg("--manifest-path").arg(&manifest))?;
    let names: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();

    let host = command::read(Command::new("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let mut metadata = cargo();
    metadata.args(["metadata", "--locked", "--format-version=1", "--all-features", "--quiet"]);
    metadata.arg(format!("--filter-platform={}", host.context("rustc -vV has no host")?));
    let metadata: Value = serde_json::from_str(&command::read(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().context("no packages in metadata")?;
    let mut crates = Vec::new();
    for (name, version) in names {
        let package = packages
            .iter()
            .find(|package| package["name"] == name && package["version"] == version)
            .with_context(|| format!("no package {name} {version} in metadata"))?;
        if !package["source"].is_null() {
            crates.push(Crate::new(package)?);
        }
    }
    Ok(crates)
}

/// The crate of a line such as `name v1.0.0 (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

impl Crate {
    fn new(package: &Value) -> Result<Self> {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let manifest = PathBuf::from(text("manifest_path"));
        let directory = manifest.parent().context("a manifest without a directory")?.to_owned();
        let (name, version) = (text("name"), text("version"));
        Ok(Self {
            name,
            version,
            license: text("license"),
            repository: text("repository"),
            directory,
        })
    }

    /// Its licences and notices.
    fn texts(&self) -> Result<Vec<Text>> {
        let Self { name, version, license, directory, .. } = self;
        let mut texts = read(directory)?;
        let has_licence = |texts: &[Text]| texts.iter().any(|(file, _)| !is_notice(file));
        if !has_licence(&texts) {
            let added = root().join(ADDED).join(name);
            // The text of this licence does not name the owner.
            let source = match license.as_str() {
                "Apache-2.0" => root().join("LICENSE-APACHE"),
                _ => added,
            };
            let Ok(text) = fs::read_to_string(&source) else {
                bail!(
                    "the package of {name} {version} ({license}) has no licence text: write the text, with \
                     the owner of the copyright, to {}",
                    source.display()
                );
            };
            texts.push((license.clone(), text));
        }
        Ok(texts)
    }
}

/// Whether a file is no licence, but an addition to one.
fn is_notice(file: &str) -> bool {
    ["copyright", "notice"].iter().any(|start| file.to_ascii_lowercase().starts_with(start))
}

/// The files of a package with licences and notices.
fn read(directory: &Path) -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        if !STARTS.iter().any(|start| lower.starts_with(start)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                let inner = format!("{name}/{}", file.file_name().to_string_lossy());
                texts.push((inner, content(&file.path())?));
            }
        } else {
            texts.push((name, content(&entry.path())?));
        }
    }
    texts.sort();
    Ok(texts)
}

fn content(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(!bytes.trim_ascii().is_empty(), "{} is empty", file.display());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The list of the crates, and each text once with the crates that have it.
fn document(crates: &[Crate], texts: &[Vec<Text>]) -> String {
    let mut document = "\
The program proc-connector contains the crates below. The licence texts and notices in their packages
follow, each after the crates that contain it. The file rust-standard-library.html has those of the
Rust standard library.

"
    .to_owned();
    for Crate { name, version, license, repository, .. } in crates {
        // Writing to a string cannot fail.
        let _ = writeln!(document, "{name} {version}: {license} <{repository}>");
    }
    // The order is that of the first crate with a text.
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sections: Vec<(Vec<String>, &str)> = Vec::new();
    let normal: Vec<Vec<(String, String)>> = texts.iter().map(|texts| normalized(texts)).collect();
    for (Crate { name, version, .. }, texts) in crates.iter().zip(&normal) {
        for (file, text) in texts {
            let index = *known.entry(text).or_insert_with(|| {
                sections.push((Vec::new(), text));
                sections.len() - 1
            });
            sections[index].0.push(format!("{name} {version} ({file})"));
        }
    }
    for (users, text) in sections {
        let line = "-".repeat(78);
        let _ = write!(document, "\n{line}\n{}\n{line}\n\n{text}\n", users.join("\n"));
    }
    document
}

/// The texts without white space at the ends of lines, so that copies are equal.
fn normalized(texts: &[Text]) -> Vec<Text> {
    let lines = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    texts
        .iter()
        .map(|(file, text)| (file.clone(), lines(text).trim_matches('\n').to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Crate {
        Crate { name: name.to_owned(), version: "1.0.0".to_owned(), ..Crate::default() }
    }

    #[test]
    fn lines_of_the_tree_are_read() {
        for line in ["a v1.2.3", "a v1.2.3 (*)", "a v1.2.3 (/directory)"] {
            assert_eq!(name_and_version(line), Some(("a", "1.2.3")));
        }
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn equal_texts_are_written_once_with_all_their_crates() {
        let text = |file: &str, text: &str| (file.to_owned(), text.to_owned());
        let texts = [
            vec![text("LICENSE-MIT", "Copyright A\n\nPermission\n"), text("NOTICE", "a notice")],
            vec![text("LICENSE", "\r\nCopyright A  \r\n\r\nPermission")],
            vec![text("LICENSE", "Copyright B\n\nPermission\n")],
        ];
        let document = document(&["a", "b", "c"].map(named), &texts);
        assert_eq!(document.matches("Copyright A\n\nPermission\n").count(), 1, "{document}");
        assert!(document.contains("a 1.0.0 (LICENSE-MIT)\nb 1.0.0 (LICENSE)\n---"), "{document}");
        assert!(document.contains("c 1.0.0 (LICENSE)\n---"), "{document}");
        assert!(document.contains("a notice") && document.contains("Copyright B"), "{document}");
    }

    #[test]
    fn a_crate_without_a_licence_text_is_an_error() {
        let directory = std::env::temp_dir().join(format!("third-party-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a writable directory");
        let package =
            Crate { directory: directory.clone(), license: "MIT".to_owned(), ..named("a") };
        let texts = |files: &[&str]| {
            for file in files {
                fs::write(directory.join(file), "text").expect("a writable directory");
            }
            package.texts().map(|texts| texts.len()).map_err(|error| error.to_string())
        };
        let error = texts(&["README.md", "NOTICE"]).expect_err("no text");
        assert!(error.contains("a 1.0.0 (MIT)") && error.contains("licenses/a"), "{error}");
        assert_eq!(texts(&["LICENSE-MIT"]), Ok(2));
        fs::write(directory.join("LICENSE-MIT"), "\n").expect("a writable directory");
        assert!(texts(&[]).is_err_and(|error| error.contains("is empty")));
        // Every copy of this licence is the same.
        fs::remove_file(directory.join("LICENSE-MIT")).expect("a file");
        let package = Crate { license: "Apache-2.0".to_owned(), ..package };
        let texts = package.texts().expect("a text");
        assert!(texts[1].1.contains("Apache License"), "{texts:?}");
        fs::remove_dir_all(&directory).expect("a directory");
    }
}
