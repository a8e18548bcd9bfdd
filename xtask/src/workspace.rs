//! Paths of this workspace, and the results of `cargo metadata`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The directory that contains the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// The manifest of the benches that depend on a released version of this crate. They are a separate
/// workspace: in a common lock file, the name `proc-connector` would be ambiguous.
pub(crate) const PEER_BENCHES: &str = "proc-connector/benches/peer/Cargo.toml";

/// A `cargo` command that starts at the workspace root, with the cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The output of `cargo metadata` about the members of the workspace.
pub(crate) struct Metadata(Value);

impl Metadata {
    pub(crate) fn load() -> Result<Self> {
        let json = command::read(cargo().args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--quiet",
        ]))?;
        Ok(Self(serde_json::from_str(&json).context("the output of cargo metadata is not JSON")?))
    }

    /// The target directory, as configured by the environment or a configuration file.
    pub(crate) fn target_dir(&self) -> Result<PathBuf> {
        let dir = self.0["target_directory"].as_str().context("no target_directory in metadata")?;
        Ok(PathBuf::from(dir))
    }

    /// The features that `package` declares, in alphabetical order.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<String>> {
        let mut features: Vec<_> = self.package(package)?["features"]
            .as_object()
            .with_context(|| format!("no features of {package} in metadata"))?
            .keys()
            .cloned()
            .collect();
        features.sort();
        Ok(features)
    }

    /// The features of the program in the Debian package of `package`.
    pub(crate) fn deb_features(&self, package: &str) -> Result<Vec<String>> {
        let features = self.package(package)?["metadata"]["deb"]["features"].as_array();
        let features =
            features.with_context(|| format!("no features of a package of {package}"))?;
        features
            .iter()
            .map(|feature| feature.as_str().map(str::to_owned).context("a feature is not a string"))
            .collect()
    }

    fn package(&self, name: &str) -> Result<&Value> {
        self.0["packages"]
            .as_array()
            .and_then(|packages| packages.iter().find(|package| package["name"] == name))
            .with_context(|| format!("no package {name} in this workspace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_benches_have_the_lints_and_profiles_of_the_workspace() {
        let read = |path| std::fs::read_to_string(root().join(path)).expect("a manifest");
        let (ours, theirs) = (read("Cargo.toml"), read(PEER_BENCHES));
        for (section, copy) in [
            ("workspace.lints.rust", "lints.rust"),
            ("workspace.lints.clippy", "lints.clippy"),
            ("profile.release", "profile.release"),
            ("profile.bench", "profile.bench"),
        ] {
            let expected = settings(&ours, section);
            assert!(!expected.is_empty(), "{section} is missing");
            assert_eq!(settings(&theirs, copy), expected, "{copy} in {PEER_BENCHES}");
        }
    }

    /// The lines of a section of a manifest, without comments.
    fn settings<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
        let lines = manifest.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
        lines
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }
}
