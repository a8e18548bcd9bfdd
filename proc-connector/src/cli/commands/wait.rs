//! `wait`: waits for processes to end, and passes their status on.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use proc_connector::program::Chain;

use crate::cli::failure::Failure;
use crate::cli::options::listen::ReceiveOptions;
use crate::cli::output::ended::{Ended, EndedWriter};
use crate::cli::pipeline::await_end::{Next, Processes};
use crate::cli::shown::complain;
use crate::cli::standard;
use crate::cli::values;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Wait for these processes, given by id. They may be children of any process.
    #[arg(required = true, value_name = "PID", value_parser = values::pid)]
    #[arg(allow_negative_numbers = true)]
    pid: Vec<u32>,

    /// Stop waiting after this time, such as 10s, 500ms or 1m30s.
    #[arg(long, value_name = "TIME", value_parser = values::positive_duration)]
    timeout: Option<Duration>,

    /// Write one JSON object per line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    receive: ReceiveOptions,
}

/// The exit status at a timeout, as of `timeout(1)`.
const TIMEOUT: u8 = 124;

/// The exit status for an id that is not that of another process, and for a process whose status is
/// unknown, as of the shell's `wait`.
const UNKNOWN: u8 = 127;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut output = Some(EndedWriter::new(standard::output()?, args.json));
    let deadline = args.timeout.and_then(|time| Instant::now().checked_add(time));
    let mut processes = Processes::open(&args.receive, &args.pid)?;
    let mut codes = add(&mut processes, &args.pid)?;
    while codes.iter().any(|(_, code)| code.is_none()) {
        let ended = match processes.next(deadline)? {
            Next::Ended(ended) => ended,
            Next::Timeout => {
                let running = codes.iter().filter(|(_, code)| code.is_none());
                let running: Vec<String> = running.map(|(pid, _)| pid.to_string()).collect();
                complain(format_args!("still running at the timeout: {}", running.join(", ")));
                return Ok(TIMEOUT.into());
            }
            Next::Interrupted => {
                processes.end_by_signal();
                return Ok(ExitCode::FAILURE);
            }
        };
        match output.as_mut().map_or(Ok(()), |output| output.write(&ended)) {
            // The caller still needs the status.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => output = None,
            written => written?,
        }
        if let Some((_, code)) = codes.iter_mut().find(|(pid, _)| *pid == ended.tgid) {
            *code = Some(exit_code(&ended));
        }
    }
    let failure = codes.into_iter().filter_map(|(_, code)| code).find(|&code| code != 0);
    Ok(failure.unwrap_or(0).into())
}

/// Adds the processes, each once. Returns their ids in order, with the exit statuses of those that
/// cannot be waited for.
fn add(processes: &mut Processes, pids: &[u32]) -> Result<Vec<(u32, Option<u8>)>, Failure> {
    let mut codes: Vec<(u32, Option<u8>)> = Vec::new();
    for &pid in pids {
        if codes.iter().any(|&(known, _)| known == pid) {
            continue;
        }
        let refused = processes.add(pid)?;
        codes.push((pid, refused.as_ref().map(|_| UNKNOWN)));
        if let Some(error) = refused {
            complain(Chain(&error));
        }
    }
    Ok(codes)
}

/// The exit status for a process, as in shells.
fn exit_code(ended: &Ended) -> u8 {
    let Some(status) = ended.end.status else { return UNKNOWN };
    let of_signal = status.signal().map(|signal| signal | 0x80);
    status.code().or(of_signal).unwrap_or(UNKNOWN)
}
