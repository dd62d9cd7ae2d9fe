//! `greenroom say RUN TEXT`: a word to a run, read before its next turn.

use std::io::Read;

use clap::Args;

use super::{Context, found};
use crate::agent::RunState;
use crate::error::{Error, ExitCode, Result};
use crate::output::human::style::{DIM, RESET};
use crate::store::{LETTER_BYTES_MAX, RunDir};

/// Say something to a run: it reads it before its next turn, and keeps it word for word
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom say last 'leave vendor/ alone, the bug is in the parser'")]
pub struct SayArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// What to say; `-` reads it from stdin
    #[arg(value_name = "TEXT|-")]
    text: String,
}

pub async fn run(args: SayArgs, context: &mut Context) -> Result<ExitCode> {
    let dir = RunDir::find(&context.paths()?.state, &args.run).map_err(found)?;
    let text = text(args.text)?;
    let is_worked_on = dir.owner().map_err(found)?.is_some();
    if !is_worked_on {
        let journal = dir.journal().map_err(found)?;
        let state = RunState::replay(journal.records.iter().map(|record| &record.event));
        if !state.is_some_and(|state| state.can_resume()) {
            return Err(Error::usage(format!("run `{}` has ended: nobody would read it", args.run))
                .hint("`greenroom rewind` takes it back to a step, `greenroom fork` begins a second run there"));
        }
    }
    dir.say(&text).map_err(found)?;
    let when = if is_worked_on { "before its next turn" } else { "when it is resumed" };
    context.printer.note(&format!("{DIM}said{RESET}    it is read {when}"))?;
    Ok(ExitCode::Success)
}

fn text(typed: String) -> Result<String> {
    let text = if typed == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(LETTER_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(|error| Error::usage("cannot read the message from stdin").because(error))?;
        text
    } else {
        typed
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage("the message is empty"));
    }
    if text.len() as u64 > LETTER_BYTES_MAX {
        return Err(Error::usage(format!("the message is longer than {} KiB", LETTER_BYTES_MAX >> 10))
            .hint("say in a few words what matters"));
    }
    Ok(text.to_owned())
}
