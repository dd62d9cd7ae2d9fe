//! Snapshots of a running sandbox, and sandboxes from snapshots: the exact files of `/workspace` and `$HOME`.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, ExitCode};
use crate::id::BlobId;
use crate::planted::{self, Planted};
use crate::sandbox::{ContentSink, Filling, Launcher, Sandbox, SandboxError, SandboxSpec};
use crate::snapshot::SnapshotRef;
use crate::snapshot::pack::SharedReadBlob;
use crate::snapshot::seen::{Area, Seen, SeenKind, Spot};
use crate::snapshot::tree::{FileTree, PIECE_BYTES, area_stream, differences, orders, piece_list};
use crate::store::Store;
use crate::tools::ToolFailure;

/// Names, then files and folders; one more round tells that all is well, one is to spare.
const SETTLE_ROUNDS_MAX: usize = 4;
/// Of what cannot be restored, for a person.
const TOLD_MAX: usize = 5;

/// What is known of one sandbox's files, so that the next snapshot costs what changed.
#[derive(Debug, Default)]
pub struct Snapshots {
    tree: FileTree,
    /// Of the newest census that is in `tree`; 0 for none.
    generation: u64,
    last: Option<SnapshotRef>,
}

impl Snapshots {
    /// For a sandbox that nobody knows yet, or one that an earlier runner knew. Give the newest snapshot there is: how
    /// it stores large files is kept.
    pub fn of_unknown(store: &dyn Store, newest: Option<&SnapshotRef>) -> std::io::Result<Self> {
        let tree = match newest {
            Some(snapshot) => FileTree::load(&snapshot.root, &|id| store.blob(id))?,
            None => FileTree::default(),
        };
        Ok(Snapshots { tree, generation: 0, last: newest.cloned() })
    }

    /// The files as they are now. Everything it names is in the store, synced when the next event is appended.
    pub async fn take(&mut self, sandbox: &dyn Sandbox, store: &dyn Store) -> Result<SnapshotRef, ToolFailure> {
        let written_before = store.blob_bytes_written();
        // Should this break off, nothing is known until everything was told again.
        let since = std::mem::take(&mut self.generation);
        let census = sandbox.census(since).await?;
        let mut unstable = census.running > 0;
        let before = census.complete.then(|| self.tree.clear());
        for spot in &census.gone {
            self.tree.remove(spot);
        }
        for seen in &census.seen {
            self.tree.insert(seen);
        }
        if !census.seen.is_empty() || !census.gone.is_empty() || self.last.is_none() {
            unstable |= self.store_contents(&census.seen, sandbox, store).await?;
            let (root, changed) = self.tree.write(&mut |bytes| store.put_blob(bytes))?;
            let changed = match &before {
                Some(before) if self.last.is_some() => differences(before, &self.tree).len() as u64,
                Some(_) | None => changed,
            };
            let totals = self.tree.totals();
            self.last = Some(SnapshotRef {
                root,
                files: totals.files,
                bytes: totals.bytes,
                changed,
                stored_bytes: 0,
                left_out: totals.left_out,
                unstable,
            });
        } else if let Some(last) = &mut self.last {
            last.changed = 0;
        }
        let last = self.last.as_mut().expect("it was just made where there was none");
        last.unstable = unstable;
        last.stored_bytes = store.blob_bytes_written() - written_before;
        self.generation = census.generation;
        Ok(last.clone())
    }

    /// The tree of the newest snapshot.
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }

    /// Fetches what nobody has stored yet; says whether a file changed while it was read.
    async fn store_contents(
        &mut self,
        seen: &[Seen],
        sandbox: &dyn Sandbox,
        store: &dyn Store,
    ) -> Result<bool, ToolFailure> {
        let mut asked = HashSet::new();
        let mut wanted = self.unstored(seen, store);
        wanted.retain(|(_, content)| asked.insert(content.clone()));
        if !self.fetch(&wanted, sandbox, store).await? {
            return Ok(false);
        }
        // One of several equal files stood for all of them, and changed: the others are read for themselves.
        let wanted = self.unstored(seen, store);
        self.fetch(&wanted, sandbox, store).await?;
        Ok(true)
    }

    fn unstored(&self, seen: &[Seen], store: &dyn Store) -> Vec<(Spot, BlobId)> {
        let file = |seen: &Seen| match &seen.kind {
            SeenKind::File { content, .. } => Some((seen.spot.clone(), content.clone())),
            SeenKind::Directory | SeenKind::Symlink { .. } | SeenKind::LeftOut(_) => None,
        };
        let is_stored = |content: &BlobId| self.tree.pieces_of(content).is_some() || store.has_blob(content);
        let files = seen.iter().filter_map(file).filter(|(_, content)| !is_stored(content));
        files.filter(|(spot, content)| self.tree.has(spot, content)).collect()
    }

    /// Says whether one of them was not what it had been.
    async fn fetch(
        &mut self,
        wanted: &[(Spot, BlobId)],
        sandbox: &dyn Sandbox,
        store: &dyn Store,
    ) -> Result<bool, ToolFailure> {
        if wanted.is_empty() {
            return Ok(false);
        }
        let spots: Vec<Spot> = wanted.iter().map(|(spot, _)| spot.clone()).collect();
        let mut keeper =
            Keeper { store, piece: Vec::new(), pieces: Vec::new(), size: 0, kept: Vec::new(), failed: None };
        let collected = sandbox.collect(&spots, &mut keeper).await;
        if let Some(error) = keeper.failed {
            return Err(error.into());
        }
        collected?;
        let mut moved = false;
        for ((spot, expected), kept) in wanted.iter().zip(keeper.kept) {
            if let Some(Kept { content, pieces: Some(list), .. }) = &kept {
                self.tree.set_pieces(content.clone(), list.clone());
            }
            if kept.as_ref().is_none_or(|kept| kept.content != *expected) {
                moved = true;
                self.tree.correct(spot, kept.map(|kept| (kept.size, kept.content)));
            }
        }
        Ok(moved)
    }
}

/// A sandbox that holds exactly the files of a snapshot, or an error that says what is not so.
pub async fn restore(
    launcher: &dyn Launcher,
    store: &Arc<dyn Store>,
    spec: &SandboxSpec,
    snapshot: &SnapshotRef,
) -> Result<(Box<dyn Sandbox>, Snapshots), ToolFailure> {
    let read: SharedReadBlob = {
        let store = store.clone();
        Arc::new(move |id: &BlobId| store.blob(id))
    };
    let tree = FileTree::load(&snapshot.root, &|id| read(id)).map_err(|error| damaged(&snapshot.root, error))?;
    let tree = Arc::new(tree);
    let stream = |area| area_stream(tree.clone(), area, read.clone());
    let filling = Filling { workspace: stream(Area::Workspace), home: stream(Area::Home) };
    let sandbox = match launcher.start_filled(spec, filling).await {
        Ok(sandbox) => sandbox,
        // Only the engine's half of a failure is told by it.
        Err(error) => return Err(unreadable(&tree, &read).unwrap_or_else(|| error.into())),
    };
    match settle(sandbox.as_ref(), &tree).await {
        Ok((mut actual, generation)) => {
            actual.begin_with(&tree);
            Ok((sandbox, Snapshots { tree: actual, generation, last: Some(snapshot.clone()) }))
        }
        Err(error) => {
            sandbox.stop().await?;
            Err(error.into())
        }
    }
}

/// The first content of a tree that cannot be had.
fn unreadable(tree: &FileTree, read: &SharedReadBlob) -> Option<ToolFailure> {
    let blobs = tree.blobs(&|id| read(id)).ok()?;
    blobs.iter().find_map(|id| read(id).err().map(|error| damaged(id, error)))
}

fn damaged(blob: &BlobId, error: std::io::Error) -> ToolFailure {
    Error::new(ExitCode::Parked, format!("cannot restore the files of the newest step: blob {blob} is damaged"))
        .because(error)
        .hint("`greenroom audit` names every damaged blob with its step; `greenroom rewind` to a step before goes on without it")
        .into()
}

/// Until nothing differs; answers with what is there then, and the census that saw it.
async fn settle(sandbox: &dyn Sandbox, wanted: &FileTree) -> Result<(FileTree, u64), SandboxError> {
    let not_exact = |what: &[String]| {
        let told: Vec<&str> = what.iter().take(TOLD_MAX).map(String::as_str).collect();
        SandboxError::Start { detail: format!("the snapshot cannot be restored exactly: {}", told.join("; ")) }
    };
    let mut actual = FileTree::default();
    let mut generation = 0;
    for _ in 0..SETTLE_ROUNDS_MAX {
        let census = sandbox.census(generation).await?;
        census.gone.iter().for_each(|spot| actual.remove(spot));
        census.seen.iter().for_each(|seen| actual.insert(seen));
        generation = census.generation;
        let orders = orders(wanted, &actual);
        if !orders.impossible.is_empty() {
            return Err(not_exact(&orders.impossible));
        }
        if orders.orders.is_empty() || planted::has(Planted::SkipSettle) {
            return Ok((actual, generation));
        }
        sandbox.settle(&orders.orders).await?;
    }
    Err(not_exact(&["attributes do not stay as they are set".to_owned()]))
}

/// One file's content as it went into the store.
struct Kept {
    content: BlobId,
    size: u64,
    /// Where it was too large for one blob.
    pieces: Option<BlobId>,
}

/// Puts what arrives into the store, a piece at a time.
struct Keeper<'a> {
    store: &'a dyn Store,
    piece: Vec<u8>,
    pieces: Vec<BlobId>,
    size: u64,
    kept: Vec<Option<Kept>>,
    failed: Option<std::io::Error>,
}

impl Keeper<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<BlobId, SandboxError> {
        self.store.put_blob(bytes).map_err(|error| {
            let detail = error.to_string();
            self.failed = Some(error);
            SandboxError::Refused { what: "store a file".to_owned(), detail }
        })
    }

    fn put_piece(&mut self) -> Result<(), SandboxError> {
        let piece = std::mem::take(&mut self.piece);
        let id = self.put(&piece)?;
        self.pieces.push(id);
        Ok(())
    }
}

impl ContentSink for Keeper<'_> {
    fn bytes(&mut self, _: usize, mut bytes: &[u8]) -> Result<(), SandboxError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            // Only now is it known that more follows.
            if self.piece.len() == PIECE_BYTES {
                self.put_piece()?;
            }
            let count = bytes.len().min(PIECE_BYTES - self.piece.len());
            self.piece.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn end(&mut self, _: usize, content: Option<BlobId>) -> Result<(), SandboxError> {
        let kept = match content {
            None => None,
            Some(content) if self.pieces.is_empty() => {
                let piece = std::mem::take(&mut self.piece);
                let stored = self.put(&piece)?;
                if stored != content {
                    return Err(SandboxError::Lost { detail: "a file's content is not what PID 1 said".to_owned() });
                }
                Some(Kept { content, size: self.size, pieces: None })
            }
            Some(content) => {
                self.put_piece()?;
                let list = piece_list(&self.pieces);
                let list = self.put(&list)?;
                Some(Kept { content, size: self.size, pieces: Some(list) })
            }
        };
        self.piece.clear();
        self.pieces.clear();
        self.size = 0;
        self.kept.push(kept);
        Ok(())
    }
}
