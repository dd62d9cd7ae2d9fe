//! Carries a patch out on the host repository: all of it or nothing, through the kernel's own path rules, never by git.
//!
//! First [`plan`] looks at everything. Then [`apply`] stages every new content in a folder inside the repository,
//! records what it intends in the run's state folder, and only then moves files, each step one rename that can be
//! repeated or taken back. Killed anywhere, [`recover`] finishes or undoes it.

mod danger;
mod intent;
mod operation;
mod plan;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode};
use rustix::io::Errno;

pub use danger::runs_by_itself;
pub use plan::{Moved, Plan, Refusal, plan};

use super::beneath::Folder;
use super::change::is_executable;
use super::copy_in::{CopyError, open_root};
use super::{Entry, ReadBlob, TreePath};
use crate::id::{BlobId, RunId};
use intent::{Intent, Item, Phase};
use operation::Conflict;

/// Folders of this name in a repository's root belong to an `apply` that is under way or was interrupted.
pub const STAGING_PREFIX: &str = ".greenroom-apply-";

/// What was just done, for whoever watches. An error from the watcher stops everything at once, as a kill would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    IntentRecorded,
    StagingMade,
    Staged,
    /// From here on an interrupted `apply` is finished, not undone.
    Committed,
    Carried,
    TakenBack,
    Cleaning,
    StagingRemoved,
}

pub type OnStep<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// No `apply` was interrupted.
    Nothing,
    Finished,
    Undone,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the patch does not fit: {}", list(refusals))]
    Refused { refusals: Vec<Refusal> },
    #[error("the patch is applied already")]
    AlreadyApplied,
    #[error("another `apply` works on `{}`", repo.display())]
    Busy { repo: PathBuf },
    #[error(transparent)]
    Repo(#[from] CopyError),
    #[error("`{}` is no longer the folder that an interrupted `apply` worked on (recorded in `{}`)", repo.display(), state.display())]
    OtherRepo { repo: PathBuf, state: PathBuf },
    #[error("cannot record in `{}`", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("cannot read the new content of `{path}`")]
    Content { path: TreePath, source: io::Error },
    #[error("cannot write to the repository")]
    Staging { source: io::Error },
    #[error("nothing was changed: {cause}")]
    Undone { cause: String },
    #[error("stopped half-way, because the files changed meanwhile: {cause}; earlier contents are in `{}`", staging.display())]
    Stuck { cause: String, staging: PathBuf },
    #[error("interrupted")]
    Interrupted(#[source] io::Error),
}

fn list(refusals: &[Refusal]) -> String {
    const SHOWN_MAX: usize = 10;
    let mut parts: Vec<String> = refusals.iter().take(SHOWN_MAX).map(Refusal::to_string).collect();
    if refusals.len() > SHOWN_MAX {
        parts.push(format!("and {} more", refusals.len() - SHOWN_MAX));
    }
    parts.join("; ")
}

/// Carries out a plan. What an earlier, interrupted `apply` with the same `state_dir` left is finished or undone first;
/// if that was this very patch and it is finished now, there is nothing more to do.
pub fn apply(
    repo: &Path,
    state_dir: &Path,
    run: &RunId,
    plan: &Plan,
    read: ReadBlob<'_>,
    on_step: OnStep<'_>,
) -> Result<(), ApplyError> {
    match recover_watched(state_dir, on_step)? {
        Recovered::Finished if plan.is_carried_out(repo)? => return Ok(()),
        Recovered::Nothing | Recovered::Finished | Recovered::Undone => {}
    }
    let root = locked(repo)?;
    plan.check(&root)?;
    if plan.items.is_empty() {
        return Ok(());
    }
    let mut intent = Intent::new(repo, &root, format!("{STAGING_PREFIX}{run}"), plan, state_dir)?;
    intent.record(state_dir)?;
    watch(on_step, Step::IntentRecorded)?;
    if let Err(error) = stage(&root, &intent, read, on_step) {
        if !matches!(error, ApplyError::Interrupted(_)) {
            clean_up(&root, &intent, state_dir, on_step)?;
        }
        return Err(error);
    }
    intent.phase = Phase::Forward;
    intent.record(state_dir)?;
    watch(on_step, Step::Committed)?;
    match carry_out(&root, &mut intent, state_dir, on_step)? {
        None => Ok(()),
        Some(conflict) => Err(ApplyError::Undone { cause: conflict.to_string() }),
    }
}

/// Finishes or undoes what an interrupted [`apply`] left. Idempotent, and may itself be killed.
pub fn recover(state_dir: &Path) -> Result<Recovered, ApplyError> {
    recover_watched(state_dir, &mut |_| Ok(()))
}

fn recover_watched(state_dir: &Path, on_step: OnStep<'_>) -> Result<Recovered, ApplyError> {
    let Some(mut intent) = Intent::load(state_dir)? else { return Ok(Recovered::Nothing) };
    let repo = intent.repo();
    let root = locked(&repo)?;
    if !intent.is_about(&root) {
        return Err(ApplyError::OtherRepo { repo, state: state_dir.to_owned() });
    }
    match intent.phase {
        Phase::Staging => {
            clean_up(&root, &intent, state_dir, on_step)?;
            Ok(Recovered::Undone)
        }
        Phase::Forward => match carry_out(&root, &mut intent, state_dir, on_step)? {
            None => Ok(Recovered::Finished),
            Some(_) => Ok(Recovered::Undone),
        },
        Phase::Undo => {
            take_back(&root, &mut intent, state_dir, on_step)?;
            Ok(Recovered::Undone)
        }
        Phase::Cleanup { finished } => {
            clean_up(&root, &intent, state_dir, on_step)?;
            Ok(if finished { Recovered::Finished } else { Recovered::Undone })
        }
    }
}

/// The root, held for us alone until it is dropped: two of these at once would not see each other's checks.
fn locked(repo: &Path) -> Result<Folder, ApplyError> {
    let root = open_root(repo)?;
    match rustix::fs::flock(root.fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(root),
        Err(Errno::WOULDBLOCK) => Err(ApplyError::Busy { repo: repo.to_owned() }),
        Err(errno) => Err(ApplyError::Staging { source: errno.into() }),
    }
}

/// Every new content, written and synced, before anything is moved.
fn stage(root: &Folder, intent: &Intent, read: ReadBlob<'_>, on_step: OnStep<'_>) -> Result<(), ApplyError> {
    let failed = |source| ApplyError::Staging { source };
    root.make_folder(intent.staging.as_bytes(), 0o700).map_err(failed)?;
    let staging = root.folder(intent.staging.as_bytes()).map_err(failed)?;
    watch(on_step, Step::StagingMade)?;
    for (index, item) in intent.items.iter().enumerate() {
        let name = intent::new_name(index);
        match &item.after {
            None | Some(Entry::Directory { .. }) => continue,
            Some(Entry::Symlink { target }) => staging.make_link(target.as_bytes(), &name).map_err(failed)?,
            Some(Entry::File { mode, content, .. }) => {
                let missing = |source| ApplyError::Content { path: item.path.clone(), source };
                let bytes = read(content).map_err(missing)?;
                if BlobId::of(&bytes) != *content {
                    return Err(missing(io::ErrorKind::InvalidData.into()));
                }
                write_new(&staging, &name, &bytes, item, *mode).map_err(failed)?;
            }
        }
        watch(on_step, Step::Staged)?;
    }
    staging.sync().and_then(|()| root.sync()).map_err(failed)
}

/// A new file gets what the invoking user's umask gives; an existing one keeps its bits. Of the patch only the
/// executable bit counts.
fn write_new(staging: &Folder, name: &[u8], bytes: &[u8], item: &Item, mode: u32) -> io::Result<()> {
    let executable = is_executable(mode);
    let mut file = staging.create(name, if executable { 0o777 } else { 0o666 })?;
    if let Some(Entry::File { mode: old, .. }) = &item.before {
        let kept = match (is_executable(*old), executable) {
            (true, true) | (false, false) => *old,
            // Whoever may read it may run it.
            (false, true) => old | ((old & 0o444) >> 2),
            (true, false) => old & !0o111,
        };
        rustix::fs::fchmod(&file, Mode::from_raw_mode(kept & 0o777))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// All operations in order. A conflict takes everything back and is returned.
fn carry_out(
    root: &Folder,
    intent: &mut Intent,
    state_dir: &Path,
    on_step: OnStep<'_>,
) -> Result<Option<Conflict>, ApplyError> {
    let conflict = {
        let staging = root.folder(intent.staging.as_bytes()).map_err(|source| ApplyError::Staging { source })?;
        let mut conflict = None;
        for operation in &intent.operations {
            if let Err(found) = operation.redo(root, &staging, &intent.items) {
                conflict = Some(found);
                break;
            }
            watch(on_step, Step::Carried)?;
        }
        conflict
    };
    if conflict.is_some() {
        take_back(root, intent, state_dir, on_step)?;
        return Ok(conflict);
    }
    finish(root, intent, true, state_dir, on_step)?;
    Ok(None)
}

fn take_back(root: &Folder, intent: &mut Intent, state_dir: &Path, on_step: OnStep<'_>) -> Result<(), ApplyError> {
    intent.phase = Phase::Undo;
    intent.record(state_dir)?;
    let staging = root.folder(intent.staging.as_bytes()).map_err(|source| ApplyError::Staging { source })?;
    for operation in intent.operations.iter().rev() {
        operation.undo(root, &staging, &intent.items).map_err(|conflict| ApplyError::Stuck {
            cause: conflict.to_string(),
            staging: intent.repo().join(&intent.staging),
        })?;
        watch(on_step, Step::TakenBack)?;
    }
    finish(root, intent, false, state_dir, on_step)
}

fn finish(
    root: &Folder,
    intent: &mut Intent,
    finished: bool,
    state_dir: &Path,
    on_step: OnStep<'_>,
) -> Result<(), ApplyError> {
    operation::sync_parents(root, &intent.items);
    intent.phase = Phase::Cleanup { finished };
    intent.record(state_dir)?;
    watch(on_step, Step::Cleaning)?;
    clean_up(root, intent, state_dir, on_step)
}

/// Removes the staging folder, then the record of it. The staging folder holds files and links only.
fn clean_up(root: &Folder, intent: &Intent, state_dir: &Path, on_step: OnStep<'_>) -> Result<(), ApplyError> {
    let name = intent.staging.as_bytes();
    let removed = match root.folder(name) {
        Ok(staging) => staging
            .names(u64::MAX)
            .and_then(|names| names.iter().try_for_each(|name| staging.remove_file(name)))
            .and_then(|()| root.remove_folder(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| ApplyError::Staging { source })?;
    watch(on_step, Step::StagingRemoved)?;
    Intent::remove(state_dir)
}

fn watch(on_step: OnStep<'_>, step: Step) -> Result<(), ApplyError> {
    on_step(step).map_err(ApplyError::Interrupted)
}
