//! The compared listeners, and how each reports the life of a process.

use std::path::Path;

/// A listener: one program, or two that complement each other.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: &'static str,
    pub(crate) commands: Vec<Vec<String>>,
    /// Whether a line of the first program's output reports a whole life. For a listener of ends
    /// this is the end, together with the program.
    pub(crate) is_life: fn(&str) -> bool,
}

/// The file name of the program that the loop starts, unlike that of any other process.
pub(crate) const NAME: &str = "lives-true";

/// In an argument, stands for the process id of the loop.
pub(crate) const LOOP_PID: &str = "LOOP_PID";

/// All listeners; `program` is this crate's.
pub(crate) fn all(program: &Path) -> Vec<Listener> {
    let program = program.to_string_lossy();
    let ours = |name, arguments: &str, is_life| Listener {
        name,
        commands: vec![words(&format!("{program} watch {arguments}"))],
        is_life,
    };
    let peer = |name, commands: &[&str], is_life| Listener {
        name,
        commands: commands.iter().map(|command| words(command)).collect(),
        is_life,
    };
    vec![
        ours("watch", "--transport ring", is_line_of_watch),
        ours("watch --json --who", "--json --who --transport ring", is_object),
        ours("watch, socket", "--transport socket", is_line_of_watch),
        ours("watch --json --who, socket", "--json --who --transport socket", is_object),
        peer("forkstat", &["forkstat"], |line| names(line) && line.contains(" exit ")),
        // Without `-t`, extrace prints no ends.
        peer("extrace", &["extrace -t"], |line| names(line) && line.contains(" time=")),
        peer("execsnoop and exitsnoop", &["exitsnoop", "execsnoop"], names),
        // Its lines of ends have no name, but it follows only the loop.
        peer("strace", &[&format!("strace -f -e trace=execve -p {LOOP_PID} -o /dev/stdout")], {
            |line| line.contains("+++ exited")
        }),
    ]
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

fn names(line: &str) -> bool {
    line.contains(NAME)
}

fn is_line_of_watch(line: &str) -> bool {
    names(line) && line.split_whitespace().nth(1) == Some("exit")
}

fn is_object(line: &str) -> bool {
    names(line) && line.contains(r#""event":"exit""#)
}
