//! Looks at the whole patch and the whole target before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::danger::{is_git_path, link_stays_inside, runs_by_itself};
use super::intent::Item;
use super::operation::{Live, Operation, live, same};
use super::{ApplyError, STAGING_PREFIX};
use crate::planted::{self, Planted};
use crate::snapshot::beneath::{self, Folder, Kind};
use crate::snapshot::change::{Change, changes, is_folder, same_for_git};
use crate::snapshot::copy_in::open_root;
use crate::snapshot::{Entry, Manifest, TreePath};

/// What `apply` will do, checked against the repository as it stands.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) items: Vec<Item>,
    pub(super) operations: Vec<Operation>,
    /// Touched files that a machine may run without being asked: show them.
    pub runs_by_itself: Vec<TreePath>,
    /// Other files that are no longer as they were when the run began.
    pub moved: Vec<TreePath>,
}

/// What to do about files outside the patch that changed since the run began. Touched files never may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    Refuse,
    Allow,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{path}` belongs to git")]
    GitPath { path: TreePath },
    #[error("`{path}` has a name that is kept for `apply` itself")]
    Reserved { path: TreePath },
    #[error("`{path}` would run with its owner's rights (setuid or setgid)")]
    SetId { path: TreePath },
    #[error("the link `{path}` leads outside: `{target}`")]
    LinkOutside { path: TreePath, target: TreePath },
    #[error("`{path}` changed since the run began")]
    Touched { path: TreePath },
    #[error("`{path}` is reached through a link")]
    ThroughLink { path: TreePath },
    #[error("folder `{path}` holds files that the patch does not know")]
    FolderNotEmpty { path: TreePath },
    #[error("`{path}` cannot be looked at: {detail}")]
    Unreadable { path: TreePath, detail: String },
    #[error("{count} other files changed since the run began, `{first}` for one")]
    OthersMoved { count: usize, first: TreePath },
    #[error("an interrupted `apply` of another run left `{name}`: apply that run again, or remove the folder")]
    OtherApply { name: String },
}

/// `target` is the repository as [`target_state`](crate::snapshot::copy_in::target_state) sees it now, with the options
/// of the first copy; `before` and `after` are the run's trees, `changes` what of their difference is in the patch.
pub fn plan(
    repo: &Path,
    before: &Manifest,
    after: &Manifest,
    changes: &[Change],
    target: &Manifest,
    others: Moved,
) -> Result<Plan, ApplyError> {
    let root = open_root(repo)?;
    let touched: BTreeSet<&TreePath> = changes.iter().map(|c| &c.path).collect();
    let items: Vec<Item> = changes
        .iter()
        .map(|c| Item { path: c.path.clone(), before: c.before.clone(), after: c.after.clone() })
        .collect();
    let mut plan = Plan {
        runs_by_itself: items.iter().map(|i| &i.path).filter(|p| runs_by_itself(p)).cloned().collect(),
        moved: moved(before, target, &touched),
        items,
        operations: Vec::new(),
    };
    plan.check(&root)?;
    if let (Moved::Refuse, Some(first)) = (others, plan.moved.first()) {
        let refusals = vec![Refusal::OthersMoved { count: plan.moved.len(), first: first.clone() }];
        return Err(ApplyError::Refused { refusals });
    }
    plan.operations = operations(&root, &plan.items, after).map_err(|refusals| ApplyError::Refused { refusals })?;
    Ok(plan)
}

/// Untouched files and links of `before` that differ in the target, or are new there. Git's own folder does not count.
fn moved(before: &Manifest, target: &Manifest, touched: &BTreeSet<&TreePath>) -> Vec<TreePath> {
    let outside_patch = |path: &TreePath| !touched.contains(path) && path.parts().all(|part| part != b".git");
    changes(before, target).into_iter().map(|change| change.path).filter(outside_patch).collect()
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Everything about the touched paths, against the disk.
    pub(super) fn check(&self, root: &Folder) -> Result<(), ApplyError> {
        let mut refusals: Vec<Refusal> = self.items.iter().filter_map(forbidden).collect();
        let names = root.names(u64::MAX).map_err(|source| ApplyError::Staging { source })?;
        refusals.extend(
            names
                .iter()
                .filter(|n| n.starts_with(STAGING_PREFIX.as_bytes()))
                .map(|name| Refusal::OtherApply { name: String::from_utf8_lossy(name).into_owned() }),
        );
        if !refusals.is_empty() {
            return Err(ApplyError::Refused { refusals });
        }
        let mut carried_out = 0;
        for item in &self.items {
            match standing(root, &item.path) {
                Err(refusal) => refusals.push(refusal),
                Ok(entry) if is_after(item, entry.as_ref()) => {
                    carried_out += 1;
                    refusals.push(Refusal::Touched { path: item.path.clone() });
                }
                Ok(entry) if is_before(item, entry.as_ref()) => {}
                Ok(_) => refusals.push(Refusal::Touched { path: item.path.clone() }),
            }
        }
        match refusals.is_empty() {
            true => Ok(()),
            false if carried_out == self.items.len() => Err(ApplyError::AlreadyApplied),
            false => Err(ApplyError::Refused { refusals }),
        }
    }

    /// Whether every touched path already is as the patch wants it.
    pub(super) fn is_carried_out(&self, repo: &Path) -> Result<bool, ApplyError> {
        let root = open_root(repo)?;
        let done = |item: &Item| standing(&root, &item.path).is_ok_and(|entry| is_after(item, entry.as_ref()));
        Ok(self.items.iter().all(done))
    }
}

/// What is wrong with a change whatever the target looks like.
fn forbidden(item: &Item) -> Option<Refusal> {
    let path = item.path.clone();
    if is_git_path(path.as_bytes()) {
        return Some(Refusal::GitPath { path });
    }
    if path.as_bytes().starts_with(STAGING_PREFIX.as_bytes()) {
        return Some(Refusal::Reserved { path });
    }
    match &item.after {
        Some(Entry::File { mode, .. }) if mode & 0o6000 != 0 => Some(Refusal::SetId { path }),
        Some(Entry::Symlink { target }) if !link_stays_inside(&path, target) => {
            Some(Refusal::LinkOutside { path, target: target.clone() })
        }
        Some(Entry::File { .. } | Entry::Symlink { .. } | Entry::Directory { .. }) | None => None,
    }
}

/// A folder where a file is expected gone or to come is looked at by [`operations`].
fn is_before(item: &Item, live: Option<&Entry>) -> bool {
    match (&item.before, live) {
        (None, None | Some(Entry::Directory { .. })) => true,
        (Some(before), Some(live)) => same(before, live) || planted::has(Planted::OverwriteMovedFile),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn is_after(item: &Item, live: Option<&Entry>) -> bool {
    match (&item.after, live) {
        (None, None) => item.before.is_some(),
        (None, Some(Entry::Directory { .. })) => item.before.is_some(),
        (Some(after), Some(live)) => same_for_git(after, live),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn standing(root: &Folder, path: &TreePath) -> Result<Option<Entry>, Refusal> {
    let found = root.parent(path).and_then(|(folder, name)| live(&folder, name));
    match found {
        Ok(Some(Live::Entry(entry))) => Ok(Some(entry)),
        Ok(Some(Live::Special)) => Err(Refusal::Touched { path: path.clone() }),
        Ok(None) => Ok(None),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Err(Refusal::ThroughLink { path: path.clone() })
        }
        Err(e) => Err(Refusal::Unreadable { path: path.clone(), detail: e.to_string() }),
    }
}

/// In the order in which they are carried out: old contents aside, folders that give way, folders that come, new
/// contents, folders left empty.
fn operations(root: &Folder, items: &[Item], after: &Manifest) -> Result<Vec<Operation>, Vec<Refusal>> {
    let leaving: BTreeSet<&TreePath> = items.iter().filter(|i| i.before.is_some()).map(|i| &i.path).collect();
    let mut refusals = Vec::new();
    let mut gone: BTreeMap<TreePath, u32> = BTreeMap::new();
    let mut made: BTreeSet<TreePath> = BTreeSet::new();
    let mut tidied: BTreeMap<TreePath, u32> = BTreeMap::new();
    for item in items {
        if item.before.is_none() && matches!(standing(root, &item.path), Ok(Some(Entry::Directory { .. }))) {
            let folder = root.folder(item.path.as_bytes()).map_err(drop);
            if folder.and_then(|folder| gives_way(&folder, &item.path, &leaving, &mut gone)).is_err() {
                refusals.push(Refusal::FolderNotEmpty { path: item.path.clone() });
            }
        }
        for folder in item.path.ancestors() {
            match (&item.after, standing(root, &folder)) {
                (_, Err(refusal)) => refusals.push(refusal),
                (Some(_), Ok(Some(Entry::Directory { .. }))) => {}
                (Some(_), Ok(None)) => drop(made.insert(folder)),
                (Some(_), Ok(Some(_))) if leaving.contains(&folder) => drop(made.insert(folder)),
                (Some(_), Ok(Some(_))) => refusals.push(Refusal::Touched { path: folder }),
                (None, Ok(Some(Entry::Directory { mode }))) => {
                    if !after.entries.get(&folder).is_some_and(is_folder) {
                        tidied.insert(folder, mode);
                    }
                }
                (None, Ok(_)) => {}
            }
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    tidied.retain(|path, _| !gone.contains_key(path));
    let indexed = || items.iter().enumerate();
    let mut all: Vec<Operation> = Vec::new();
    all.extend(indexed().filter(|(_, i)| i.before.is_some()).map(|(item, _)| Operation::MoveAside { item }));
    all.extend(gone.into_iter().rev().map(|(path, mode)| Operation::RemoveFolder { path, mode }));
    all.extend(made.into_iter().map(|path| Operation::MakeFolder { path }));
    all.extend(indexed().filter(|(_, i)| i.after.is_some()).map(|(item, _)| Operation::PutNew { item }));
    all.extend(tidied.into_iter().rev().map(|(path, mode)| Operation::TidyFolder { path, mode }));
    Ok(all)
}

/// Whether all that a folder holds is leaving; the folder and those in it are added to `gone`.
fn gives_way(
    folder: &Folder,
    path: &TreePath,
    leaving: &BTreeSet<&TreePath>,
    gone: &mut BTreeMap<TreePath, u32>,
) -> Result<(), ()> {
    let stat = rustix::fs::fstat(folder.fd()).map_err(|_| ())?;
    gone.insert(path.clone(), beneath::permissions(&stat));
    for name in folder.names(u64::MAX).map_err(|_| ())? {
        let child = path.child(&name).ok_or(())?;
        let stat = folder.stat(&name).map_err(|_| ())?.ok_or(())?;
        match beneath::kind(&stat) {
            Kind::Directory => gives_way(&folder.folder(&name).map_err(|_| ())?, &child, leaving, gone)?,
            Kind::File | Kind::Symlink | Kind::Special(_) if leaving.contains(&child) => {}
            Kind::File | Kind::Symlink | Kind::Special(_) => return Err(()),
        }
    }
    Ok(())
}
