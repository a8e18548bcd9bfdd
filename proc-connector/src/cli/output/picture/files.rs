//! Files to be drawn: which, in which format, and that they can be written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proc_connector::Received;

use super::forest::Forest;
use crate::cli::Failure;
use crate::cli::output::json::Json;
use crate::cli::output::sink::Sink;
use crate::cli::output_file::{self, NewFile, Place};

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
    lines: Vec<Lines>,
    pictures: Vec<(Target, Place)>,
    /// The first failure of a file of events. The other files go on.
    failure: Option<Failure>,
}

/// A file of events, written as they come.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    output: Json<'static, BufWriter<File>>,
    /// An existing file, to be emptied.
    old: Option<File>,
    /// A file created here, to be removed unless [`Files::begin`] is reached.
    new: Option<NewFile>,
}

impl Files {
    /// Opens them all, so that what cannot be written is known before there is anything to write.
    /// What they contain stays until [`begin`](Self::begin), and of pictures until they are drawn.
    pub(crate) fn open(targets: &[Target]) -> Result<Self, Failure> {
        let mut files = Self { lines: Vec::new(), pictures: Vec::new(), failure: None };
        for target in targets {
            files.add(target).map_err(|error| failure(&target.path, error))?;
        }
        Ok(files)
    }

    fn add(&mut self, target: &Target) -> io::Result<()> {
        let place = output_file::find(&target.path)?;
        if !target.is_lines() {
            if let Place::New(new) = &place {
                new.try_out()?;
            }
            self.pictures.push((target.clone(), place));
            return Ok(());
        }
        let (file, old, new) = match place {
            Place::New(new) => (new.create()?, None, Some(new)),
            Place::Existing(file) => (file.try_clone()?, Some(file), None),
        };
        let output = Json::new(BufWriter::new(file));
        self.lines.push(Lines { path: target.path.clone(), output, old, new });
        Ok(())
    }

    /// Empties the files of events. From now on they are kept, whatever happens.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        for Lines { path, old, new, .. } in &mut self.lines {
            if let Some(old) = old.take() {
                output_file::empty(&old).map_err(|error| failure(path, error))?;
            }
            *new = None;
        }
        Ok(())
    }

    /// Writes an event to the files of events. A file that fails is left out from then on, and
    /// [`failure`](Self::failure) or [`finish`](Self::finish) reports it.
    pub(crate) fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> bool {
        self.write(|output| output.take(received, time).map(drop));
        matches!(received, Received::Event(_))
    }

    /// Writes out what was taken.
    pub(crate) fn flush(&mut self) {
        self.write(Sink::flush);
    }

    fn write(
        &mut self,
        mut write: impl FnMut(&mut Json<'static, BufWriter<File>>) -> io::Result<()>,
    ) {
        let Self { lines, failure: first, .. } = self;
        lines.retain_mut(|lines| match write(&mut lines.output) {
            Ok(()) => true,
            Err(error) => {
                first.get_or_insert_with(|| failure(&lines.path, error));
                false
            }
        });
    }

    /// An error if [`failure`](Self::failure) has one to report.
    pub(crate) fn has_failed(&self) -> io::Result<()> {
        if self.failure.is_none() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
    }

    /// The first failure, once.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Writes all others, and what is left.
    pub(crate) fn finish(mut self, forest: &Forest, title: &str) -> Result<(), Failure> {
        self.flush();
        for (Target { path, format }, place) in self.pictures.drain(..) {
            let drawn = match place {
                Place::New(new) => new.write(|file| draw(format, forest, title, file)),
                Place::Existing(file) => redraw(format, forest, title, file),
            };
            if let Err(error) = drawn {
                self.failure.get_or_insert_with(|| failure(&path, error));
            }
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            let _ = new.remove();
        }
    }
}

/// Replaces the contents of a file by a complete drawing.
fn redraw(format: Format, forest: &Forest, title: &str, mut file: File) -> io::Result<()> {
    let mut picture = Vec::new();
    draw(format, forest, title, &mut picture)?;
    output_file::empty(&file)?;
    file.write_all(&picture)
}

fn draw(format: Format, forest: &Forest, title: &str, output: impl Write) -> io::Result<()> {
    let mut output = BufWriter::new(output);
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
