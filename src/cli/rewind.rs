//! `greenroom rewind RUN --to STEP`: files and conversation back to where they were after a step, as a branch of its own.

use clap::Args;

use super::helpers::refuse_helper;
use super::{Context, found, past};
use crate::agent::{RunState, history};
use crate::error::{Error, ExitCode, Result};
use crate::event::Event;
use crate::failpoint::{self, Failpoint};
use crate::output::human::style::{DIM, RESET};
use crate::store::{Record, RunDir, RunStore, Store};

/// Take a run back to a step: files and conversation together
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  greenroom rewind last --to 12 && greenroom resume last

What came after the step stays in the journal and is left out from there on. What was spent stays spent, and the next step
has a number of its own.")]
pub struct RewindArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The step to go back to, as `show` counts them; 0 is before the first
    #[arg(long, value_name = "STEP")]
    to: u64,
}

pub async fn run(args: RewindArgs, context: &mut Context) -> Result<ExitCode> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let (store, journal) = RunStore::open(dir).map_err(found)?;
    let state = step_of(&args.run, &journal.records, args.to)?;
    let written =
        failpoint::hit(Failpoint::RewindBefore).and_then(|()| store.append(&Event::Rewound { to_step: args.to }));
    written.map_err(past::not_written)?;
    let run = &state.run;
    // Where the run was, not how many steps it has had: an earlier rewind may have left them behind.
    let branch = history::branch(journal.records.iter().map(|record| &record.event));
    let from = branch.into_iter().rev().find_map(history::step_ended).unwrap_or(0);
    context.printer.note(&format!("{DIM}rewound{RESET} {run} from step {from} to {}", args.to))?;
    context.printer.note(&format!("{DIM}next{RESET}    greenroom resume {run}"))?;
    Ok(ExitCode::Success)
}

/// The state of a run that has this step on its branch, with files that can be had again.
pub(super) fn step_of(name: &str, records: &[Record], step: u64) -> Result<RunState> {
    let state = RunState::replay(records.iter().map(|record| &record.event))
        .ok_or_else(|| Error::usage(format!("run `{name}` has an empty journal")))?;
    refuse_helper(&state)?;
    let branch = history::branch(records.iter().map(|record| &record.event));
    if history::end_of_step(&branch, step).is_none() {
        let steps: Vec<u64> = branch.iter().filter_map(|event| history::step_ended(event)).collect();
        let newest = steps.last().map_or_else(|| "none yet".into(), |step| format!("the newest is {step}"));
        return Err(Error::usage(format!("run {} has no step {step} on its branch", state.run))
            .hint(format!("`greenroom show {}` numbers them; {newest}", state.run)));
    }
    Ok(state)
}
