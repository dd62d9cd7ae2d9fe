//! `greenroom runs`: what ran on this machine, newest first.

use clap::Args;
use serde::Serialize;

use super::{Context, Format, FormatArgs, found};
use crate::agent::RunState;
use crate::error::{ExitCode, Result};
use crate::event::RunStatus;
use crate::id::RunId;
use crate::output::human::style::{DIM, RED, RESET};
use crate::output::summary::status_word;
use crate::store::{Record, RunDir, list_runs};

/// List runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom runs --limit 5")]
pub struct RunsArgs {
    /// How many to list
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct RunLine {
    run: RunId,
    started_at_ms: Option<i64>,
    /// `None` where the journal has no end: running, or killed.
    status: Option<RunStatus>,
    reason: Option<String>,
    repo: Option<String>,
    task: Option<String>,
    model: Option<String>,
    steps: u64,
    #[serde(skip_serializing_if = "is_zero")]
    helpers: u32,
    files_changed: Vec<String>,
    /// Why the journal cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

pub async fn run(args: RunsArgs, context: &mut Context) -> Result<ExitCode> {
    let state = context.paths()?.state;
    let runs = list_runs(&state).map_err(found)?;
    if runs.is_empty() && args.format.format() == Format::Human {
        context.printer.note("no runs yet; start one with `greenroom run --repo DIR`")?;
    }
    for run in runs.iter().rev().take(args.limit) {
        let dir = RunDir::find(&state, run.as_str()).map_err(found)?;
        let line = match dir.journal() {
            Ok(journal) => read(run, &journal.records),
            Err(error) => RunLine { damaged: Some(error.to_string()), ..read(run, &[]) },
        };
        match args.format.format() {
            Format::Json => context.printer.json(&line)?,
            Format::Human => context.printer.result(&render(&line))?,
        }
    }
    Ok(ExitCode::Success)
}

fn read(run: &RunId, records: &[Record]) -> RunLine {
    let state = RunState::replay(records.iter().map(|record| &record.event));
    // Of the fold: what was resumed or rewound after an end has none.
    let outcome = state.as_ref().and_then(|state| state.outcome.clone());
    RunLine {
        run: run.clone(),
        started_at_ms: records.first().map(|record| record.at_ms),
        status: outcome.as_ref().map(|outcome| outcome.status),
        reason: outcome.map(|outcome| outcome.reason),
        repo: state.as_ref().map(|state| state.repo.clone()),
        task: state.as_ref().and_then(|state| state.task.instruction.clone()),
        model: state.as_ref().map(|state| state.model.clone()),
        steps: state.as_ref().map_or(0, |state| state.steps),
        helpers: state.as_ref().map_or(0, |state| state.helpers.count),
        files_changed: state.map(|state| state.files_changed).unwrap_or_default(),
        damaged: None,
    }
}

fn render(line: &RunLine) -> String {
    const TASK_CHARS_MAX: usize = 60;
    let started = line.started_at_ms.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    let started = started.map_or_else(
        || "-".into(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    );
    if let Some(damaged) = &line.damaged {
        return format!("{}  {started:<16}  {RED}damaged{RESET}     {damaged}", line.run);
    }
    let (colour, status) = status_word(line.status);
    let task = line.task.as_deref().unwrap_or("make the checks pass").lines().next().unwrap_or_default();
    let task: String = task.chars().take(TASK_CHARS_MAX).collect();
    let repo = line.repo.as_deref().unwrap_or("-");
    let helpers = match line.helpers {
        0 => String::new(),
        1 => format!("  {DIM}(1 helper){RESET}"),
        count => format!("  {DIM}({count} helpers){RESET}"),
    };
    format!("{}  {started:<16}  {colour}{status:<10}{RESET}  {repo}  {DIM}{task}{RESET}{helpers}", line.run)
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
