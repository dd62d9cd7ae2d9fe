//! What an `apply` is about to do, recorded in the run's state folder before it does it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{ApplyError, Plan};
use crate::snapshot::beneath::Folder;
use crate::snapshot::{Entry, TreePath};

const FILE_NAME: &str = "apply-intent.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    /// Absolute, as bytes; with device and inode, so that another folder in its place is noticed.
    repo: TreePath,
    device: u64,
    inode: u64,
    pub(super) staging: String,
    pub(super) phase: Phase,
    pub(super) items: Vec<Item>,
    pub(super) operations: Vec<Operation>,
}

/// How far it came. Each is recorded and synced before the first thing it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// No file of the repository is touched yet.
    Staging,
    Forward,
    Undo,
    /// Only the staging folder remains to be removed.
    Cleanup {
        finished: bool,
    },
}

/// One touched path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) path: TreePath,
    pub(super) before: Option<Entry>,
    pub(super) after: Option<Entry>,
}

/// In the staging folder: the content to come.
pub(super) fn new_name(index: usize) -> Vec<u8> {
    format!("new-{index}").into_bytes()
}

/// In the staging folder: the content that was.
pub(super) fn old_name(index: usize) -> Vec<u8> {
    format!("old-{index}").into_bytes()
}

impl Intent {
    pub(super) fn new(
        repo: &Path,
        root: &Folder,
        staging: String,
        plan: &Plan,
        state_dir: &Path,
    ) -> Result<Self, ApplyError> {
        let failed = |source| ApplyError::State { path: state_dir.to_owned(), source };
        let absolute = fs::canonicalize(repo).map_err(failed)?;
        let stat = rustix::fs::fstat(root.fd()).map_err(|errno| failed(errno.into()))?;
        Ok(Intent {
            repo: TreePath::link_target(absolute.as_os_str().as_bytes()).expect("an absolute path is not empty"),
            device: stat.st_dev,
            inode: stat.st_ino,
            staging,
            phase: Phase::Staging,
            items: plan.items.clone(),
            operations: plan.operations.clone(),
        })
    }

    pub(super) fn repo(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsString::from_vec(self.repo.as_bytes().to_vec()))
    }

    pub(super) fn is_about(&self, root: &Folder) -> bool {
        rustix::fs::fstat(root.fd()).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (self.device, self.inode))
    }

    pub(super) fn load(state_dir: &Path) -> Result<Option<Self>, ApplyError> {
        let path = state_dir.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ApplyError::State { path, source }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| ApplyError::State { path, source: error.into() })
    }

    /// Replaces the record in one rename; it is durable when this returns.
    pub(super) fn record(&self, state_dir: &Path) -> Result<(), ApplyError> {
        let path = state_dir.join(FILE_NAME);
        let fresh = state_dir.join(format!("{FILE_NAME}.new"));
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(&serde_json::to_vec(self).map_err(io::Error::from)?)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(state_dir)?.sync_all()
        };
        write().map_err(|source| ApplyError::State { path: path.clone(), source })
    }

    pub(super) fn remove(state_dir: &Path) -> Result<(), ApplyError> {
        let path = state_dir.join(FILE_NAME);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ApplyError::State { path, source }),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
