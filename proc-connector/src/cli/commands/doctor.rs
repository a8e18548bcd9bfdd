//! `doctor`: checks whether listening works on this machine, and suggests fixes.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use proc_connector::{Verdict, diagnose};
use unicode_width::UnicodeWidthStr;

use crate::cli::failure::Failure;
use crate::cli::output::page::Page;
use crate::cli::shown::json;
use crate::cli::standard;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the findings, and returns whether listening works.
pub(crate) fn run(args: &Args) -> Result<bool, Failure> {
    let diagnosis = diagnose();
    if args.json {
        let mut output = standard::output()?;
        json::line(&mut output, &diagnosis)?;
        output.flush()?;
    } else {
        let mut output = standard::text_output()?;
        let width = Page::stdout(false).width().map(|width| width.saturating_sub(INDENT));
        for finding in &diagnosis.findings {
            let style = style(finding.verdict);
            let (check, verdict) = (finding.check, finding.verdict);
            let mut fact = wrapped(&finding.fact, width);
            let first = fact.next().unwrap_or_default();
            output.line(format_args!("{style}{verdict:<8}{style:#} {check:<15} {first}"))?;
            let remedy = finding.remedy.as_deref().unwrap_or_default();
            for line in fact.chain(wrapped(remedy, width)) {
                output.line(format_args!("{:INDENT$}{line}", ""))?;
            }
        }
        output.flush()?;
    }
    Ok(diagnosis.verdict() < Verdict::Fails)
}

/// The columns before a fact.
const INDENT: usize = 25;

/// The lines of a text, broken between words to fit a width.
fn wrapped(text: &str, width: Option<usize>) -> impl Iterator<Item = String> {
    let width = width.map_or(usize::MAX, |width| width.max(INDENT));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => AnsiColor::Green,
        Verdict::Limited => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    }
    .on_default()
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_facts_are_broken_between_words() {
        let text = "one two three four five six seven";
        let lines = |width| wrapped(text, width).collect::<Vec<_>>();
        assert_eq!(lines(None), [text]);
        assert_eq!(lines(Some(28)), ["one two three four five six", "seven"]);
        // A narrow terminal breaks the lines itself.
        assert_eq!(lines(Some(0)), ["one two three four five", "six seven"]);
        assert!(wrapped("", None).next().is_none());
    }
}
