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
    Ok(Event::TreeCaptured {
        tree: store.put_blob(&serde_json::to_vec(&tree).map_err(io::Error::from)?)?,
        patch: store.put_blob(text.as_bytes())?,
        files_changed: changes.iter().map(|change| change.path.to_text()).collect(),
    })
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
