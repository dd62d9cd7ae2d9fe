//! The folder of one run: `runs/<id>/journal.jsonl` and its lock, and the blobs all runs share.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::journal::{GENESIS, JournalWriter, ReadJournal};
use super::{Blobs, JournalError, Store, read_journal};
use crate::event::Event;
use crate::id::{BlobId, RunId};

/// A run's files, for reading.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    blobs: Blobs,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no run `{0}`")]
    NoSuchRun(String),
    #[error("`{0}` fits more than one run")]
    Ambiguous(String),
    #[error("run `{0}` is being written by another process")]
    Locked(RunId),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot use the state folder `{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl RunDir {
    fn at(state: &Path, run: &str) -> Self {
        RunDir { path: state.join("runs").join(run), blobs: Blobs::new(state.join("blobs")) }
    }

    /// Finds a run by its id, by a unique beginning or end of it, or the newest by `last`.
    pub fn find(state: &Path, name: &str) -> Result<Self, StoreError> {
        let all = list_runs(state)?;
        let name = name.to_lowercase();
        if name == "last" || name == "--last" {
            let newest = all.last().ok_or_else(|| StoreError::NoSuchRun("last".into()))?;
            return Ok(RunDir::at(state, newest.as_str()));
        }
        let fits: Vec<&RunId> =
            all.iter().filter(|run| run.as_str().starts_with(&name) || run.as_str().ends_with(&name)).collect();
        match fits.as_slice() {
            [] => Err(StoreError::NoSuchRun(name)),
            [one] => Ok(RunDir::at(state, one.as_str())),
            [..] => Err(StoreError::Ambiguous(name)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    pub fn journal(&self) -> Result<ReadJournal, StoreError> {
        Ok(read_journal(&self.path.join("journal.jsonl"))?)
    }
}

/// All runs, oldest first.
pub fn list_runs(state: &Path) -> Result<Vec<RunId>, StoreError> {
    let folder = state.join("runs");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::Io { path: folder, source }),
    };
    let mut runs: Vec<RunId> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RunId>().ok()).collect();
    runs.sort();
    Ok(runs)
}

/// A run's folder, held by this process alone for writing.
#[derive(Debug)]
pub struct RunStore {
    dir: RunDir,
    writer: Mutex<JournalWriter>,
    /// Kept open: the kernel frees the lock when the process dies, however it dies.
    _lock: File,
}

impl RunStore {
    /// Makes the folder of a new run, readable by its owner alone.
    pub fn create(state: &Path, run: &RunId) -> Result<Self, StoreError> {
        let dir = RunDir::at(state, run.as_str());
        let failed = |source| StoreError::Io { path: dir.path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir.path).map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir.blobs.root()).map_err(failed)?;
        let lock = File::create(dir.path.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| StoreError::Locked(run.clone()))?;
        let path = dir.path.join("journal.jsonl");
        let file = File::options().append(true).create_new(true).open(path).map_err(failed)?;
        File::open(&dir.path).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let writer = Mutex::new(JournalWriter::new(file, 0, 1, GENESIS.into()));
        Ok(RunStore { dir, writer, _lock: lock })
    }

    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Hash of the newest record.
    pub fn head(&self) -> String {
        self.writer.lock().expect("no writer panics while it holds the journal").head().to_owned()
    }
}

impl Store for RunStore {
    fn append(&self, event: &Event) -> io::Result<()> {
        let now = jiff::Timestamp::now().as_millisecond();
        self.writer.lock().expect("no writer panics while it holds the journal").append(now, event)
    }

    fn put_blob(&self, bytes: &[u8]) -> io::Result<BlobId> {
        self.dir.blobs.put(bytes)
    }

    fn has_blob(&self, id: &BlobId) -> bool {
        self.dir.blobs.has(id)
    }

    fn blob_bytes_written(&self) -> u64 {
        self.dir.blobs.bytes_written()
    }

    fn blob(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        self.dir.blobs.get(id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_found_by_a_piece_of_its_name() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        store.append(&Event::ModelRequested { turn: 1, estimated_input_tokens: 5 }).unwrap();
        let tail = &run.as_str()[20..];
        for name in ["last", run.as_str(), tail] {
            assert_eq!(RunDir::find(state.path(), name).unwrap().journal().unwrap().records.len(), 1, "{name}");
        }
        assert!(matches!(RunDir::find(state.path(), "zzzz"), Err(StoreError::NoSuchRun(_))));
    }

    #[test]
    fn a_second_writer_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let _first = RunStore::create(state.path(), &run).unwrap();
        assert!(matches!(RunStore::create(state.path(), &run), Err(StoreError::Locked(_))));
    }
}
