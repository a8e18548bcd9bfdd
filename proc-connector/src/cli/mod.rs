//! The program: its commands, and the pipeline that carries events to the output.
//!
//! A command receives events ([`pipeline::receive`]) or reads them from a file
//! ([`pipeline::recording`]). The [`pipeline`] identifies the process of each event, chooses the events
//! to show, and passes them to an output format ([`output`]) together with their processes.

mod blocks;
mod cause;
mod command_line;
mod commands;
mod exit_status;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
mod export;
mod failure;
mod host;
mod options;
mod output;
mod output_file;
mod pipeline;
mod redact;
mod rotated;
mod shown;
mod standard;
mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use self::command_line::{Command, parse};
#[cfg(any(feature = "otlp", feature = "prometheus"))]
use self::commands::export as export_command;
use self::commands::{doctor, record, replay, stats, trace, wait, watch};
use self::host::descriptors;
use self::shown::complain;

#[cfg(test)]
#[allow(unused_imports, reason = "the test `cli_dist` includes this module and uses them")]
pub(crate) use self::{command_line::definition, exit_status::meanings as exit_statuses};

/// Runs the program. Reports a failure on standard error and by the exit status.
pub(crate) fn run() -> ExitCode {
    let args = match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(args) => args,
        Err(answer) => return print(&answer),
    };
    // Later, a lack of descriptors would end the command or leave names out.
    let enough = descriptors::check_available();
    let result = enough.and_then(|()| match args.command {
        Command::Watch(args) => watch::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Record(args) => record::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Stats(args) => stats::run(&args).map(|()| ExitCode::SUCCESS),
        #[cfg(any(feature = "otlp", feature = "prometheus"))]
        Command::Export(args) => export_command::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Trace(args) => trace::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Doctor(args) => doctor::run(&args)
            .map(|works| if works { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    });
    match result {
        Ok(code) => code,
        // Commands such as `head` close the pipe when they have read enough.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            failure.exit_code().into()
        }
    }
}

/// Prints the answer to a command line that runs no command: an error or help.
fn print(answer: &clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(1).into();
    if answer.use_stderr() {
        // A failure to write to standard error cannot be reported.
        let _ = answer.print();
        return code;
    }
    let printed = standard::output()
        .map(drop)
        .and_then(|()| Ok(answer.print().and_then(|()| io::stdout().flush())?));
    match printed {
        Err(failure) if !failure.is_closed_pipe() => {
            complain(failure);
            ExitCode::FAILURE
        }
        _ => code,
    }
}
