//! What differs between two trees, and which of it belongs in a patch.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::ignored::IgnoreRules;
use super::{Entry, Manifest, ReadBlob, TreePath};
use crate::id::BlobId;

/// One path that differs. Folders never appear: like git, a patch knows them by what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: TreePath,
    /// A file or a link, or nothing.
    pub before: Option<Entry>,
    pub after: Option<Entry>,
    /// For people: this new file has exactly the content of one that was removed, whose removal is listed too.
    pub renamed_from: Option<TreePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Added,
    Renamed,
    Removed,
    Modified,
    /// Only whether it may be executed.
    ModeChanged,
    /// A file became a link or a link a file.
    TypeChanged,
}

impl Change {
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (None, _) if self.renamed_from.is_some() => ChangeKind::Renamed,
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Removed,
            (Some(Entry::File { content: old, .. }), Some(Entry::File { content: new, .. })) => match old == new {
                true => ChangeKind::ModeChanged,
                false => ChangeKind::Modified,
            },
            (Some(Entry::Symlink { .. }), Some(Entry::Symlink { .. })) => ChangeKind::Modified,
            (Some(_), Some(_)) => ChangeKind::TypeChanged,
        }
    }
}

/// Every file and link that differs, by path. Permission bits count only as git counts them: executable or not.
pub fn changes(before: &Manifest, after: &Manifest) -> Vec<Change> {
    let paths: BTreeSet<&TreePath> = before.entries.keys().chain(after.entries.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        let old = before.entries.get(path).filter(|e| !is_folder(e));
        let new = after.entries.get(path).filter(|e| !is_folder(e));
        let same = match (old, new) {
            (None, None) => true,
            (Some(old), Some(new)) => same_for_git(old, new),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            let (before, after) = (old.cloned(), new.cloned());
            found.push(Change { path: path.clone(), before, after, renamed_from: None });
        }
    }
    mark_renames(&mut found);
    found
}

/// What check runs made: paths that were not there before them. A new folder stands for all that is below it.
pub fn created(before: &Manifest, after: &Manifest) -> BTreeSet<TreePath> {
    let is_new = |path: &TreePath| !before.entries.contains_key(path);
    let new = after.entries.keys().filter(|path| is_new(path));
    new.filter(|path| path.parent().is_none_or(|parent| !is_new(&parent))).cloned().collect()
}

/// The changes that make up the patch. Left out are `.git`, what check runs created (`build_output`), new paths that
/// the pristine tree's own ignore files name, and links that lead out of the tree.
pub fn patch_changes(
    before: &Manifest,
    after: &Manifest,
    build_output: &BTreeSet<TreePath>,
    read: ReadBlob<'_>,
) -> io::Result<Vec<Change>> {
    let rules = IgnoreRules::of(before, read)?;
    let mut kept = changes(before, after);
    kept.retain(|change| {
        let path = &change.path;
        let in_git = path.parts().any(|part| part == b".git");
        let is_new = change.before.is_none();
        let is_output = is_new && (build_output.contains(path) || path.ancestors().any(|p| build_output.contains(&p)));
        // A file that takes a folder's place is the end of what the folder held, not a stray artifact.
        let ignored = is_new && !before.entries.contains_key(path) && rules.covers(path, false);
        let outside = matches!(&change.after, Some(Entry::Symlink { target }) if path.leads_outside(target));
        !in_git && !is_output && !ignored && !outside
    });
    mark_renames(&mut kept);
    Ok(kept)
}

/// `before` with `changes` carried out: the tree that a verification starts from. Folders that only held removed
/// files go, as git lets them go; parents of new files come.
pub fn patched(before: &Manifest, changes: &[Change]) -> Manifest {
    let mut tree = before.clone();
    for change in changes.iter().filter(|c| c.after.is_none() || c.before.is_some()) {
        tree.entries.remove(&change.path);
        for folder in change.path.ancestors() {
            let first_below = folder.child(b"\x01").expect("one plain name");
            let holds = tree.entries.range(first_below..).next().is_some_and(|(path, _)| path.is_within(&folder));
            if holds {
                break;
            }
            tree.entries.remove(&folder);
        }
    }
    for change in changes {
        if let Some(after) = &change.after {
            for folder in change.path.ancestors() {
                tree.entries.entry(folder).or_insert(Entry::Directory { mode: 0o755 });
            }
            tree.entries.insert(change.path.clone(), after.clone());
        }
    }
    tree
}

pub(super) fn is_folder(entry: &Entry) -> bool {
    matches!(entry, Entry::Directory { .. })
}

pub(super) fn is_executable(mode: u32) -> bool {
    mode & 0o100 != 0
}

pub(super) fn same_for_git(one: &Entry, other: &Entry) -> bool {
    match (one, other) {
        (Entry::File { mode: a, content: x, .. }, Entry::File { mode: b, content: y, .. }) => {
            x == y && is_executable(*a) == is_executable(*b)
        }
        (Entry::Symlink { target: a }, Entry::Symlink { target: b }) => a == b,
        (Entry::Directory { .. }, Entry::Directory { .. }) => true,
        (Entry::File { .. } | Entry::Symlink { .. } | Entry::Directory { .. }, _) => false,
    }
}

/// Pairs each new file with a removed one of the same content; empty files say nothing about where they came from.
fn mark_renames(changes: &mut [Change]) {
    let mut removed: BTreeMap<BlobId, Vec<TreePath>> = BTreeMap::new();
    for change in changes.iter().rev() {
        if let (Some(Entry::File { content, size: 1.., .. }), None) = (&change.before, &change.after) {
            removed.entry(content.clone()).or_default().push(change.path.clone());
        }
    }
    for change in changes {
        change.renamed_from = match (&change.before, &change.after) {
            (None, Some(Entry::File { content, .. })) => removed.get_mut(content).and_then(Vec::pop),
            _ => None,
        };
    }
}
