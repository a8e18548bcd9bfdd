//! `replay --diff`: compares two recordings by program.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use proc_connector::capture::Reader;

use crate::cli::failure::Failure;
use crate::cli::options::events::EventOptions;
use crate::cli::options::processes::ProcessOptions;
use crate::cli::output::chart::Forest;
use crate::cli::output::comparison::{Comparison, write_table};
use crate::cli::output::sink::{Item, Sink};
use crate::cli::pipeline::choose::{Chooser, DrawnChooser, ProcessChooser};
use crate::cli::pipeline::conditions::Conditions;
use crate::cli::pipeline::flow::Identified;
use crate::cli::pipeline::follow::Follower;
use crate::cli::pipeline::identify::Identify;
use crate::cli::pipeline::recording;
use crate::cli::pipeline::waiting_input::Waiting;
use crate::cli::shown::{self, complain, shown};
use crate::cli::standard;

/// The options that select processes.
type Selection<'a> = (&'a EventOptions, &'a ProcessOptions);

/// Compares the old recording with the new one.
pub(super) fn run(files: [&Path; 2], selection: Selection<'_>, json: bool) -> Result<(), Failure> {
    // Fails now if standard output is closed, not after both files were read.
    drop(standard::output()?);
    let [old, new] = files.map(|file| forest(selection, file).map_err(|error| error.in_file(file)));
    let ((old, old_read), (new, new_read)) = (old?, new?);
    let comparison = Comparison::new(&old, &new);
    if json {
        let mut output = standard::output()?;
        shown::json::line(&mut output, &comparison)?;
        output.flush()?;
    } else {
        let mut output = standard::text_output()?;
        write_table(&comparison, &mut output)?;
        output.flush()?;
    }
    match (old_read, new_read) {
        (Err(old), Err(new)) => {
            complain(old);
            Err(new)
        }
        (old, new) => old.and(new),
    }
}

/// Reads the processes of a recording, and reports what it lacks. After damage, the processes until
/// there are compared as well.
fn forest(
    (events, processes): Selection<'_>,
    file: &Path,
) -> Result<(Forest, Result<(), Failure>), Failure> {
    let unreadable = |error| Failure::File { path: file.to_owned(), error };
    let reader = Reader::new(File::open(file).map_err(unreadable)?)?;
    let processes = ProcessChooser::recorded(&Conditions::recorded(processes)?)?;
    let chooser = Chooser::new(events.choice(true)?, processes);
    let chooser = DrawnChooser { chooser, follower: Follower::for_recording() };
    let flow = Identified::new(Identify::recorded(), chooser, Nothing, u64::MAX);
    let flow = Rc::new(RefCell::new(flow));
    let title = shown(file.as_os_str().as_encoded_bytes());
    let outcome = recording::read(reader, &title, &flow, &Waiting::default())?;
    let forest = match Rc::into_inner(flow) {
        Some(flow) => flow.into_inner().choose.follower.into_forest(),
        None => Forest::default(),
    };
    report_missing(&title, &forest);
    Ok((forest, outcome.report_unread().map_err(|error| error.in_file(file))))
}

fn report_missing(title: &str, forest: &Forest) {
    if !forest.losses.is_empty() {
        complain(format_args!("{title}: events were lost, so processes may be missing"));
    }
    if forest.lives.is_empty() {
        complain(format_args!("{title}: no processes"));
    } else if forest.lives.iter().all(|life| life.usage.is_none()) {
        complain(format_args!(
            "{title}: CPU time and memory were not recorded; `record` requires the ring transport for \
             them"
        ));
    }
    if !forest.lives.is_empty() && forest.lives.iter().all(|life| life.program().is_none()) {
        complain(format_args!("{title}: the names of programs were not recorded"));
    }
}

/// Shows no events.
#[derive(Debug)]
struct Nothing;

impl Sink for Nothing {
    fn write(&mut self, _: &Item<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
