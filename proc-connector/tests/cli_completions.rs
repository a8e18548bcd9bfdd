//! Shells complete the program's command line with the files of `cargo xtask dist`.

mod common;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use common::scratch::Scratch;
use common::{named, skip};

fn main() -> ExitCode {
    let everywhere = named![bash_completes, zsh_completes, fish_completes];
    common::main_with(&[], &everywhere, &[])
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
    let scratch = Scratch::new(&format!("completions-{shell}"));
    let written = scratch.file("dist");
    let status =
        Command::new(env!("CARGO_BIN_EXE_proc-connector")).args(["dist", &written]).status();
    assert!(status.expect("the program runs").success());
    let completions = Path::new(&written).join("completions");
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
