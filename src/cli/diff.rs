//! `greenroom diff RUN`: the patch a run made, as `git apply` and `patch` take it; `diff RUN A B`: what happened to the
//! workspace between two steps.

use std::io;

use clap::Args;

use super::{Context, Past};
use crate::error::{Error, ExitCode, Result};
use crate::id::BlobId;
use crate::output::Channel;
use crate::output::human::style::{BOLD, GREEN, RED, RESET};
use crate::snapshot::change::changes;
use crate::snapshot::patch::{PatchLimits, patch};
use crate::snapshot::seen::Area;
use crate::snapshot::tree::FileTree;

/// Print the patch a run made
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom diff last | git apply
  greenroom diff last 3 5

With steps nothing is left out: build output and ignored files count too.")]
pub struct DiffArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The files after this step; 0 is before the first
    #[arg(value_name = "A")]
    from: Option<u64>,
    /// The files after that step [default: the newest]
    #[arg(value_name = "B")]
    to: Option<u64>,
}

pub async fn run(args: DiffArgs, context: &mut Context) -> Result<ExitCode> {
    let past = Past::find(context, &args.run)?;
    let patch = match args.from {
        None => past.patch()?,
        Some(from) => Some(between(&past, from, args.to.unwrap_or(past.state.steps))?),
    };
    match patch {
        Some(patch) if !patch.is_empty() => {
            if context.printer.surface().is_terminal(Channel::Out) {
                context.printer.verbatim(&coloured(&patch))?;
            } else {
                context.printer.verbatim(&patch)?;
            }
        }
        Some(_) | None => context.printer.note(&nothing(&past, &args))?,
    }
    Ok(ExitCode::Success)
}

fn nothing(past: &Past, args: &DiffArgs) -> String {
    let run = &past.state.run;
    match args.from {
        Some(from) => format!(
            "no file of the workspace differs between step {from} and step {} of run {run}; `greenroom audit {run}` \
             lists folders and the home folder too",
            args.to.unwrap_or(past.state.steps)
        ),
        None if past.state.patch.is_none() => {
            format!("run {run} has captured no patch yet; `greenroom diff {run} 0` shows what its steps changed so far")
        }
        None => format!("run {run} changed nothing"),
    }
}

/// The workspace after one step and after another, as a patch.
fn between(past: &Past, from: u64, to: u64) -> Result<Vec<u8>> {
    let read = |id: &BlobId| past.dir.blobs().get(id);
    let unreadable = |error: io::Error| Error::internal("cannot read one of the run's snapshots").because(error);
    let load = |step: u64| {
        let snapshot = past.state.snapshot_at(step).ok_or_else(|| {
            Error::usage(format!("run {} has no files after step {step}", past.state.run))
                .hint(format!("its steps are 0 to {}; `greenroom show` lists them", past.state.steps))
        })?;
        FileTree::load(&snapshot.root, &read).map_err(unreadable)
    };
    let (before, after) = (load(from)?, load(to)?);
    let changes = changes(&before.manifest(Area::Workspace), &after.manifest(Area::Workspace));
    let content = |id: &BlobId| match before.pieces_of(id) {
        Some(_) => before.content(id, &read),
        None => after.content(id, &read),
    };
    let text = patch(&changes, &content, PatchLimits::default())
        .map_err(|error| Error::internal("cannot write the patch").because(error))?;
    Ok(text.into_bytes())
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
