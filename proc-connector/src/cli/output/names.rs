//! The names and command lines of processes, for human-readable output.

use proc_connector::process::Process;

use crate::cli::shown::{shown, word};

/// The arguments of a process, separated by spaces, with an ellipsis if they are cut; without
/// arguments its name, for a kernel thread in brackets.
pub(crate) fn command_line(process: &Process) -> Option<String> {
    let joined = |words: &[&[u8]]| shown(words.join(&b' '));
    arguments(process, joined).or_else(|| {
        let name = shown(program_name(process)?);
        Some(if process.is_kernel_thread() { format!("[{name}]") } else { name })
    })
}

/// The arguments of a process, quoted for a shell; `None` if it has none.
pub(crate) fn typed_command_line(process: &Process) -> Option<String> {
    let joined = |words: &[&[u8]]| {
        let words: Vec<String> = words.iter().map(|argument| word(argument)).collect();
        words.join(" ")
    };
    arguments(process, joined)
}

/// Joins the arguments of a process, unless all of them are blank. The name of the program replaces a
/// blank first argument.
fn arguments(process: &Process, joined: impl Fn(&[&[u8]]) -> String) -> Option<String> {
    let args = process.args()?;
    let mut words: Vec<&[u8]> = args.iter().collect();
    let has_more = args.is_cut();
    if words.iter().all(|word| shows_nothing(word)) && !has_more {
        return None;
    }
    if let (Some(first), Some(name)) = (words.first_mut(), program_name(process)) {
        if shows_nothing(first) {
            *first = name;
        }
    }
    let mut line = joined(&words);
    if has_more {
        // A space separates the ellipsis from an argument that is complete.
        let is_whole = args.bytes().last().is_none_or(|&byte| byte == 0);
        line.push_str(if is_whole { " …" } else { "…" });
    }
    Some(line)
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
