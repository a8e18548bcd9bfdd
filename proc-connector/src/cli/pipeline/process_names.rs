//! By which names a process can be chosen.

use proc_connector::process::Process;

/// As many bytes of a name as the kernel keeps (`TASK_COMM_LEN` in `include/linux/sched.h`).
const COMM_LEN: usize = 15;

/// Programs that run the file that is their first argument, without versions: `python3.11` is one.
const INTERPRETERS: [&str; 19] = [
    "sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "fish", "csh", "tcsh", "python", "pypy",
    "perl", "ruby", "node", "php", "lua", "tclsh", "Rscript",
];

/// Whether one of the names of a process is as wanted: that of its first thread, of its program (the
/// last part of its first argument), or of the script it runs.
pub(crate) fn has_name(process: &Process, is_wanted: impl Fn(&str) -> bool) -> bool {
    let comm = process.comm();
    let args: Vec<&[u8]> = process.args().map_or_else(Vec::new, |args| {
        let mut all: Vec<&[u8]> = args.iter().collect();
        if args.is_cut() {
            // Of the last one only the beginning may be known, which is no name.
            all.pop();
        }
        all
    });
    names(comm, &args).any(|name| is_wanted(&String::from_utf8_lossy(name)))
}

/// The names of a process whose first thread is called `comm` and whose arguments are `args`.
fn names<'a>(comm: Option<&'a [u8]>, args: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let program = args.first().map(|path| base(path));
    let whole = comm.filter(|comm| comm.len() == COMM_LEN).and_then(|comm| executed(comm, args));
    [comm, program, whole, script(args)].into_iter().flatten()
}

/// The whole name of the executed file, of which the kernel keeps the beginning: for a script that
/// names its interpreter (`#!`), the kernel puts its path among the arguments.
fn executed<'a>(comm: &[u8], args: &[&'a [u8]]) -> Option<&'a [u8]> {
    // Before the script are the interpreter and at most one argument for it.
    args.iter().take(3).map(|arg| base(arg)).find(|name| name.starts_with(comm))
}

/// The script that an interpreter was started with. After `#!/usr/bin/env` only this shows its name.
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
    fn a_process_is_called_as_its_thread_its_program_and_its_script() {
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
            // A name that it gave itself has nothing to do with its arguments.
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
