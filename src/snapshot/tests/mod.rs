//! Trees on disk and in memory, for stories that need more than one file of this module.
#![allow(clippy::unwrap_used)]

mod apply;
mod change;
mod copy_in;
mod extract;
mod kill;
mod merge;
mod pack;
mod patch;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;

use super::{Entry, Manifest, TreePath};
use crate::id::BlobId;

/// A second implementation of the blob store, in memory.
#[derive(Default)]
pub(super) struct Blobs(Mutex<HashMap<BlobId, Vec<u8>>>);

impl Blobs {
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<BlobId> {
        let id = BlobId::of(bytes);
        self.0.lock().unwrap().insert(id.clone(), bytes.to_vec());
        Ok(id)
    }

    pub(super) fn read(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        self.0.lock().unwrap().get(id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, mode: u32, bytes: &[u8]) -> Entry {
        Entry::File { mode, size: bytes.len() as u64, content: self.put(bytes).unwrap() }
    }

    /// Writes a tree below an existing folder with plain calls, as a reference.
    pub(super) fn lay_out(&self, tree: &Manifest, root: &Path) {
        for (path, entry) in &tree.entries {
            let at = root.join(path.to_path());
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            match entry {
                Entry::File { mode, content, .. } => {
                    fs::write(&at, self.read(content).unwrap()).unwrap();
                    fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
                }
                Entry::Directory { .. } => fs::create_dir_all(&at).unwrap(),
                Entry::Symlink { target } => symlink(target.to_path(), &at).unwrap(),
            }
        }
    }
}

/// A folder in memory where that can be had: these stories sync and start over some hundred times.
pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn path(bytes: impl Into<Vec<u8>>) -> TreePath {
    TreePath::new(bytes).unwrap()
}

pub(super) fn link(target: &str) -> Entry {
    Entry::Symlink { target: TreePath::link_target(target).unwrap() }
}

/// A tree with the parents of all its entries.
pub(super) fn tree<P: Into<Vec<u8>>>(entries: impl IntoIterator<Item = (P, Entry)>) -> Manifest {
    let mut tree = Manifest::default();
    for (at, entry) in entries {
        let at = path(at);
        for folder in at.ancestors() {
            tree.entries.entry(folder).or_insert(Entry::Directory { mode: 0o755 });
        }
        tree.entries.insert(at, entry);
    }
    tree
}

/// Files and links with what git knows of them: content and whether they may be executed.
pub(super) fn as_git_sees(tree: &Manifest) -> Vec<(TreePath, String)> {
    let describe = |entry: &Entry| match entry {
        Entry::File { mode, content, .. } => Some(format!("file {} {content}", mode & 0o100 != 0)),
        Entry::Symlink { target } => Some(format!("link {target}")),
        Entry::Directory { .. } => None,
    };
    tree.entries.iter().filter_map(|(path, entry)| Some((path.clone(), describe(entry)?))).collect()
}

/// Every path on disk with kind, permissions and content, read with plain calls.
pub(super) fn on_disk(root: &Path) -> Vec<(Vec<u8>, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let at = entry.unwrap().path();
            let stat = fs::symlink_metadata(&at).unwrap();
            let what = if stat.is_dir() {
                folders.push(at.clone());
                format!("folder {:o}", stat.permissions().mode())
            } else if stat.is_symlink() {
                format!("link {:?}", fs::read_link(&at).unwrap())
            } else if stat.is_file() {
                format!("file {:o} {}", stat.permissions().mode(), BlobId::of(&fs::read(&at).unwrap()))
            } else {
                "special".to_owned()
            };
            found.push((at.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec(), what));
        }
    }
    found.sort();
    found
}
