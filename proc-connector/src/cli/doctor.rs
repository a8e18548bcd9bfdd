//! `doctor`: whether this machine lets one listen, and what to do if not.

use std::io::{self, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use proc_connector::{Verdict, diagnose};

use super::{Failure, standard};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the findings, and says whether listening works.
pub(super) fn run(args: &Args) -> Result<bool, Failure> {
    let diagnosis = diagnose();
    let mut output = AutoStream::auto(standard::output()?);
    if args.json {
        serde_json::to_writer(&mut output, &diagnosis).map_err(io::Error::from)?;
        writeln!(output)?;
    } else {
        for finding in &diagnosis.findings {
            let style = style(finding.verdict);
            let (check, verdict, fact) = (finding.check, finding.verdict, &finding.fact);
            writeln!(output, "{style}{verdict:<8}{style:#} {check:<15} {fact}")?;
            if let Some(remedy) = &finding.remedy {
                writeln!(output, "{:<24} {remedy}", "")?;
            }
        }
    }
    output.flush()?;
    Ok(diagnosis.verdict() < Verdict::Fails)
}

fn style(verdict: Verdict) -> Style {
    let color = match verdict {
        Verdict::Ok => AnsiColor::Green,
        Verdict::Limited => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    Style::new().fg_color(Some(color.into()))
}
