//! `greenroom fork RUN --at STEP`: a second run from the same point, with a journal of its own that names its parent.

use clap::Args;

use super::rewind::step_of;
use super::{Context, Format, FormatArgs, found};
use crate::agent::history;
use crate::error::{ExitCode, Result};
use crate::event::{Event, Parent};
use crate::id::RunId;
use crate::output::human::style::{DIM, RESET};
use crate::store::{RunDir, RunStore};

/// Begin a second run from a step of this one
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  greenroom fork last --at 12      prints the new run's id
  greenroom resume last

The first run is not touched. What the second has of its budgets is what the first had left at that step.")]
pub struct ForkArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The step to branch off after, as `show` counts them; 0 is before the first
    #[arg(long, value_name = "STEP")]
    at: u64,
    #[command(flatten)]
    format: FormatArgs,
}

pub async fn run(args: ForkArgs, context: &mut Context) -> Result<ExitCode> {
    let state_folder = context.paths()?.state;
    let dir = RunDir::find(&state_folder, &args.run).map_err(found)?;
    let journal = dir.journal().map_err(found)?;
    let parent = step_of(&args.run, &journal.records, args.at)?;
    let branch = history::branch(journal.records.iter().map(|record| &record.event));
    let end = history::end_of_step(&branch, args.at).expect("the step was found before");
    let run = RunId::generate();
    let named = Parent { run: parent.run.clone(), step: args.at, head: journal.head().to_owned() };
    let copied = branch[..end].iter().map(|event| of_fork(event, &run, &named));
    // Nothing of the parent's container is the fork's.
    let events = copied.chain([Event::Rewound { to_step: args.at }]);
    let store = RunStore::begin_with(&state_folder, events).map_err(found)?;
    match args.format.format() {
        Format::Json => context.printer.json(&serde_json::json!({
            "type": "fork", "run": run, "parent": named, "head": store.head(),
        }))?,
        Format::Human => context.printer.result(run.as_str())?,
    }
    context.printer.note(&format!("{DIM}next{RESET}    greenroom resume {run}"))?;
    Ok(ExitCode::Success)
}

/// The same event in the new run's journal.
fn of_fork(event: &Event, new: &RunId, named: &Parent) -> Event {
    let mut event = event.clone();
    if let Event::RunStarted { run, parent, .. } = &mut event {
        *run = new.clone();
        *parent = Some(named.clone());
    }
    event
}
