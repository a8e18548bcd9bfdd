//! Temporary files of a test.

#![allow(dead_code, reason = "every test binary that includes this file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

/// A directory for one test, removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("proc-connector-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a writable directory");
        Self(directory)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// The names of the existing files, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let directory = fs::read_dir(&self.0).expect("a directory");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            directory.map(|entry| name(entry).into_string().expect("text")).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file for one test, in its own directory.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    path: String,
    _directory: Scratch,
}

impl ScratchFile {
    /// A path at which no file exists yet.
    pub(crate) fn new(name: &str) -> Self {
        let directory = Scratch::new(name);
        Self { path: directory.file(name), _directory: directory }
    }

    pub(crate) fn containing(name: &str, bytes: &[u8]) -> Self {
        let scratch = Self::new(name);
        fs::write(&scratch.path, bytes).expect("a writable directory");
        scratch
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}
