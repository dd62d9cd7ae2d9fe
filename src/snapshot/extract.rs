//! Writes a tree that came out of a sandbox below a folder of the user's choice: `cp RUN:PATH DEST`. Nothing that is
//! there is replaced, and no link, there or in the tree, is ever followed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::beneath::Folder;
use super::change::is_executable;
use super::{Entry, Manifest, ReadBlob, TreePath};

#[derive(Debug, Clone, Copy)]
pub struct ExtractLimits {
    pub entries_max: usize,
    pub depth_max: usize,
    pub bytes_max: u64,
    pub links: Links,
}

/// What to do about symbolic links in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Refuse,
    /// Written as they are, wherever they point; only asked for explicitly.
    Write,
}

impl Default for ExtractLimits {
    fn default() -> Self {
        ExtractLimits { entries_max: 100_000, depth_max: 64, bytes_max: 8 << 30, links: Links::Refuse }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("more than {entries_max} entries")]
    TooMany { entries_max: usize },
    #[error("`{path}` lies more than {depth_max} folders deep")]
    TooDeep { path: TreePath, depth_max: usize },
    #[error("more than {bytes_max} bytes, at `{path}`")]
    TooLarge { path: TreePath, bytes_max: u64 },
    #[error("`{path}` is a link to `{target}`")]
    Link { path: TreePath, target: TreePath },
    #[error("`{path}` is there already")]
    Exists { path: TreePath },
    #[error("cannot write to `{}`", dest.display())]
    Dest { dest: PathBuf, source: io::Error },
    #[error("cannot write `{path}`")]
    Write { path: TreePath, source: io::Error },
    #[error("cannot read the content of `{path}`")]
    Content { path: TreePath, source: io::Error },
}

/// All limits and all names are checked before the first byte is written. `dest` is made where it is missing. Files
/// get what the user's umask gives; of their mode only the executable bit counts.
pub fn write_tree(dest: &Path, tree: &Manifest, read: ReadBlob<'_>, limits: ExtractLimits) -> Result<(), ExtractError> {
    check(tree, limits)?;
    let unwritable = |source| ExtractError::Dest { dest: dest.to_owned(), source };
    match fs::create_dir(dest) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unwritable(error)),
        Ok(()) | Err(_) => {}
    }
    let root = Folder::open(dest).map_err(unwritable)?;
    for path in tree.entries.keys() {
        match root.parent(path).and_then(|(folder, name)| folder.stat(name)) {
            Ok(Some(_)) if !matches!(tree.entries.get(path), Some(Entry::Directory { .. })) => {
                return Err(ExtractError::Exists { path: path.clone() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ExtractError::Write { path: path.clone(), source }),
        }
    }
    let mut bytes_left = limits.bytes_max;
    for (path, entry) in &tree.entries {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => ExtractError::Exists { path: path.clone() },
            _ => ExtractError::Write { path: path.clone(), source },
        };
        make_parents(&root, path).map_err(failed)?;
        let (folder, name) = root.parent(path).map_err(failed)?;
        match entry {
            Entry::Directory { .. } => make_folder(&folder, name).map_err(failed)?,
            Entry::Symlink { target } => folder.make_link(target.as_bytes(), name).map_err(failed)?,
            Entry::File { mode, content, .. } => {
                let bytes = read(content).map_err(|source| ExtractError::Content { path: path.clone(), source })?;
                // The sizes in a tree are claims; these are the bytes.
                bytes_left = bytes_left
                    .checked_sub(bytes.len() as u64)
                    .ok_or_else(|| ExtractError::TooLarge { path: path.clone(), bytes_max: limits.bytes_max })?;
                let mode = if is_executable(*mode) { 0o777 } else { 0o666 };
                folder.create(name, mode).and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn check(tree: &Manifest, limits: ExtractLimits) -> Result<(), ExtractError> {
    if tree.entries.len() > limits.entries_max {
        return Err(ExtractError::TooMany { entries_max: limits.entries_max });
    }
    let mut bytes = 0u64;
    for (path, entry) in &tree.entries {
        if path.parts().count() > limits.depth_max {
            return Err(ExtractError::TooDeep { path: path.clone(), depth_max: limits.depth_max });
        }
        match entry {
            Entry::Symlink { target } if limits.links == Links::Refuse => {
                return Err(ExtractError::Link { path: path.clone(), target: target.clone() });
            }
            Entry::File { size, .. } => bytes = bytes.saturating_add(*size),
            Entry::Symlink { .. } | Entry::Directory { .. } => {}
        }
        if bytes > limits.bytes_max {
            return Err(ExtractError::TooLarge { path: path.clone(), bytes_max: limits.bytes_max });
        }
    }
    Ok(())
}

fn make_parents(root: &Folder, path: &TreePath) -> io::Result<()> {
    let mut missing: Vec<TreePath> = path.ancestors().collect();
    while let Some(folder) = missing.pop() {
        let (parent, name) = root.parent(&folder)?;
        make_folder(&parent, name)?;
    }
    Ok(())
}

/// One that is there is used; a link or a file in its place fails when something is written below it.
fn make_folder(parent: &Folder, name: &[u8]) -> io::Result<()> {
    match parent.make_folder(name, 0o777) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => parent.folder(name).map(drop),
        done => done,
    }
}
