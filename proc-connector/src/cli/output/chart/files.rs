//! Output files: events as JSON lines, and charts of processes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::forest::Forest;
use crate::cli::blocks;
use crate::cli::failure::Failure;
use crate::cli::output::compile_commands::{self, CompileCommands};
use crate::cli::output::json::Json;
use crate::cli::output::sink::{Item, Sink};
use crate::cli::output_file::{self, NewFile, Place};
use crate::cli::shown::complain;

/// A file to write, and its format.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Html,
    Chrome,
    Lines,
    CompileCommands,
}

impl Target {
    /// Selects the format by the extension of the name.
    pub(crate) fn from_path(path: PathBuf) -> Result<Self, String> {
        if compile_commands::is_named(&path) {
            return Ok(Self { path, format: Format::CompileCommands });
        }
        let format = match path.extension().and_then(OsStr::to_str) {
            Some("svg") => Format::Svg,
            Some("html") => Format::Html,
            Some("json") => Format::Chrome,
            Some("jsonl") => Format::Lines,
            _ => {
                let reason = "the file name must end in .svg (a timeline), .html (a page with a \
                              timeline, search and a table), .json (trace events for Perfetto) or \
                              .jsonl (events, as with `watch --json`), or be compile_commands.json";
                return Err(reason.to_owned());
            }
        };
        Ok(Self { path, format })
    }

    /// Whether the file contains the commands of a build, which require working directories.
    pub(crate) fn is_compile_commands(&self) -> bool {
        self.format == Format::CompileCommands
    }

    /// Whether the file contains events, not a chart.
    pub(crate) fn is_lines(&self) -> bool {
        self.format == Format::Lines
    }
}

/// The open files.
#[derive(Debug)]
pub(crate) struct Files {
    lines: Vec<Lines>,
    charts: Vec<(Target, Place)>,
    compile_commands: CompileCommands,
    on_failure: OnFailure,
    /// The first failure. The other files are still written.
    failure: Option<Failure>,
}

/// What to do if an event cannot be written to one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Fail.
    Stop,
    /// Write the other files, and report the failure in [`Files::finish`].
    Continue,
}

/// A file of events.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    output: Json<BufWriter<File>>,
    /// An existing file, which [`Files::begin`] empties.
    old: Option<File>,
    /// A new file, which is removed unless [`Files::begin`] is called.
    new: Option<NewFile>,
}

impl Files {
    /// Opens all files, so that a file that cannot be written is reported early. Files of events keep
    /// their contents until [`begin`](Self::begin), and charts until [`finish`](Self::finish).
    pub(crate) fn open(targets: &[Target], on_failure: OnFailure) -> Result<Self, Failure> {
        let mut files = Self {
            lines: Vec::new(),
            charts: Vec::new(),
            compile_commands: CompileCommands::default(),
            on_failure,
            failure: None,
        };
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
            if target.is_compile_commands() {
                self.compile_commands.add_file(target.path.clone(), place);
            } else {
                self.charts.push((target.clone(), place));
            }
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

    /// Empties the files of events. After this call they are kept even after a failure.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        for Lines { path, old, new, .. } in &mut self.lines {
            if let Some(old) = old.take() {
                blocks::empty(&old).map_err(|error| failure(path, error))?;
            }
            *new = None;
        }
        Ok(())
    }

    /// Writes to each file of events. A file that fails is left out from then on.
    fn write_each(&mut self, mut write: impl FnMut(&mut Json<BufWriter<File>>) -> io::Result<()>) {
        let Self { lines, failure: first, .. } = self;
        lines.retain_mut(|lines| match write(&mut lines.output) {
            Ok(()) => true,
            Err(error) => {
                first.get_or_insert_with(|| failure(&lines.path, error));
                false
            }
        });
    }

    /// Returns the first failure if it has to end the run.
    fn check(&mut self) -> Result<(), Failure> {
        match self.on_failure {
            OnFailure::Stop => self.failure.take().map_or(Ok(()), Err),
            OnFailure::Continue => Ok(()),
        }
    }

    /// Draws the charts, and writes out the files of events. Returns the first failure.
    pub(crate) fn finish(mut self, forest: &Forest, title: &str) -> Result<(), Failure> {
        self.write_each(Json::flush_lines);
        for (Target { path, format }, place) in std::mem::take(&mut self.charts) {
            let drawn = match place {
                Place::New(new) => new.write(|file| draw(format, forest, title, file)),
                Place::Existing(file) => redraw(format, forest, title, file),
            };
            if let Err(error) = drawn {
                self.fail(failure(&path, error));
            }
        }
        let (failed, missing) = std::mem::take(&mut self.compile_commands).finish();
        for (path, error) in failed {
            self.fail(failure(&path, error));
        }
        if let Some(missing) = missing {
            complain(missing);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Keeps the first failure for the result, and reports each other one.
    fn fail(&mut self, failure: Failure) {
        if self.failure.is_some() {
            complain(failure);
        } else {
            self.failure = Some(failure);
        }
    }
}

impl Sink for Files {
    fn write(&mut self, item: &Item<'_>) -> Result<(), Failure> {
        self.compile_commands.take(item);
        self.write_each(|output| output.line(item));
        self.check()
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.write_each(Json::flush_lines);
        self.check()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            let _ = new.remove();
        }
    }
}

/// Replaces the contents of a file with a chart, after drawing all of it.
fn redraw(format: Format, forest: &Forest, title: &str, mut file: File) -> io::Result<()> {
    let mut chart = Vec::new();
    draw(format, forest, title, &mut chart)?;
    blocks::empty(&file)?;
    file.write_all(&chart)
}

fn draw(format: Format, forest: &Forest, title: &str, output: impl Write) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    match format {
        Format::Svg => super::svg::write(forest, title, &mut output)?,
        Format::Html => super::html::write(forest, title, &mut output)?,
        Format::Chrome => super::chrome::write(forest, title, &mut output)?,
        Format::Lines | Format::CompileCommands => {}
    }
    output.flush()
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure::File { path: path.to_owned(), error }
}
