//! Generates shell completions and man pages from the definition of the command line. The test
//! `cli_dist` includes this file to write and test them. `cargo xtask dist` runs that test and keeps
//! the files.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::builder::Resettable;
use clap::{Command, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{definition, exit_statuses};

const PROGRAM: &str = "proc-connector";

/// Writes the files to `completions` and `man` in a directory, which it creates.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for &shell in Shell::value_variants() {
        fs::write(completions.join(shell.file_name(PROGRAM)), completion(shell))?;
    }
    let man = directory.join("man");
    fs::create_dir_all(&man)?;
    for (name, page) in pages()? {
        fs::write(man.join(format!("{name}.1")), page)?;
    }
    Ok(())
}

/// The description of TZ in the man pages of commands that show times of day.
const ZONE: &str = "The time zone of the times of day in the output: a name such as America/New_York, \
                    a rule such as EST5EDT,M3.2.0,M11.1.0, or the path of a file. If TZ is unset, \
                    /etc/localtime applies. JSON output is always in UTC.";

/// The line of the bash script that sets the previous word.
const PREVIOUS: &str = "    prev=\"$3\"\n";

/// Added after that line: readline treats the `=` in `--transport=ring` as a word.
const BEFORE_EQUALS: &str = r#"    if [[ "${prev}" == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
"#;

/// The script that completes the program's arguments in a shell.
fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        // Recording and looking up a subcommand, clap_complete escapes the hyphen in the program's name
        // differently.
        Shell::Bash => script.replace("proc__subcmd__connector", "proc__connector").replacen(
            PREVIOUS,
            &format!("{PREVIOUS}{BEFORE_EQUALS}"),
            1,
        ),
        // After `help`, clap_complete offers commands until one is typed, but counts `help` as one.
        Shell::Fish => {
            let after_help = "using_subcommand help; and not __fish_seen_subcommand_from ";
            let corrected = |line: &str| match line.split_once(after_help) {
                Some(_) => line.replacen(" help\"", "\"", 1),
                None => line.to_owned(),
            };
            script.split_inclusive('\n').map(corrected).collect()
        }
        _ => script.into_owned(),
    }
}

/// A command and all of its subcommands.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_subcommands);
    std::iter::once(command).chain(below).collect()
}

/// A man page for the program and one for each subcommand, by name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = definition().disable_help_subcommand(true);
    program.build();
    let commands = with_subcommands(&program);
    let names: Vec<&str> = commands.iter().map(|&command| name(command)).collect();
    let page = |(&command, &own): (&&Command, &&str)| {
        let mut others = names.clone();
        others.retain(|&other| other != own);
        if own == PROGRAM {
            // This page lists all commands already.
            others.clear();
        }
        Ok((own.to_owned(), page(command, &others)?))
    };
    commands.iter().zip(&names).map(page).collect()
}

/// The name of a command's page, such as `proc-connector-watch`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, others: &[&str]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("proc-connector ", env!("CARGO_PKG_VERSION"));
    // The exit statuses have their own section.
    let described = command.clone().after_help(Resettable::Reset);
    Man::new(described).source(source).render(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in exit_statuses(command.get_name()) {
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
