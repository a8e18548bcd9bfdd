//! The names by which a process can be selected.

use proc_connector::process::Process;

/// The bytes of a name that the kernel keeps (`TASK_COMM_LEN` in `include/linux/sched.h`).
const COMM_LEN: usize = 15;

/// The number of arguments that can contain a name.
const FIRST: usize = 3;

/// Programs that run the file in their first argument, without version numbers (`python3.11`).
const INTERPRETERS: [&str; 19] = [
    "sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "python", "pypy",
    "perl", "ruby", "node", "php", "lua", "tclsh", "Rscript",
];

/// Whether `matches` accepts a name of a process: that of its first thread, that of its program (the
/// last part of its first argument), or that of the script it runs.
pub(crate) fn has_name(process: &Process, matches: impl Fn(&str) -> bool) -> bool {
    let comm = process.comm();
    let args: Vec<&[u8]> = process.args().map_or_else(Vec::new, |args| {
        let mut first: Vec<&[u8]> = args.iter().take(FIRST + 1).collect();
        if args.is_cut() && first.len() <= FIRST {
            // The last argument may be cut in the middle of a name.
            first.pop();
        }
        first.truncate(FIRST);
        first
    });
    names(comm, &args).any(|name| matches(&String::from_utf8_lossy(name)))
}

/// The names of a process whose first thread is called `comm` and whose arguments are `args`.
fn names<'a>(comm: Option<&'a [u8]>, args: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let program = args.first().map(|path| base(path));
    let whole = comm.filter(|comm| comm.len() == COMM_LEN).and_then(|comm| executed(comm, args));
    [comm, program, whole, script(args)].into_iter().flatten()
}

/// The whole name of the executed file, which starts with `comm`. For a script with a `#!` line, the
/// kernel adds the path of the script to the arguments.
fn executed<'a>(comm: &[u8], args: &[&'a [u8]]) -> Option<&'a [u8]> {
    // The interpreter and at most one argument for it precede the script.
    args.iter().take(FIRST).map(|arg| base(arg)).find(|name| name.starts_with(comm))
}

/// The script that an interpreter runs. After `#!/usr/bin/env`, only the arguments contain its name.
fn script<'a>(args: &[&'a [u8]]) -> Option<&'a [u8]> {
    let [program, script, ..] = args else { return None };
    let program = String::from_utf8_lossy(base(program));
    let program = program
        .trim_start_matches('-')
        .trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    let is_script = INTERPRETERS.contains(&program) && !script.starts_with(b"-");
    is_script.then(|| base(script))
}

/// The last part of a path.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_process_has_the_names_of_its_thread_its_program_and_its_script() {
        let cases: [(&str, &[&str], &[&str]); 9] = [
            ("make", &["/usr/bin/make", "all"], &["make", "make"]),
            ("cat", &["cat", "/etc/passwd"], &["cat", "cat"]),
            // `#!/bin/sh -e`, and a name that the kernel cuts.
            (
                "deploy-everythi",
                &["/bin/sh", "-e", "/opt/deploy-everything.sh", "deploy-everything.txt"],
                &["deploy-everythi", "sh", "deploy-everything.sh"],
            ),
            // After `#!/usr/bin/env python3.11`.
            (
                "python3.11",
                &["python3.11", "/opt/deploy-everything.py"],
                &["python3.11", "python3.11", "deploy-everything.py"],
            ),
            ("bash", &["-bash"], &["bash", "-bash"]),
            ("bash", &["bash", "-c", "x"], &["bash", "bash"]),
            // A program whose name is cut.
            (
                "systemd-journal",
                &["/lib/systemd/systemd-journald"],
                &["systemd-journal", "systemd-journald", "systemd-journald"],
            ),
            // A name that the process chose is unrelated to its arguments.
            ("fifteen letters", &["x", "fifteen", "y"], &["fifteen letters", "x"]),
            ("kworker/0:1", &[], &["kworker/0:1"]),
        ];
        for (comm, args, expected) in cases {
            let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
            let found: Vec<&[u8]> = names(Some(comm.as_bytes()), &args).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(found, expected, "{comm} {args:?}");
        }
    }
}
