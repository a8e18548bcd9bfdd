//! The names and command lines of processes, for human-readable output.

use proc_connector::process::Process;

use crate::cli::shown::{show, show_plain_strings, word};

/// The name of a process, padded with zeros.
pub(crate) type Comm = [u8; 16];

/// The name of a process, as a key.
pub(crate) fn comm(process: &Process) -> Option<Comm> {
    let comm = process.comm()?;
    let mut name = Comm::default();
    let len = comm.len().min(name.len());
    name[..len].copy_from_slice(&comm[..len]);
    Some(name)
}

/// Appends the arguments of a process to a line, separated by spaces, with an ellipsis if they are cut;
/// without arguments its name, for a kernel thread in brackets.
pub(crate) fn write_command_line(process: &Process, line: &mut String) {
    if write_plain_arguments(process, line) || write_arguments(process, line, show) {
        return;
    }
    let Some(name) = program_name(process) else { return };
    if process.is_kernel_thread() {
        line.push('[');
        show(name, line);
        line.push(']');
    } else {
        show(name, line);
    }
}

/// Appends the arguments of a process in one step, if all of them stand for themselves, like most.
/// Returns whether it did.
fn write_plain_arguments(process: &Process, line: &mut String) -> bool {
    let Some(args) = process.args().filter(|args| !args.is_cut()) else { return false };
    let has_name = args.iter().next().is_some_and(|name| !shows_nothing(name));
    has_name && show_plain_strings(args.bytes(), line)
}

/// The arguments of a process, quoted for a shell; `None` if it has none.
pub(crate) fn typed_command_line(process: &Process) -> Option<String> {
    let mut line = String::new();
    write_arguments(process, &mut line, |argument, line| line.push_str(&word(argument)))
        .then_some(line)
}

/// Appends the arguments of a process, unless all of them are blank. Returns whether it did. The name
/// of the program replaces a blank first argument.
fn write_arguments(
    process: &Process,
    line: &mut String,
    write: impl Fn(&[u8], &mut String),
) -> bool {
    let Some(args) = process.args() else { return false };
    if !args.is_cut() && args.iter().all(shows_nothing) {
        return false;
    }
    for (index, argument) in args.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        let name = if index == 0 && shows_nothing(argument) { program_name(process) } else { None };
        write(name.unwrap_or(argument), line);
    }
    if args.is_cut() {
        // A space separates the ellipsis from an argument that is complete.
        let is_whole = args.bytes().last().is_none_or(|&byte| byte == 0);
        line.push_str(if is_whole { " …" } else { "…" });
    }
    true
}

/// The name of a process; if that is blank, the name of its executable.
pub(crate) fn program_name(process: &Process) -> Option<&[u8]> {
    let file = || Some(process.exe()?.file_name()?.as_encoded_bytes());
    process.comm().filter(|name| !shows_nothing(name)).or_else(file)
}

/// Whether text is empty or only spaces.
fn shows_nothing(word: &[u8]) -> bool {
    word.iter().all(|&byte| byte == b' ')
}

/// The first argument of a process, unless it is cut.
pub(crate) fn first_argument(process: &Process) -> Option<&[u8]> {
    let args = process.args()?;
    let is_whole = !args.is_cut() || args.bytes().contains(&0);
    args.iter().next().filter(|_| is_whole)
}
