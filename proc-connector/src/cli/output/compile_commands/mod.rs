//! The compilations of a build, as a JSON Compilation Database (`compile_commands.json`):
//! <https://clang.llvm.org/docs/JSONCompilationDatabase.html>.

mod command;
mod compiler;
mod response;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use proc_connector::{Context, Payload, Received};
use serde::Serialize;

use self::command::Command;
use super::sink::Item;
use crate::cli::blocks;
use crate::cli::output_file::Place;
use crate::cli::shown::json::append;

/// The name that tools look for.
pub(crate) const FILE_NAME: &str = "compile_commands.json";

/// Whether a path names a database.
pub(crate) fn is_named(path: &Path) -> bool {
    path.file_name() == Some(OsStr::new(FILE_NAME))
}

/// Collects compilations, and the files to write them to.
#[derive(Debug, Default)]
pub(crate) struct CompileCommands {
    files: Vec<(PathBuf, Place)>,
    entries: Vec<Entry>,
    /// The files and outputs of the entries.
    known: HashSet<(String, Option<String>)>,
    /// Processes that executed a compiler driver, and their descendants. The programs that a driver
    /// executes are parts of its compilation.
    inside: HashSet<u32>,
    missing: Missing,
}

/// An entry of the database.
#[derive(Debug, PartialEq, Serialize)]
struct Entry {
    directory: String,
    arguments: Vec<String>,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// Compiler calls that the database lacks, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Missing {
    /// The kernel recorded only a part of the arguments.
    cut: usize,
    /// The kernel recorded no arguments or no working directory.
    unrecorded: usize,
    /// A response file could not be read: a build may remove it after use.
    unread: usize,
    /// JSON cannot represent the arguments or the directory.
    not_utf8: usize,
}

impl CompileCommands {
    pub(crate) fn add_file(&mut self, path: PathBuf, place: Place) {
        self.files.push((path, place));
    }

    /// Collects the compilation that an event starts, if it is an exec of a compiler driver.
    pub(crate) fn take(&mut self, item: &Item<'_>) {
        let Received::Event(event) = item.received else { return };
        if self.files.is_empty() {
            return;
        }
        let context = event.context();
        match event.payload() {
            Payload::Fork(fork) if fork.child_pid() == fork.child_tgid() => {
                // With CLONE_PARENT, the event's parent is not the process that forked.
                let forker = context.and_then(|context| context.tgid());
                let forker = forker.unwrap_or_else(|| fork.parent_tgid());
                if self.inside.contains(&forker) {
                    self.inside.insert(fork.child_tgid());
                } else {
                    self.inside.remove(&fork.child_tgid());
                }
            }
            Payload::Exec(exec) if !self.inside.contains(&exec.process_tgid()) => {
                let Some(context) = context else { return };
                if self.compile(&context) {
                    self.inside.insert(exec.process_tgid());
                }
            }
            Payload::Exit(exit) if item.is_over == Some(true) => {
                self.inside.remove(&exit.process_tgid());
            }
            _ => {}
        }
    }

    /// Adds the compilations of an exec. Returns whether the program is a compiler driver.
    fn compile(&mut self, context: &Context<'_>) -> bool {
        let Some(args) = context.args() else {
            let is_driver = context.filename().is_some_and(compiler::is_driver);
            self.missing.unrecorded += usize::from(is_driver);
            return is_driver;
        };
        let words: Vec<&[u8]> = args.iter().collect();
        let Some(words) = compiler::driver_call(&words, context.filename()) else { return false };
        let cwd = context.cwd().map(|cwd| {
            let names: Vec<u8> =
                cwd.components().flat_map(|name| [b"/", name]).flatten().copied().collect();
            if names.is_empty() { b"/".to_vec() } else { names }
        });
        let (words, is_partial) = match &cwd {
            Some(cwd) => response::expanded(&words, Path::new(bytes(cwd))),
            None => (words.iter().map(|word| word.to_vec()).collect(), false),
        };
        let command = Command::parse(&words);
        if args.is_cut() {
            self.missing.cut += usize::from(command.may_compile());
        } else if is_partial && command.sources_may_be_in_a_file() {
            self.missing.unread += 1;
        } else if !command.compiles() {
            // It links, or only preprocesses.
        } else if let Some(cwd) = cwd {
            self.add(&command, cwd);
        } else {
            self.missing.unrecorded += 1;
        }
        true
    }

    /// Adds an entry for each source file.
    fn add(&mut self, command: &Command<'_>, cwd: Vec<u8>) {
        let Ok(directory) = String::from_utf8(cwd) else {
            self.missing.not_utf8 += 1;
            return;
        };
        for source in 0..command.sources.len() {
            let Some((arguments, file, output)) = command.of_source(source) else {
                self.missing.not_utf8 += 1;
                continue;
            };
            let file = absolute(&directory, file);
            let output = output.map(|output| absolute(&directory, output));
            if self.known.insert((file.clone(), output.clone())) {
                self.entries.push(Entry { directory: directory.clone(), arguments, file, output });
            }
        }
    }

    /// Writes the files. Returns those that failed, and why.
    pub(crate) fn finish(self) -> (Vec<(PathBuf, io::Error)>, Option<String>) {
        let Self { files, entries, missing, .. } = self;
        let mut failed = Vec::new();
        for (path, place) in files {
            let written = database(&entries).and_then(|text| match place {
                Place::New(new) => new.write(|mut file| file.write_all(&text)),
                Place::Existing(mut file) => {
                    blocks::empty(&file)?;
                    file.write_all(&text)
                }
            });
            if let Err(error) = written {
                failed.push((path, error));
            }
        }
        (failed, (missing != Missing::default()).then(|| missing.to_string()))
    }
}

/// The text of a database: one entry per line.
fn database(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut text = b"[".to_vec();
    for (number, entry) in entries.iter().enumerate() {
        text.extend_from_slice(if number == 0 { b"\n" } else { b",\n" });
        append(&mut text, entry)?;
    }
    text.extend_from_slice(b"\n]\n");
    Ok(text)
}

/// A path of the command, from the root. Parts such as `..` are kept: a link may precede them.
fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let path = path.trim_start_matches("./");
    if directory.ends_with('/') {
        format!("{directory}{path}")
    } else {
        format!("{directory}/{path}")
    }
}

fn bytes(path: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(path)
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cut, unrecorded, unread, not_utf8 } = *self;
        let count = cut + unrecorded + unread + not_utf8;
        let s = if count == 1 { " is" } else { "s are" };
        write!(f, "{count} compilation{s} missing from {FILE_NAME}:")?;
        let reasons = [
            (
                cut,
                "arguments exceed the 32 KiB that the kernel's program records (use a response file)",
            ),
            (unrecorded, "no arguments or working directory recorded"),
            (unread, "a response file that could not be read (was it removed?)"),
            (not_utf8, "text that is not UTF-8, which JSON cannot represent"),
        ];
        let mut separator = "";
        for (count, reason) in reasons.into_iter().filter(|&(count, _)| count > 0) {
            write!(f, "{separator} {count}: {reason}")?;
            separator = ";";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
