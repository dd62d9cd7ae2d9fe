//! What each step did to the files of `/workspace` and `$HOME`, by the snapshots before and after it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use serde::Serialize;

use crate::event::Event;
use crate::id::BlobId;
use crate::snapshot::tree::{Difference, FileTree, effects};
use crate::store::Blobs;

/// A file, link or folder: content, target, mode, owner or names count, times do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Deed {
    /// Below the workspace, or `~/` and below `$HOME`. What is not UTF-8 in it is percent-encoded.
    pub(super) path: String,
    pub(super) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Added,
    Changed,
    Removed,
}

/// Goes along with the journal; one tree is kept, because a step's end is the next one's beginning.
pub(super) struct Deeds<'a> {
    blobs: &'a Blobs,
    /// Snapshots of the branch, with the step at whose end each was taken.
    branch: Vec<(u64, BlobId)>,
    newest: Option<(BlobId, FileTree)>,
    /// Of proposals that were tried together: told with the first step that they became.
    pending: Vec<Deed>,
    folders: RefCell<HashMap<BlobId, Vec<u8>>>,
}

/// Together 64 MiB at most.
const FOLDERS_MAX: usize = 4096;
const FOLDER_BYTES_MAX: usize = 16 << 10;

impl<'a> Deeds<'a> {
    pub(super) fn new(blobs: &'a Blobs) -> Self {
        Deeds { blobs, branch: Vec::new(), newest: None, pending: Vec::new(), folders: RefCell::default() }
    }

    /// What this event says was done, where it ends a step; `None` where the snapshots cannot be read.
    pub(super) fn follow(&mut self, event: &Event) -> Option<Vec<Deed>> {
        match event {
            Event::BaselineFinished { snapshot: Some(snapshot), .. } => {
                self.branch = vec![(0, snapshot.root.clone())];
            }
            Event::Rewound { to_step } => self.branch.retain(|(step, _)| step <= to_step),
            Event::CandidatesRan { snapshot, .. } => {
                let step = self.branch.last().map_or(0, |(step, _)| *step) + 1;
                self.pending = self.step(step, &snapshot.root)?;
            }
            Event::ToolCallFinished { token, snapshot, .. } => {
                let mut deeds = std::mem::take(&mut self.pending);
                if let Some(snapshot) = snapshot {
                    deeds.extend(self.step(token.0 + 1, &snapshot.root)?);
                }
                return Some(deeds);
            }
            _ => {}
        }
        Some(Vec::new())
    }

    fn step(&mut self, step: u64, root: &BlobId) -> Option<Vec<Deed>> {
        let before = self.branch.last().map(|(_, before)| before.clone());
        self.branch.push((step, root.clone()));
        let before = before?;
        if before == *root {
            return Some(Vec::new());
        }
        let from = match self.newest.take() {
            Some((id, tree)) if id == before => tree,
            Some(_) | None => self.load(&before)?,
        };
        let to = self.load(root)?;
        let deeds = effects(&from, &to).iter().map(deed).collect();
        self.newest = Some((root.clone(), to));
        Some(deeds)
    }

    fn load(&self, root: &BlobId) -> Option<FileTree> {
        FileTree::load(root, &|id| self.folder(id)).ok()
    }

    /// Most folders are those of the step before.
    fn folder(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        if let Some(known) = self.folders.borrow().get(id) {
            return Ok(known.clone());
        }
        let bytes = self.blobs.get(id)?;
        let mut folders = self.folders.borrow_mut();
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        if bytes.len() <= FOLDER_BYTES_MAX {
            folders.insert(id.clone(), bytes.clone());
        }
        Ok(bytes)
    }
}

fn deed(effect: &Difference) -> Deed {
    let change = match effect {
        Difference::Added(_) => Change::Added,
        Difference::Changed(_) => Change::Changed,
        Difference::Removed(_) => Change::Removed,
    };
    Deed { path: effect.spot().to_string(), change }
}
