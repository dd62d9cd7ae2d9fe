//! What a run has made of the tree: walk it, fetch what differs, leave build output out, write the patch.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::event::Event;
use crate::id::BlobId;
use crate::sandbox::{Sandbox, SandboxError, WORKSPACE};
use crate::snapshot::change::{patch_changes, patched};
use crate::snapshot::patch::{PatchLimits, patch};
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
) -> Result<Event, ToolFailure> {
    let now = sandbox.walk().await?;
    let read = |id: &BlobId| store.blob(id);
    let changes = patch_changes(pristine, &now, build_output, &read)?;
    for change in &changes {
        if let Some(Entry::File { content, .. }) = &change.after {
            fetch(sandbox, store.as_ref(), &change.path, content).await?;
        }
    }
    let tree = patched(pristine, &changes);
    let text = patch(&changes, &read, PatchLimits::default()).map_err(io::Error::other)?;
    let (workspace, artifacts_left_out) = keep_artifacts(sandbox, store.as_ref(), &tree, &now).await?;
    Ok(Event::TreeCaptured {
        tree: store.put_blob(&serde_json::to_vec(&tree).map_err(io::Error::from)?)?,
        patch: store.put_blob(text.as_bytes())?,
        files_changed: changes.iter().map(|change| change.path.to_text()).collect(),
        workspace: Some(store.put_blob(&serde_json::to_vec(&workspace).map_err(io::Error::from)?)?),
        artifacts_left_out,
    })
}

/// What the run made beside the patch, a chart or a report, for `cp`: smallest first, within limits, caches left out.
async fn keep_artifacts(
    sandbox: &dyn Sandbox,
    store: &dyn Store,
    tree: &Manifest,
    now: &Manifest,
) -> Result<(Manifest, u64), ToolFailure> {
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
        fetch(sandbox, store, path, content).await?;
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

async fn fetch(
    sandbox: &dyn Sandbox,
    store: &dyn Store,
    path: &TreePath,
    expected: &BlobId,
) -> Result<(), ToolFailure> {
    // Most changed files are edited again and again: their newest content may be known already.
    if store.blob(expected).is_ok() {
        return Ok(());
    }
    let absolute = format!("{WORKSPACE}/{}", String::from_utf8_lossy(path.as_bytes()));
    let bytes = sandbox
        .read(&absolute, FILE_BYTES_MAX)
        .await?
        .map_err(|error| io::Error::other(format!("cannot take `{path}` out of the sandbox: {error}")))?;
    if store.put_blob(&bytes)? != *expected {
        return Err(SandboxError::Lost { detail: format!("`{path}` changed while it was read") }.into());
    }
    Ok(())
}
