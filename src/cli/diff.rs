//! `greenroom diff RUN`: the patch a run made, as `git apply` and `patch` take it.

use clap::Args;

use super::{Context, Past};
use crate::error::{ExitCode, Result};
use crate::output::Channel;
use crate::output::human::style::{BOLD, GREEN, RED, RESET};

/// Print the patch a run made
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  greenroom diff last | git apply")]
pub struct DiffArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
}

pub async fn run(args: DiffArgs, context: &mut Context) -> Result<ExitCode> {
    let past = Past::find(context, &args.run)?;
    match past.patch()? {
        Some(patch) if !patch.is_empty() => {
            if context.printer.surface().is_terminal(Channel::Out) {
                context.printer.verbatim(&coloured(&patch))?;
            } else {
                context.printer.verbatim(&patch)?;
            }
        }
        Some(_) | None => context.printer.note(&format!("run {} changed nothing", past.state.run))?,
    }
    Ok(ExitCode::Success)
}

fn coloured(patch: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(patch.len() + patch.len() / 8);
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        let colour = match line.first() {
            _ if line.starts_with(b"--- ") || line.starts_with(b"+++ ") || line.starts_with(b"diff ") => BOLD,
            Some(b'+') => GREEN,
            Some(b'-') => RED,
            Some(_) | None => {
                text.extend_from_slice(line);
                continue;
            }
        };
        text.extend_from_slice(colour.as_bytes());
        text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        text.extend_from_slice(RESET.as_bytes());
        text.extend_from_slice(if line.ends_with(b"\n") { b"\n" } else { b"" });
    }
    text
}
