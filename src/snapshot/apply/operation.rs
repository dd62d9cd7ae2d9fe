//! The steps of an `apply`. Each finds out for itself whether it happened already, so that it can be repeated after a
//! kill, and each can be taken back. Nothing that somebody else wrote meanwhile is ever overwritten.

use std::collections::BTreeSet;
use std::io;

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};

use super::intent::{Item, new_name, old_name};
use crate::id::BlobId;
use crate::snapshot::beneath::{self, Folder, Kind};
use crate::snapshot::change::same_for_git;
use crate::snapshot::{Entry, TreePath};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Operation {
    /// The old content goes into the staging folder.
    MoveAside {
        item: usize,
    },
    /// A folder whose place a file takes; it must be empty by then.
    RemoveFolder {
        path: TreePath,
        mode: u32,
    },
    MakeFolder {
        path: TreePath,
    },
    /// The new content comes out of the staging folder.
    PutNew {
        item: usize,
    },
    /// A folder that held only removed files; it stays where it holds something else.
    TidyFolder {
        path: TreePath,
        mode: u32,
    },
}

/// The repository is not as it was when it was looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum Conflict {
    #[error("`{path}` changed meanwhile")]
    Changed { path: TreePath },
    #[error("`{path}`: {source}")]
    Io { path: TreePath, source: io::Error },
}

impl Operation {
    pub(super) fn redo(&self, root: &Folder, staging: &Folder, items: &[Item]) -> Result<(), Conflict> {
        match self {
            Operation::MoveAside { item } => {
                let Item { path, before, .. } = &items[*item];
                fetch(root, staging, path, &old_name(*item), |live| before.as_ref().is_some_and(|b| same(b, live)))
            }
            Operation::RemoveFolder { path, .. } => at(path, || {
                let (folder, name) = root.parent(path)?;
                match folder.remove_folder(name) {
                    // Gone already, and perhaps the file that takes its place is there.
                    Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
                    done => done,
                }
            }),
            Operation::MakeFolder { path } => at(path, || {
                let (folder, name) = root.parent(path)?;
                make_folder(&folder, name, 0o777)
            }),
            Operation::PutNew { item } => {
                let path = &items[*item].path;
                at(path, || match staging.stat(&new_name(*item))? {
                    None => Ok(()),
                    Some(_) => {
                        let (folder, name) = root.parent(path)?;
                        staging.move_to(&new_name(*item), &folder, name)
                    }
                })
            }
            Operation::TidyFolder { path, .. } => {
                // Whether it goes is a matter of tidiness only.
                let _ = root.parent(path).and_then(|(folder, name)| folder.remove_folder(name));
                Ok(())
            }
        }
    }

    pub(super) fn undo(&self, root: &Folder, staging: &Folder, items: &[Item]) -> Result<(), Conflict> {
        match self {
            Operation::PutNew { item } => {
                let Item { path, after, .. } = &items[*item];
                let ours = |live: &Entry| after.as_ref().is_some_and(|a| same_for_git(a, live));
                match fetch(root, staging, path, &new_name(*item), ours) {
                    // Somebody removed it: then it is not there, which is all that undoing wants.
                    Err(Conflict::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
                    done => done,
                }
            }
            Operation::MoveAside { item } => {
                let path = &items[*item].path;
                at(path, || match staging.stat(&old_name(*item))? {
                    None => Ok(()),
                    Some(_) => {
                        let (folder, name) = root.parent(path)?;
                        staging.move_to(&old_name(*item), &folder, name)
                    }
                })
            }
            Operation::MakeFolder { path } => {
                // What somebody put there meanwhile keeps it alive.
                let _ = root.parent(path).and_then(|(folder, name)| folder.remove_folder(name));
                Ok(())
            }
            Operation::RemoveFolder { path, mode } | Operation::TidyFolder { path, mode } => at(path, || {
                let (folder, name) = root.parent(path)?;
                if folder.stat(name)?.is_some_and(|stat| beneath::kind(&stat) == Kind::Directory) {
                    return Ok(());
                }
                make_folder(&folder, name, 0o700)?;
                let made = folder.folder(name)?;
                Ok(rustix::fs::fchmod(made.fd(), Mode::from_raw_mode(*mode))?)
            }),
        }
    }
}

/// Moves `path` into the staging folder under `name` if it is not there yet, and looks at it *there*, where nobody
/// else writes: what is not as expected goes back untouched.
fn fetch(
    root: &Folder,
    staging: &Folder,
    path: &TreePath,
    name: &[u8],
    expected: impl Fn(&Entry) -> bool,
) -> Result<(), Conflict> {
    at(path, || {
        if staging.stat(name)?.is_none() {
            let (folder, file_name) = root.parent(path)?;
            folder.move_to(file_name, staging, name)?;
        }
        Ok(())
    })?;
    let fetched = at(path, || live(staging, name))?;
    if matches!(&fetched, Some(Live::Entry(entry)) if expected(entry)) {
        return Ok(());
    }
    at(path, || {
        let (folder, file_name) = root.parent(path)?;
        staging.move_to(name, &folder, file_name)
    })?;
    Err(Conflict::Changed { path: path.clone() })
}

fn at<T>(path: &TreePath, act: impl FnOnce() -> io::Result<T>) -> Result<T, Conflict> {
    act().map_err(|source| Conflict::Io { path: path.clone(), source })
}

fn make_folder(folder: &Folder, name: &[u8], mode: u32) -> io::Result<()> {
    match folder.make_folder(name, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match folder.stat(name)? {
            Some(stat) if beneath::kind(&stat) == Kind::Directory => Ok(()),
            Some(_) | None => Err(error),
        },
        done => done,
    }
}

/// What stands at a path.
pub(super) enum Live {
    Entry(Entry),
    Special,
}

/// Read by name in a folder held open, content hashed; `None` where nothing is.
pub(super) fn live(folder: &Folder, name: &[u8]) -> io::Result<Option<Live>> {
    let Some(stat) = folder.stat(name)? else { return Ok(None) };
    Ok(Some(Live::Entry(match beneath::kind(&stat) {
        Kind::File => {
            let (file, stat) = folder.file(name)?;
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file)?;
            let content = BlobId::from_hex(hasher.finalize().to_hex().as_str()).expect("a hash in hex is a blob id");
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            Entry::File { mode: beneath::permissions(&stat), size, content }
        }
        Kind::Directory => Entry::Directory { mode: beneath::permissions(&stat) },
        Kind::Symlink => {
            let target = folder.link_target(name)?;
            Entry::Symlink { target: TreePath::link_target(target).expect("a link's target is never empty") }
        }
        Kind::Special(_) => return Ok(Some(Live::Special)),
    })))
}

/// For touched files all permission bits count.
pub(super) fn same(before: &Entry, live: &Entry) -> bool {
    match (before, live) {
        (Entry::File { mode: a, content: x, .. }, Entry::File { mode: b, content: y, .. }) => {
            x == y && a & 0o777 == b & 0o777
        }
        (Entry::Symlink { target: a }, Entry::Symlink { target: b }) => a == b,
        (Entry::Directory { .. }, Entry::Directory { .. }) => true,
        (Entry::File { .. } | Entry::Symlink { .. } | Entry::Directory { .. }, _) => false,
    }
}

/// Makes the renames durable. A folder that is gone has nothing to sync.
pub(super) fn sync_parents(root: &Folder, items: &[Item]) {
    let parents: BTreeSet<TreePath> = items.iter().flat_map(|item| item.path.ancestors()).collect();
    for parent in parents {
        let _ = root.folder(parent.as_bytes()).and_then(|folder| folder.sync());
    }
    let _ = root.sync();
}
