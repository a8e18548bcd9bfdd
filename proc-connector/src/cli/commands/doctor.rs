//! `doctor`: checks whether listening works on this machine, and suggests fixes.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use proc_connector::{Verdict, diagnose};

use crate::cli::failure::Failure;
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
        for finding in &diagnosis.findings {
            let style = style(finding.verdict);
            let (check, verdict, fact) = (finding.check, finding.verdict, &finding.fact);
            output.line(format_args!("{style}{verdict:<8}{style:#} {check:<15} {fact}"))?;
            if let Some(remedy) = &finding.remedy {
                output.line(format_args!("{:<24} {remedy}", ""))?;
            }
        }
        output.flush()?;
    }
    Ok(diagnosis.verdict() < Verdict::Fails)
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => AnsiColor::Green,
        Verdict::Limited => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    }
    .on_default()
}
