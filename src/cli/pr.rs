//! `greenroom pr RUN`: a patch that `git am` takes and the text of a pull request. What the agent and the tools wrote
//! stands in fences, so that it mentions nobody and closes nothing.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Context, Past};
use crate::error::{Error, ExitCode, Result};
use crate::event::RunStatus;
use crate::output::markdown::{fenced, harmless};
use crate::output::report::verdict_name;
use crate::snapshot::TreePath;
use crate::snapshot::apply::runs_by_itself;
use crate::task::CheckResult;

/// Write a run's patch for `git am` and the text of a pull request
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom pr last > body.md
  greenroom pr last --patch | git am
  greenroom pr last -o out")]
pub struct PrArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Print the patch with its commit message instead of the text
    #[arg(long)]
    patch: bool,
    /// Write both into this folder: `0001.patch` and `pull-request.md`
    #[arg(short, long, value_name = "DIR", conflicts_with = "patch")]
    output: Option<PathBuf>,
}

const TAIL_BYTES_MAX: usize = 2_000;
const SUMMARY_BYTES_MAX: usize = 8_000;
const FACTS_MAX: usize = 12;
const TITLE_CHARS_MAX: usize = 70;

pub async fn run(args: PrArgs, context: &mut Context) -> Result<ExitCode> {
    let past = Past::find(context, &args.run)?;
    let diff = past.patch()?.filter(|patch| !patch.is_empty()).ok_or_else(|| {
        Error::usage(format!("run {} changed nothing", past.state.run)).hint("`greenroom show` tells why")
    })?;
    let patch = mail(&past, &diff);
    let text = pull_request(&past);
    match &args.output {
        Some(folder) => {
            let failed = |error| Error::usage(format!("cannot write into `{}`", folder.display())).because(error);
            std::fs::create_dir_all(folder).map_err(failed)?;
            std::fs::write(folder.join("0001.patch"), &patch).map_err(failed)?;
            std::fs::write(folder.join("pull-request.md"), &text).map_err(failed)?;
            context.printer.note(&format!("wrote 0001.patch and pull-request.md into {}", folder.display()))?;
        }
        None if args.patch => context.printer.verbatim(&patch)?,
        None => context.printer.verbatim(text.as_bytes())?,
    }
    Ok(ExitCode::Success)
}

/// As `git format-patch` writes it. The message holds the operator's words and our own, nothing of the agent's.
fn mail(past: &Past, diff: &[u8]) -> Vec<u8> {
    let at = past.records.last().map_or(0, |record| record.at_ms);
    let date = jiff::Timestamp::from_millisecond(at).map(|at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
    let result = past.result();
    let mut text = format!("From {} Mon Sep 17 00:00:00 2001\nFrom: Greenroom <greenroom@localhost>\n", "0".repeat(40));
    let _ = writeln!(text, "Date: {}\nSubject: [PATCH] {}\n", date.unwrap_or_default(), title(past));
    let _ = writeln!(text, "{}\n", verdict(result.status));
    let _ = writeln!(text, "Greenroom-Run: {}\n---\n", past.state.run);
    let mut mail = text.into_bytes();
    mail.extend_from_slice(diff);
    if !diff.ends_with(b"\n") {
        mail.push(b'\n');
    }
    mail.extend_from_slice(format!("-- \ngreenroom {}\n\n", env!("CARGO_PKG_VERSION")).as_bytes());
    mail
}

fn title(past: &Past) -> String {
    let words = past.state.task.instruction.as_deref().unwrap_or("Make the checks pass");
    let line = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("Make the checks pass");
    harmless(line).chars().take(TITLE_CHARS_MAX).collect::<String>().trim_end().to_owned()
}

fn verdict(status: Option<RunStatus>) -> &'static str {
    match status {
        Some(RunStatus::Verified) => "The checks pass in a clean container on the original tree plus this patch.",
        Some(RunStatus::Unverified) => "Not verified: the checks do not pass in a clean container.",
        Some(RunStatus::Answered) => "Not verified: this is the work of a helper of another run.",
        Some(RunStatus::Infeasible | RunStatus::Limit | RunStatus::Parked | RunStatus::Failed) | None => {
            "Not verified: the run ended before its work was done."
        }
    }
}

fn pull_request(past: &Past) -> String {
    let (state, result) = (&past.state, past.result());
    let mut text = format!("# {}\n\n{}\n\n## What\n\n", title(past), verdict(result.status));
    text.push_str(&fenced(&state.files_changed.join("\n")));
    text.push_str("\n## Why\n\n");
    match state.summary.as_deref().map(str::trim).filter(|summary| !summary.is_empty()) {
        Some(summary) => {
            text.push_str("In the agent's own words:\n\n");
            text.push_str(&fenced(&summary[..summary.floor_char_boundary(SUMMARY_BYTES_MAX)]));
        }
        None => text.push_str("The agent gave no reasons.\n"),
    }
    text.push_str("\n## Evidence\n\n");
    evidence(&mut text, "Before, in the sandbox", state.baseline.as_deref());
    evidence(&mut text, "After, in a clean container", state.verification.as_deref());
    if let Some(score) = &state.score {
        text.push_str("Quality score:\n\n");
        text.push_str(&fenced(&crate::feedback::score::render(score, None)));
    }
    text.push_str("\n## Risks\n\n");
    text.push_str(&risks(past, result.status));
    let _ =
        writeln!(text, "\nMade by Greenroom run {} with {}, {} steps.", state.run, harmless(&state.model), state.steps);
    text
}

fn evidence(text: &mut String, name: &str, checks: Option<&[CheckResult]>) {
    let Some(checks) = checks else {
        let _ = writeln!(text, "{name}: not run.\n");
        return;
    };
    let _ = writeln!(text, "{name}:\n");
    for check in checks {
        let start = check.tail.ceil_char_boundary(check.tail.len().saturating_sub(TAIL_BYTES_MAX));
        let said = format!(
            "$ {}\n{}\n{}: {}",
            check.check.command,
            check.tail[start..].trim_end(),
            check.outcome,
            verdict_name(check.verdict())
        );
        text.push_str(&fenced(&said));
        text.push('\n');
    }
}

fn risks(past: &Past, status: Option<RunStatus>) -> String {
    let state = &past.state;
    let mut risks: Vec<String> = Vec::new();
    if status != Some(RunStatus::Verified) {
        risks.push("The work is not verified.".into());
    }
    let own = |path: &&String| TreePath::new(path.as_bytes()).is_some_and(|path| runs_by_itself(&path));
    let files: Vec<&str> = state.files_changed.iter().filter(own).map(String::as_str).collect();
    if !files.is_empty() {
        risks.push(format!("Files that a machine runs by itself:\n\n{}", fenced(&files.join("\n"))));
    }
    let packages = state.installs.iter().flat_map(|(_, packages)| packages);
    let packages: Vec<String> = packages.map(|package| format!("{} {}", package.name, package.version)).collect();
    if !packages.is_empty() {
        risks.push(format!("Packages that were installed on the way:\n\n{}", fenced(&packages.join("\n"))));
    }
    if !state.weaker.is_empty() {
        risks.push(format!("The sandbox went without {}.", harmless(&state.weaker.join(", "))));
    }
    let facts = state.score.iter().flat_map(|score| &score.parts).flat_map(|part| &part.facts).take(FACTS_MAX);
    let facts: Vec<String> = facts
        .map(|fact| match (&fact.file, fact.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", fact.text),
            (Some(file), None) => format!("{file}: {}", fact.text),
            (None, _) => fact.text.clone(),
        })
        .collect();
    if !facts.is_empty() {
        risks.push(format!("What the score points at:\n\n{}", fenced(&facts.join("\n"))));
    }
    risks.push("The tests ran in one process with the code they test: they can be wrong together.".into());
    risks.iter().map(|risk| format!("- {}\n", risk.trim_end().replace('\n', "\n  "))).collect()
}
