//! `record`: events into a capture file.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proc_connector::Received;
use proc_connector::capture::{Origin, Writer};

use crate::cli::Failure;
use crate::cli::options::events::Choice;
use crate::cli::output::sink::Sink;
use crate::cli::output_file;
use crate::cli::pipeline::receive::Listening;
use crate::cli::standard;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write, pcapng; `-` is standard output. A new file can be read by its owner only,
    /// an existing one keeps its mode.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Leave the machine's name out of the file.
    #[arg(long)]
    anonymous: bool,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    listening: Listening,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if is_standard(&args.file) {
        let output = standard::output()?;
        if output.is_terminal() {
            return Err(Failure::BinaryToTerminal);
        }
        return record(args, || Ok(output));
    }
    let in_file = |error| Failure::File { path: args.file.clone(), error };
    // A pipe waits for its reader here, where a signal still ends the program.
    let place = output_file::find(&args.file).map_err(in_file)?;
    let recorded = record(args, || place.open().map_err(in_file));
    recorded.map_err(|failure| match failure {
        Failure::Output(error) => in_file(error),
        failure => failure,
    })
}

/// Whether a file's name stands for standard input or output.
pub(crate) fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

fn record<W: Write>(
    args: &Args,
    output: impl FnOnce() -> Result<W, Failure>,
) -> Result<(), Failure> {
    // First, so that a file of that name stays as it is where nothing can be recorded.
    let mut events = args.listening.open(&args.choice.filter()?, false)?;
    args.choice.check_processes()?;
    let mut origin = Origin::this_machine();
    if args.anonymous {
        origin.host = None;
    }
    origin.filter = Some(args.choice.to_string()).filter(|filter| !filter.is_empty());
    let mut recorder = Recorder(Writer::with_origin(output()?, &origin)?);
    let summary = args.listening.run(&mut events, &args.choice, &mut recorder)?;
    recorder.0.finish()?;
    summary.tell();
    Ok(())
}

/// Writes what it is given to a capture.
struct Recorder<W: Write>(Writer<W>);

impl<W: Write> Sink for Recorder<W> {
    fn take(&mut self, received: &Received<'_>, time: Option<SystemTime>) -> io::Result<bool> {
        self.0.write(received, time.unwrap_or(SystemTime::UNIX_EPOCH))?;
        Ok(matches!(received, Received::Event(_)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
