//! Two sides changed one tree, file by file: what of theirs goes onto ours, and what both changed.

use super::change::{Change, changes, is_folder, same_for_git};
use super::{Entry, Manifest, TreePath};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// What ours still needs of theirs.
    pub apply: Vec<Change>,
    /// Changed by both and not equal, or in the way.
    pub conflicts: Vec<TreePath>,
}

/// Whole files are compared: two edits of one file conflict even where they are far apart.
pub fn merge(base: &Manifest, theirs: &Manifest, ours: &Manifest) -> Merged {
    let mut merged = Merged::default();
    for change in changes(base, theirs) {
        let mine = file(ours, &change.path);
        if same(mine, change.after.as_ref()) {
            continue;
        }
        let in_the_way = change.after.is_some() && is_in_the_way(base, ours, &change.path);
        match same(mine, change.before.as_ref()) && !in_the_way {
            true => merged.apply.push(change),
            false => merged.conflicts.push(change.path),
        }
    }
    merged
}

fn file<'a>(tree: &'a Manifest, path: &TreePath) -> Option<&'a Entry> {
    tree.entries.get(path).filter(|entry| !is_folder(entry))
}

fn same(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same_for_git(one, other),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Ours has a folder there with files that theirs never knew, or a file where theirs needs a folder.
fn is_in_the_way(base: &Manifest, ours: &Manifest, path: &TreePath) -> bool {
    let is_new = |path: &TreePath| file(ours, path).is_some() && file(base, path).is_none();
    let first_below = path.child(b"\x01").expect("one plain name");
    let mut below = ours.entries.range(first_below..).take_while(|(known, _)| known.is_within(path));
    below.any(|(known, _)| is_new(known)) || path.ancestors().any(|folder| is_new(&folder))
}
