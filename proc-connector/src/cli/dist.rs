//! Shell completions and man pages, from the definition of the command line: `cargo xtask dist` has
//! them written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::command_line::Args;
use super::exit_status;
use super::shown::{complain, shown};

const PROGRAM: &str = "proc-connector";

/// Writes the files where this was started as `proc-connector dist FOLDER`. Not a subcommand like
/// the others: it would be in all that it writes.
pub(super) fn run_if_wanted() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(name), Some(folder), None) if name == "dist" => PathBuf::from(folder),
        _ => return None,
    };
    Some(match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let folder = shown(folder.as_os_str().as_encoded_bytes());
            complain(format_args!("cannot write to {folder}: {error}"));
            ExitCode::FAILURE
        }
    })
}

fn write(folder: &Path) -> io::Result<()> {
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for &shell in Shell::value_variants() {
        fs::write(completions.join(shell.file_name(PROGRAM)), completion(shell))?;
    }
    let man = folder.join("man");
    fs::create_dir_all(&man)?;
    for (name, page) in pages()? {
        fs::write(man.join(format!("{name}.1")), page)?;
    }
    Ok(())
}

/// What the man pages of commands that show times of day say of TZ.
const ZONE: &str = "the time zone of the times of day that are shown: a name such as America/New_York, \
                    a rule such as EST5EDT,M3.2.0,M11.1.0, or the path of a file; unset, \
                    /etc/localtime is. JSON has UTC, whatever it is";

/// Where the script for bash takes the word before the one to complete.
const PREVIOUS: &str = "    prev=\"$3\"\n";

/// What is behind that: readline makes a word of the `=` in `--transport=ring`.
const BEFORE_EQUALS: &str = r#"    if [[ "${prev}" == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
"#;

/// The script that completes the program's arguments in a shell.
fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        // Where a program's name has a hyphen, clap_complete writes it in one way where it notes the
        // subcommand and in another where it looks for that.
        Shell::Bash => script.replace("proc__subcmd__connector", "proc__connector").replacen(
            PREVIOUS,
            &format!("{PREVIOUS}{BEFORE_EQUALS}"),
            1,
        ),
        // Its condition for the words behind `help` is that none of them was typed yet, and `help`
        // is one of them.
        Shell::Fish => {
            let behind_help = "using_subcommand help; and not __fish_seen_subcommand_from ";
            let mended = |line: &str| match line.split_once(behind_help) {
                Some(_) => line.replacen(" help\"", "\"", 1),
                None => line.to_owned(),
            };
            script.split_inclusive('\n').map(mended).collect()
        }
        _ => script.into_owned(),
    }
}

/// A man page for the program and one for each subcommand, by name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<&Command> =
        std::iter::once(&program).chain(program.get_subcommands()).collect();
    let page = |(place, &command): (usize, &&Command)| {
        let others: Vec<&str> = match place {
            // The program's page lists the others anyway.
            0 => Vec::new(),
            _ => {
                commands.iter().map(|&other| name(other)).filter(|&n| n != name(command)).collect()
            }
        };
        Ok((name(command).to_owned(), page(command, &others)?))
    };
    commands.iter().enumerate().map(page).collect()
}

/// What the page of a command is called: `proc-connector-watch`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, others: &[&str]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("proc-connector ", env!("CARGO_PKG_VERSION"));
    // The meanings of its exit status have a section of their own.
    let described = command.clone().after_help(Resettable::Reset);
    Man::new(described).source(source).render(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in exit_status::of(command.get_name()) {
        rest.control("TP", []).text([bold(*status)]).text([roman(*meaning)]);
    }
    if matches!(command.get_name(), "watch" | "replay" | "stats") {
        rest.control("SH", ["ENVIRONMENT"]);
        rest.control("TP", []).text([bold("TZ")]).text([roman(ZONE)]);
    }
    if !others.is_empty() {
        rest.control("SH", ["SEE ALSO"]);
        for (place, other) in others.iter().enumerate() {
            let end = if place + 1 < others.len() { "(1)," } else { "(1)" };
            rest.text([bold(*other), roman(end)]);
        }
    }
    page.write_all(rest.render().as_bytes())?;
    Ok(page)
}
