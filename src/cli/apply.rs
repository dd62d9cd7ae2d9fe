//! `greenroom apply RUN`: carries a run's patch out on the repository: all of it or nothing.

use std::path::PathBuf;

use clap::Args;

use super::prepare::copy_failed;
use super::{Context, Past};
use crate::error::{Error, ExitCode, Result};
use crate::event::RunStatus;
use crate::id::BlobId;
use crate::output::human::style::{BOLD, DIM, GREEN, RED, RESET, YELLOW};
use crate::snapshot::Manifest;
use crate::snapshot::apply::{self, ApplyError, Moved};
use crate::snapshot::change::{ChangeKind, changes};
use crate::snapshot::copy_in::{CopyOptions, target_state};

/// Apply a run's patch to the repository it came from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  greenroom apply last
  greenroom apply 01k --repo ../other-clone

All of the patch is applied or nothing. Git is never called: look at the result with `git diff`, undo it with
`git restore`. An apply that was killed is finished or undone by the next one.")]
pub struct ApplyArgs {
    /// The run's id, its beginning or end, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Where to apply it instead of where the run began
    #[arg(long, visible_alias = "to", value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Apply although files outside the patch changed since the run began (files in it never may)
    #[arg(long)]
    allow_moved: bool,
}

pub async fn run(args: ApplyArgs, context: &mut Context) -> Result<ExitCode> {
    let past = Past::find(context, &args.run)?;
    let (Some(before), Some(after)) = (&past.state.pristine, &past.state.tree) else {
        return Err(Error::usage(format!("run {} has nothing to apply", past.state.run))
            .hint("it ended before its changes were captured; `greenroom show` says why"));
    };
    let (before, after) = (past.manifest(before)?, past.manifest(after)?);
    let patch = changes(&before, &after);
    if patch.is_empty() {
        context.printer.note(&format!("run {} changed nothing", past.state.run))?;
        return Ok(ExitCode::Success);
    }
    let repo = match args.repo {
        Some(repo) => repo,
        None if past.state.repo.contains("://") => {
            let run = &past.state.run;
            return Err(Error::usage(format!("run {run} worked on {}, which is no folder of yours", past.state.repo))
                .hint(format!("`greenroom apply {run} --to DIR` applies the patch to a clone of yours"))
                .hint(format!("`greenroom diff {run} >{run}.patch` writes it to a file")));
        }
        None => PathBuf::from(&past.state.repo),
    };
    let state = past.dir.path().join("apply");
    std::fs::create_dir_all(&state).map_err(|error| Error::internal("cannot use the run's folder").because(error))?;
    // What a killed `apply` left comes first: the plan must see the repository as it will be.
    apply::recover(&state).map_err(apply_failed)?;
    let target = target(&repo, &before)?;
    let moved = if args.allow_moved { Moved::Allow } else { Moved::Refuse };
    let plan = match apply::plan(&repo, &before, &after, &patch, &target, moved) {
        Ok(plan) => plan,
        Err(ApplyError::AlreadyApplied) => {
            context.printer.note(&format!("the patch of run {} is applied already", past.state.run))?;
            return Ok(ExitCode::Success);
        }
        Err(error) => return Err(apply_failed(error)),
    };
    let read = |id: &BlobId| past.dir.blobs().get(id);
    apply::apply(&repo, &state, &past.state.run, &plan, &read, &mut |_| Ok(())).map_err(apply_failed)?;
    for change in &patch {
        let mark = match change.kind() {
            ChangeKind::Added => format!("{GREEN}A{RESET}"),
            ChangeKind::Removed => format!("{RED}D{RESET}"),
            ChangeKind::Renamed => format!("{YELLOW}R{RESET}"),
            ChangeKind::Modified | ChangeKind::ModeChanged | ChangeKind::TypeChanged => format!("{YELLOW}M{RESET}"),
        };
        context.printer.result(&format!("{mark} {}", change.path))?;
    }
    for path in &plan.runs_by_itself {
        context.printer.note(&format!("{YELLOW}{BOLD}look first{RESET}: your tools may run `{path}` by themselves"))?;
    }
    if past.state.outcome.as_ref().is_none_or(|outcome| outcome.status != RunStatus::Verified) {
        context
            .printer
            .note(&format!("{DIM}this run is not verified: its checks did not pass in a clean container{RESET}"))?;
    }
    Ok(ExitCode::Success)
}

/// The repository now, seen as the first copy saw it: what was copied although git ignores it (`--include`) counts too.
fn target(repo: &std::path::Path, before: &Manifest) -> Result<Manifest> {
    let seen = target_state(repo, &CopyOptions::default()).map_err(copy_failed)?;
    let include: Vec<String> = before
        .entries
        .keys()
        .filter(|path| path.parts().all(|part| part != b".git") && !seen.entries.contains_key(path))
        .filter_map(|path| std::str::from_utf8(path.as_bytes()).ok())
        .filter(|path| repo.join(path).symlink_metadata().is_ok())
        .map(str::to_owned)
        .collect();
    if include.is_empty() {
        return Ok(seen);
    }
    target_state(repo, &CopyOptions { include, ..CopyOptions::default() }).map_err(copy_failed)
}

fn apply_failed(error: ApplyError) -> Error {
    let what = error.to_string();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let failed = match error {
        ApplyError::Repo(error) => return copy_failed(error),
        ApplyError::Refused { refusals } => {
            let others = refusals.iter().any(|refusal| matches!(refusal, apply::Refusal::OthersMoved { .. }));
            let hint = if others {
                "commit or stash what changed, or say `--allow-moved`"
            } else {
                "nothing was changed; `greenroom diff` prints the patch, to be applied by hand"
            };
            Error::usage(what).hint(hint)
        }
        ApplyError::AlreadyApplied => Error::usage(what),
        ApplyError::Busy { .. } => Error::usage(what).hint("wait for it to end"),
        ApplyError::OtherRepo { .. } => Error::usage(what).hint("name the folder it worked on with `--repo DIR`"),
        ApplyError::Stuck { .. } => Error::internal(what).hint("put the files back from that folder, then apply again"),
        ApplyError::State { .. }
        | ApplyError::Content { .. }
        | ApplyError::Staging { .. }
        | ApplyError::Undone { .. }
        | ApplyError::Interrupted(_) => {
            Error::internal(what).hint("apply again: what was begun is finished or undone first")
        }
    };
    match cause {
        Some(cause) => failed.because(cause),
        None => failed,
    }
}
