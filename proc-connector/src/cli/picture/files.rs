//! Files to be drawn: which, in which format, and that they can be written.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proc_connector::Received;

use super::super::Failure;
use super::super::json::Json;
use super::super::sink::Sink;
use super::forest::Forest;

/// A file to be written, from its name.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Chrome,
    Lines,
}

impl Target {
    /// For the command line: what the name ends in is the format.
    pub(crate) fn of(path: PathBuf) -> Result<Self, String> {
        let format = match path.extension().and_then(OsStr::to_str) {
            Some("svg") => Format::Svg,
            Some("json") => Format::Chrome,
            Some("jsonl") => Format::Lines,
            _ => {
                return Err("its name has to end in .svg (a timeline), .json (trace events, for \
                            Perfetto) or .jsonl (events, as of watch --json)"
                    .into());
            }
        };
        Ok(Self { path, format })
    }

    /// Whether it is of events, not of processes.
    pub(crate) fn is_lines(&self) -> bool {
        self.format == Format::Lines
    }
}

/// The files, open.
#[derive(Debug)]
pub(crate) struct Files {
    lines: Vec<(PathBuf, Json<'static, BufWriter<File>>)>,
    pictures: Vec<(Target, File)>,
    /// Those that have to be emptied.
    old: Vec<(PathBuf, File)>,
}

impl Files {
    /// Opens them all, so that what cannot be written is known before there is anything to write.
    /// What they contain stays until [`begin`](Self::begin).
    pub(crate) fn open(targets: &[Target]) -> Result<Self, Failure> {
        let mut files = Self { lines: Vec::new(), pictures: Vec::new(), old: Vec::new() };
        for target in targets {
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).open(&target.path);
            let opened = file.and_then(|file| {
                // A pipe has no length.
                let old = file.metadata()?.is_file().then(|| file.try_clone()).transpose()?;
                Ok((file, old))
            });
            let (file, old) = opened.map_err(|error| failure(&target.path, error))?;
            files.old.extend(old.map(|old| (target.path.clone(), old)));
            if target.is_lines() {
                let output = Json::new(BufWriter::new(file));
                files.lines.push((target.path.clone(), output));
            } else {
                files.pictures.push((target.clone(), file));
            }
        }
        Ok(files)
    }

    /// Empties them, as there is something to write now.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        for (path, file) in self.old.drain(..) {
            file.set_len(0).map_err(|error| failure(&path, error))?;
        }
        Ok(())
    }

    /// Writes an event to those that are of events.
    pub(crate) fn take(
        &mut self,
        received: &Received<'_>,
        time: Option<SystemTime>,
    ) -> io::Result<bool> {
        for (_, lines) in &mut self.lines {
            lines.take(received, time)?;
        }
        Ok(matches!(received, Received::Event(_)))
    }

    /// Writes all others, and what is left.
    pub(crate) fn finish(self, forest: &Forest, title: &str) -> Result<(), Failure> {
        for (path, mut lines) in self.lines {
            lines.flush().map_err(|error| failure(&path, error))?;
        }
        for (Target { path, format }, file) in self.pictures {
            draw(format, forest, title, file).map_err(|error| failure(&path, error))?;
        }
        Ok(())
    }
}

fn draw(format: Format, forest: &Forest, title: &str, file: File) -> io::Result<()> {
    let mut output = BufWriter::new(file);
    match format {
        Format::Svg => super::svg::write(forest, title, &mut output)?,
        Format::Chrome => super::chrome::write(forest, title, &mut output)?,
        Format::Lines => {}
    }
    output.flush()
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure::File { path: path.to_owned(), error }
}
