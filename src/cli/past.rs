//! A run of the past, found by what was typed and folded from its journal.

use super::Context;
use crate::agent::RunState;
use crate::error::{Error, ExitCode, Result};
use crate::event::{Event, RunStatus};
use crate::id::BlobId;
use crate::output::jsonl::RunResult;
use crate::snapshot::Manifest;
use crate::store::{JournalError, Record, RunDir, StoreError};

pub(super) struct Past {
    pub(super) dir: RunDir,
    pub(super) records: Vec<Record>,
    /// Hash of the newest record.
    pub(super) head: String,
    pub(super) state: RunState,
}

impl Past {
    pub(super) fn find(context: &Context, name: &str) -> Result<Self> {
        let dir = RunDir::find(&context.paths()?.state, name).map_err(found)?;
        let journal = dir.journal().map_err(found)?;
        let (head, records) = (journal.head().to_owned(), journal.records);
        let state = RunState::replay(records.iter().map(|record| &record.event)).ok_or_else(|| {
            Error::usage(format!("run `{name}` has an empty journal"))
                .hint("it was killed before its first event; nothing was done")
        })?;
        Ok(Past { dir, records, head, state })
    }

    /// A tree it recorded.
    pub(super) fn manifest(&self, tree: &BlobId) -> Result<Manifest> {
        let bytes = self
            .dir
            .blobs()
            .get(tree)
            .map_err(|error| Error::internal("cannot read one of the run's trees").because(error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::internal("one of the run's trees is no manifest").because(error))
    }

    /// The unified diff it ended with.
    pub(super) fn patch(&self) -> Result<Option<Vec<u8>>> {
        let Some(patch) = &self.state.patch else { return Ok(None) };
        let bytes = self
            .dir
            .blobs()
            .get(patch)
            .map_err(|error| Error::internal("cannot read the run's patch").because(error))?;
        Ok(Some(bytes))
    }

    pub(super) fn result(&self) -> RunResult {
        let wall_ms = self.records.iter().rev().find_map(|record| match &record.event {
            Event::Finished { elapsed_ms, .. } => Some(*elapsed_ms),
            _ => None,
        });
        let status = self.state.outcome.as_ref().map_or(RunStatus::Parked, |outcome| outcome.status);
        RunResult::of(&self.state, wall_ms.unwrap_or(self.state.elapsed_ms), status.exit_code())
            .with_head(self.head.clone())
    }
}

/// What a store error means to somebody who named a run.
pub(super) fn found(error: StoreError) -> Error {
    let what = error.to_string();
    match &error {
        StoreError::NoSuchRun(_) => Error::usage(what).hint("`greenroom runs` lists them"),
        StoreError::Ambiguous(_) => Error::usage(what).hint("give more of the id; `greenroom runs` lists them"),
        StoreError::Locked { .. } => Error::usage(what).hint("wait for it, or park it with `greenroom stop`"),
        StoreError::Exists(_) => Error::usage(what).hint("`greenroom runs` lists them"),
        StoreError::Network { .. } => Error::usage(what).hint("point GREENROOM_HOME to a disk of this machine"),
        StoreError::Journal(JournalError::Newer { .. }) => {
            Error::usage(what).hint("use the version of Greenroom that wrote it, or a later one")
        }
        StoreError::Journal(JournalError::Io(_)) => {
            Error::internal(what).hint("see to the disk that holds the state folder, then try again")
        }
        StoreError::Journal(JournalError::Damaged { .. }) => Error::internal(what)
            .hint("the records before the damage are intact: `greenroom export RUN --valid-prefix` saves them"),
        StoreError::Io { source, .. } if is_of_the_disk(source.kind()) => Error::new(ExitCode::Parked, what)
            .hint("see to the disk that holds the state folder, then try again; what is in the journal stays"),
        StoreError::Io { .. } => {
            Error::internal(what).hint("GREENROOM_HOME chooses another folder for state, cache and configuration")
        }
    }
}

/// What goes away when somebody makes room or mends the disk.
fn is_of_the_disk(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    [StorageFull, QuotaExceeded, ReadOnlyFilesystem].contains(&kind)
}

/// A journal that could not be written by a command that does nothing else.
pub(super) fn not_written(error: std::io::Error) -> Error {
    Error::new(ExitCode::Parked, "cannot write the run's journal; nothing was changed")
        .because(error)
        .hint("see to the disk that holds the state folder, then try again")
}
