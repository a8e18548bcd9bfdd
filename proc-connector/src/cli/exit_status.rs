//! The exit statuses of each command, for its help and its man page.

use std::fmt::Write;

/// A status and its meaning.
pub(crate) type Meaning = (&'static str, &'static str);

const USAGE: Meaning = ("2", "invalid command line");

/// For the commands that listen, and for the program as a whole.
pub(super) const LISTENING: &[Meaning] = &[
    ("0", "success, including an end by Ctrl-C or a closed pipe"),
    ("1", "failure; standard error states the reason and the remedy"),
    USAGE,
];

pub(super) const REPLAY: &[Meaning] = &[
    ("0", "the recording was read to its end, or up to --count"),
    ("1", "the recording cannot be read or is damaged; events before the damage are shown"),
    USAGE,
];

pub(super) const DOCTOR: &[Meaning] = &[
    ("0", "listening works on this machine, possibly with limits"),
    ("1", "listening does not work; the output states the reason and the remedy"),
    USAGE,
];

pub(super) const TRACE: &[Meaning] = &[
    ("*", "the exit status of the command"),
    ("128+n", "the command was killed by signal n"),
    ("127", "the command was not found"),
    ("126", "the command cannot be executed"),
    ("1", "the command could not be traced, or a file could not be written"),
    USAGE,
];

pub(super) const WAIT: &[Meaning] = &[
    ("*", "the exit status of the process; of several, that of the first in the list that failed"),
    ("128+n", "the process was killed by signal n"),
    ("127", "no process to wait for has the id, or the status of the process is unknown"),
    ("124", "a process is still running at the timeout"),
    ("1", "waiting failed; standard error states the reason and the remedy"),
    USAGE,
];

/// The section below a command's help.
pub(super) fn help(meanings: &[Meaning]) -> String {
    let mut text = "Exit status:".to_owned();
    for (status, meaning) in meanings {
        let _ = write!(text, "\n  {status:<5}  {meaning}");
    }
    text
}

/// The statuses of a command, by its name.
#[cfg(test)]
#[allow(dead_code, reason = "the test `cli_dist` writes man pages with it")]
pub(crate) fn meanings(command: &str) -> &'static [Meaning] {
    match command {
        "trace" => TRACE,
        "wait" => WAIT,
        "replay" => REPLAY,
        "doctor" => DOCTOR,
        _ => LISTENING,
    }
}
