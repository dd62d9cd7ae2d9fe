//! What a run has made of the tree: walk it, fetch what differs, leave build output out, write the patch.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::snapshots::Snapshots;
use crate::error::{Error, ExitCode};
use crate::event::Event;
use crate::id::BlobId;
use crate::sandbox::{Sandbox, SandboxError, WORKSPACE};
use crate::snapshot::change::{Change, patch_changes, patched};
use crate::snapshot::patch::{PatchError, PatchLimits, patch};
use crate::snapshot::seen::Area;
use crate::snapshot::tree::FileTree;
use crate::snapshot::{Entry, Manifest, TreePath};
use crate::store::Store;
use crate::tools::ToolFailure;

/// The largest file that a patch may hold.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Kept beside the patch, all together.
const ARTIFACT_BYTES_MAX: u64 = 128 << 20;
const ARTIFACTS_MAX: usize = 1_000;
/// Folders that hold nothing a person would copy out, and that carry no tag that says so.
const CACHES: [&[u8]; 4] = [b".git", b"__pycache__", b"node_modules", b".venv"];

/// The tree as it would be after the patch, the patch, and its paths, all in the store.
pub(super) async fn capture(
    sandbox: &dyn Sandbox,
    store: &Arc<dyn Store>,
    pristine: &Manifest,
    build_output: &BTreeSet<TreePath>,
    snapshots: &mut Snapshots,
) -> Result<Event, ToolFailure> {
    snapshots.take(sandbox, store.as_ref()).await?;
    let source = Source { sandbox, store: store.as_ref(), held: snapshots.tree() };
    let mut now = sandbox.walk().await?;
    add_unreadable(&mut now, pristine, source.held);
    let read = |id: &BlobId| store.blob(id);
    let changes = patch_changes(pristine, &now, build_output, &read)?;
    changes.iter().try_for_each(refuse_too_large)?;
    for change in &changes {
        if let Some(Entry::File { content, .. }) = &change.after {
            source.fetch(&change.path, content).await?;
        }
    }
    let tree = patched(pristine, &changes);
    let text = patch(&changes, &read, PatchLimits::default()).map_err(|error| match error {
        PatchError::TooLarge { path, bytes_max } => {
            too_large(&path, &format!("the patch would have more than {bytes_max} bytes"))
        }
        PatchError::Content { .. } => io::Error::other(error).into(),
    })?;
    let (workspace, artifacts_left_out) = keep_artifacts(&source, &tree, &now).await?;
    Ok(Event::TreeCaptured {
        tree: store.put_blob(&serde_json::to_vec(&tree).map_err(io::Error::from)?)?,
        patch: store.put_blob(text.as_bytes())?,
        files_changed: changes.iter().map(|change| change.path.to_text()).collect(),
        workspace: Some(store.put_blob(&serde_json::to_vec(&workspace).map_err(io::Error::from)?)?),
        artifacts_left_out,
    })
}

/// A file that its own user may not read is seen by no walk, and yet it is not gone: the snapshot has it.
fn add_unreadable(now: &mut Manifest, pristine: &Manifest, held: &FileTree) {
    for (path, entry) in held.manifest(Area::Workspace).entries {
        if pristine.entries.contains_key(&path) {
            now.entries.entry(path).or_insert(entry);
        }
    }
}

fn refuse_too_large(change: &Change) -> Result<(), ToolFailure> {
    match &change.after {
        Some(Entry::File { size, .. }) if *size > FILE_BYTES_MAX => Err(too_large(
            &change.path,
            &format!("it has {size} bytes, and a patch takes {FILE_BYTES_MAX} of one file"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Nothing outside is missing, but a person has to decide: going on makes the same patch again.
fn too_large(path: &TreePath, why: &str) -> ToolFailure {
    Error::new(ExitCode::Parked, format!("`{}` is too large for a patch", path.to_text().escape_debug()))
        .because(why.to_owned())
        .hint("`greenroom rewind` to a step before it was written, `greenroom say` that it must not be left in the workspace, then `greenroom resume`")
        .into()
}

/// What the run made beside the patch, a chart or a report, for `cp`: smallest first, within limits, caches left out.
async fn keep_artifacts(source: &Source<'_>, tree: &Manifest, now: &Manifest) -> Result<(Manifest, u64), ToolFailure> {
    let made = |path: &TreePath| !tree.entries.contains_key(path) && !in_cache(path, now);
    let mut files: Vec<(u64, &TreePath, &BlobId)> = now
        .entries
        .iter()
        .filter(|(path, _)| made(path))
        .filter_map(|(path, entry)| match entry {
            Entry::File { size, content, .. } => Some((*size, path, content)),
            Entry::Directory { .. } | Entry::Symlink { .. } => None,
        })
        .collect();
    files.sort();
    let (mut workspace, mut bytes, mut left_out) = (tree.clone(), 0, 0);
    for (kept, (size, path, content)) in files.into_iter().enumerate() {
        if kept >= ARTIFACTS_MAX || bytes + size > ARTIFACT_BYTES_MAX {
            left_out += 1;
            continue;
        }
        source.fetch(path, content).await?;
        bytes += size;
        workspace.entries.insert(path.clone(), now.entries[path].clone());
    }
    Ok((workspace, left_out))
}

/// Below a folder that says so itself (<https://bford.info/cachedir/>), or one whose name everybody knows.
fn in_cache(path: &TreePath, now: &Manifest) -> bool {
    path.parts().any(|part| CACHES.contains(&part))
        || path
            .ancestors()
            .any(|folder| folder.child(b"CACHEDIR.TAG").is_some_and(|tag| now.entries.contains_key(&tag)))
}

/// Where contents come from.
struct Source<'a> {
    sandbox: &'a dyn Sandbox,
    store: &'a dyn Store,
    /// The newest snapshot: what it holds needs no path, which may be no UTF-8, and no right to read.
    held: &'a FileTree,
}

impl Source<'_> {
    /// Puts a file's content into the store as one blob.
    async fn fetch(&self, path: &TreePath, expected: &BlobId) -> Result<(), ToolFailure> {
        // Most changed files are edited again and again: their newest content may be known already.
        if self.store.blob(expected).is_ok() {
            return Ok(());
        }
        let bytes = match self.held.pieces_of(expected) {
            Some(_) => self.held.content(expected, &|id| self.store.blob(id))?,
            None => {
                let absolute = format!("{WORKSPACE}/{}", String::from_utf8_lossy(path.as_bytes()));
                let read = self.sandbox.read(&absolute, FILE_BYTES_MAX).await?;
                read.map_err(|error| io::Error::other(format!("cannot take `{path}` out of the sandbox: {error}")))?
            }
        };
        if self.store.put_blob(&bytes)? != *expected {
            return Err(SandboxError::Lost { detail: format!("`{path}` changed while it was read") }.into());
        }
        Ok(())
    }
}
