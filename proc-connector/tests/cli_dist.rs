//! The packaged files: bash, zsh and fish complete the command line, and the man pages agree with
//! the help. With `PROC_CONNECTOR_DIST`, the files stay in that directory.

#[path = "../src/cli/mod.rs"]
#[allow(unused, unreachable_pub, reason = "only the definition of the command line is used")]
mod cli;
mod common;
#[path = "../packaging/dist.rs"]
mod dist;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use common::program::{run, text};
use common::scratch::Scratch;
use common::{named, skip};

fn main() -> ExitCode {
    let everywhere = named![
        bash_completes,
        zsh_completes,
        fish_completes,
        help_and_man_pages_document_the_same_statuses,
    ];
    // Removed at the end.
    let scratch = Scratch::new("dist");
    let kept = env::var_os("PROC_CONNECTOR_DIST").map(PathBuf::from);
    let directory = DIRECTORY.get_or_init(|| kept.unwrap_or_else(|| scratch.file("files").into()));
    assert!(directory.is_absolute(), "PROC_CONNECTOR_DIST has to be an absolute path");
    common::main_with(&[], &everywhere, &[])
}

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the files, which the first test to call this writes.
fn written() -> &'static Path {
    static WRITTEN: OnceLock<&Path> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let directory = DIRECTORY.get().expect("main has set it");
        dist::write(directory).expect("the files can be written");
        directory
    })
}

/// The text typed before the completion key, and the expected completion of the last word. Each
/// prefix is unique.
const LINES: [(&str, &str); 11] = [
    ("proc-connector wat", "watch"),
    ("proc-connector watch --trans", "--transport"),
    ("proc-connector watch --transport ri", "ring"),
    ("proc-connector watch --transport=ri", "ring"),
    ("proc-connector watch --json --events core", "coredump"),
    ("proc-connector record --anon", "--anonymous"),
    ("proc-connector replay --de", "--demo"),
    ("proc-connector trace --qui", "--quiet"),
    ("proc-connector stats --inter", "--interval"),
    ("proc-connector doctor --js", "--json"),
    ("proc-connector help doc", "doctor"),
];

/// Calls the function registered for the program as readline does, which treats `=` as a word.
const BASH: &str = r#"
source "$1/proc-connector.bash"
registered=$(complete -p proc-connector)
function=${registered#*-F }
read -ra COMP_WORDS <<<"${2//=/ = }"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"${function%% *}" proc-connector "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Types into a pseudo-terminal, since completion requires the line editor. A second key prints the
/// line.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
zpty -w shell 'fpath=('${(q)1}' $fpath); autoload -Uz compinit; compinit -D -u'
zpty -w shell 'shown() { print -r -- "[shown:$BUFFER]"; BUFFER= }; zle -N shown; bindkey "^X" shown'
zpty -w shell 'bindkey "^I" complete-word; print ready-to-"complete"'
zpty -r shell line '*ready-to-complete*'
zpty -w -n shell "$2"$'\t\x18'
zpty -r shell line '*\[shown:*\]*'
line=${line##*\[shown:}
print -r -- ${${(z)${line%%\]*}}[-1]}
"#;

const FISH: &str = r#"
source "$argv[1]/proc-connector.fish"
complete --do-complete "$argv[2]"
"#;

fn bash_completes() {
    completes("bash", &["--norc", "-c", BASH, "bash"]);
}

fn zsh_completes() {
    completes("zsh", &["-f", "-c", ZSH, "zsh"]);
}

fn fish_completes() {
    completes("fish", &["--no-config", "-c", FISH]);
}

/// Completes all lines in a shell.
fn completes(shell: &str, arguments: &[&str]) {
    let required = std::env::var_os("PROC_CONNECTOR_REQUIRE_SHELLS").is_some_and(|set| set == "1");
    let is_installed = Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !is_installed && !required {
        skip(&format!("needs {shell}"));
    }
    let completions = written().join("completions");
    for (line, word) in LINES {
        let output = Command::new(shell)
            .args(arguments)
            .arg(&completions)
            .arg(line)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{shell}: {error}"));
        let printed = String::from_utf8_lossy(&output.stdout);
        // Fish prints a description of each word after a tab. zsh continues with the value of an
        // option. Both print a value together with its option.
        let words = printed.lines().filter_map(|line| line.split(['\t', '\r']).next());
        let words = words.filter_map(|word| word.trim_end_matches('=').rsplit('=').next());
        let words: Vec<&str> = words.collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(words, [word], "{shell}, {line}: {errors}");
    }
}

/// The documented statuses, and the commands that document them.
const DOCUMENTED: &[(&str, &[&str])] = &[
    ("watch", &["0", "1", "2"]),
    ("record", &["0", "1", "2"]),
    ("replay", &["0", "1", "2"]),
    ("trace", &["*", "128+n", "127", "126", "1", "2"]),
    ("stats", &["0", "1", "2"]),
    ("doctor", &["0", "1", "2"]),
    #[cfg(feature = "otlp")]
    ("export otlp", &["0", "1", "2"]),
    #[cfg(feature = "prometheus")]
    ("export prometheus", &["0", "1", "2"]),
];

fn help_and_man_pages_document_the_same_statuses() {
    for &(command, statuses) in DOCUMENTED {
        let words: Vec<&str> = command.split(' ').collect();
        for option in ["-h", "--help"] {
            let output = run(&[&*words, &[option]].concat());
            assert_eq!(output.status.code(), Some(0));
            let help = text(&output.stdout).split_once("Exit status:\n").expect("statuses").1;
            let documented: Vec<&str> =
                help.lines().filter_map(|line| line.split_whitespace().next()).collect();
            assert_eq!(documented, statuses, "{command}");
        }
        let page =
            fs::read_to_string(written().join(format!("man/proc-connector-{}.1", words.join("-"))));
        let page = page.expect("a man page");
        let (before, section) = page.split_once("\n.SH \"EXIT STATUS\"\n").expect("a section");
        assert!(!before.contains("Exit status"), "{command} documents its statuses twice");
        let section = section.split("\n.SH").next().unwrap_or_default();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("\\fB")?.strip_suffix("\\fR"))
            .collect();
        assert_eq!(documented, statuses, "{command}");
    }
}
