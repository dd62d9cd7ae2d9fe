//! `greenroom report RUN`: a run as one HTML file to read and to pass on, or as JUnit or SARIF for other programs.

use std::path::PathBuf;

use clap::Args;
use greenroom_parsers::Report;

use super::{Context, Past};
use crate::agent::history::branch;
use crate::error::{Error, ExitCode, Result};
use crate::output::Channel;
use crate::output::html::{self, Data};

/// Write a run as one HTML file: what was done, what the checks said, the score, the diff, the evidence
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom report last -o report.html
  greenroom report last --junit > junit.xml
  greenroom report last --sarif > findings.sarif")]
pub struct ReportArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Where to write it; stdout where it is left out and no terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The last check results as JUnit XML
    #[arg(long, conflicts_with = "sarif")]
    junit: bool,
    /// The last findings as SARIF 2.1.0
    #[arg(long)]
    sarif: bool,
}

pub async fn run(args: ReportArgs, context: &mut Context) -> Result<ExitCode> {
    let past = Past::find(context, &args.run)?;
    let text = if args.junit {
        greenroom_parsers::to_junit(&last_report(&past))
    } else if args.sarif {
        let sarif = greenroom_parsers::to_sarif(&last_report(&past));
        serde_json::to_string_pretty(&sarif).map_err(|error| Error::internal("cannot write SARIF").because(error))?
            + "\n"
    } else {
        let patch = past.patch()?.unwrap_or_default();
        let events = branch(past.records.iter().map(|record| &record.event));
        html::page(&Data::of(&past.state, &past.result(), events.into_iter(), &patch))?
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, &text).map_err(|error| {
                Error::usage(format!("cannot write `{}`", path.display()))
                    .because(error)
                    .hint("name another file with `-o`")
            })?;
            context.printer.note(&format!("wrote {} ({} KiB)", path.display(), text.len().div_ceil(1024)))?;
        }
        None if context.printer.surface().is_terminal(Channel::Out) && !args.junit && !args.sarif => {
            return Err(
                Error::usage("a page is not for a terminal").hint("name a file: `greenroom report RUN -o report.html`")
            );
        }
        None => context.printer.verbatim(text.as_bytes())?,
    }
    Ok(ExitCode::Success)
}

/// All that the newest check run found, in one report.
fn last_report(past: &Past) -> Report {
    let state = &past.state;
    let checks = state.verification.as_ref().or(state.last_checks.as_ref());
    let mut checks = checks.into_iter().flatten();
    let Some(first) = checks.next() else { return Report::default() };
    let mut report = first.report.clone();
    for check in checks {
        report.tools.extend(check.report.tools.iter().cloned());
        report.diagnostics.extend(check.report.diagnostics.iter().cloned());
        report.tests.extend(check.report.tests.iter().cloned());
        report.traces.extend(check.report.traces.iter().cloned());
        for (sum, more) in [
            (&mut report.summary.passed, check.report.summary.passed),
            (&mut report.summary.failed, check.report.summary.failed),
            (&mut report.summary.errors, check.report.summary.errors),
            (&mut report.summary.skipped, check.report.summary.skipped),
        ] {
            *sum += more;
        }
    }
    report
}
