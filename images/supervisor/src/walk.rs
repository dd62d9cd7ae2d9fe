//! Going through a tree in a fixed order: manifests for snapshots, listings for people and models.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use greenroom_supervisor::protocol::{
    ByteString, CallError, Entry, ErrorKind, FileKind, HashWhich, Response, WalkEntry,
};

use crate::files::{self, absolute, error_at, failure, kind_of, nanoseconds, refuse_proc};
use crate::glob::Glob;
use crate::worker::Reply;

const BATCH_ENTRIES: usize = 500;
/// Whatever a path may cost, a batch stays far below the limit of a frame (a byte becomes six at worst).
const BATCH_PATH_BYTES: usize = 64 << 10;

/// One thing found. Its path is relative to the root.
pub(crate) struct Found<'a> {
    pub(crate) full: &'a Path,
    pub(crate) relative: &'a [u8],
    pub(crate) depth: u32,
    pub(crate) metadata: &'a Metadata,
}

/// What to do after a thing was seen.
pub(crate) enum Then {
    Descend,
    Skip,
    Stop,
}

/// Visits everything below `root`, the root first, parents before children, names in byte order; follows no link below
/// the root. Returns how many things could not be looked at.
pub(crate) fn visit(root: &Path, mut see: impl FnMut(&Found<'_>) -> Then) -> Result<u64, CallError> {
    let metadata = fs::metadata(root).map_err(|e| error_at(root, &e))?;
    refuse_proc(root, &metadata)?;
    let proc = fs::metadata("/proc").map(|metadata| metadata.dev()).ok();
    let mut unreadable = 0;
    // Each with its relative path and depth; children are pushed in reverse, so that the first is taken first.
    let mut open: Vec<(PathBuf, Vec<u8>, u32)> = vec![(root.to_path_buf(), Vec::new(), 0)];
    while let Some((full, relative, depth)) = open.pop() {
        let looked = if depth == 0 { fs::metadata(&full) } else { fs::symlink_metadata(&full) };
        let Ok(metadata) = looked else {
            unreadable += 1;
            continue;
        };
        if proc == Some(metadata.dev()) {
            continue;
        }
        match see(&Found { full: &full, relative: &relative, depth, metadata: &metadata }) {
            Then::Stop => return Ok(unreadable),
            Then::Skip => continue,
            Then::Descend if !metadata.is_dir() => continue,
            Then::Descend => {}
        }
        let Ok(children) = fs::read_dir(&full) else {
            unreadable += 1;
            continue;
        };
        let mut names: Vec<_> = children.flatten().map(|child| child.file_name()).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names {
            let mut below = relative.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name.as_bytes());
            open.push((full.join(&name), below, depth + 1));
        }
    }
    Ok(unreadable)
}

pub(crate) fn walk(
    root: &ByteString,
    exclude: &[ByteString],
    hash: HashWhich,
    entries_max: u64,
    reply: &Reply,
) -> Result<Response, CallError> {
    let root = absolute(root)?;
    let mut batch = Vec::new();
    let (mut batch_bytes, mut entries, mut bytes_hashed, mut unhashed, mut cut) = (0, 0, 0, 0, false);
    let unreadable = visit(root, |found| {
        if exclude.iter().any(|path| path.as_bytes() == found.relative && !found.relative.is_empty()) {
            return Then::Skip;
        }
        if entries == entries_max {
            cut = true;
            return Then::Stop;
        }
        entries += 1;
        let metadata = found.metadata;
        let kind = kind_of(metadata);
        let ctime_ns = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
        let wanted = match hash {
            HashWhich::All => true,
            HashWhich::None => false,
            HashWhich::ChangedSince { ctime_ns: since } => ctime_ns >= since,
        };
        let blake3 = match kind {
            FileKind::File if wanted => files::open_regular(found.full)
                .ok()
                .and_then(|(file, _)| files::hash(&file).ok())
                .inspect(|_| bytes_hashed += metadata.size()),
            FileKind::File | FileKind::Dir | FileKind::Symlink | FileKind::Other => None,
        };
        unhashed += u64::from(wanted && kind == FileKind::File && blake3.is_none());
        let target = files::link_target(found.full, metadata);
        batch_bytes += found.relative.len() + target.as_ref().map_or(0, |target| target.as_bytes().len());
        batch.push(WalkEntry {
            path: ByteString::new(found.relative),
            kind,
            mode: metadata.mode() & 0o7777,
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns,
            inode: metadata.ino(),
            target,
            blake3,
        });
        if batch.len() == BATCH_ENTRIES || batch_bytes > BATCH_PATH_BYTES {
            reply.interim(&Response::WalkEntries { entries: std::mem::take(&mut batch) });
            batch_bytes = 0;
        }
        Then::Descend
    })?;
    if !batch.is_empty() {
        reply.interim(&Response::WalkEntries { entries: batch });
    }
    Ok(Response::WalkDone { entries, bytes_hashed, unreadable: unreadable + unhashed, cut })
}

pub(crate) fn list(
    path: &ByteString,
    depth_max: u32,
    entries_max: u32,
    glob: Option<&str>,
    reply: &Reply,
) -> Result<Response, CallError> {
    let root = absolute(path)?;
    let glob = glob.map(Glob::new).transpose()?;
    if !fs::metadata(root).map_err(|e| error_at(root, &e))?.is_dir() {
        return Err(failure(ErrorKind::NotADirectory, format!("`{path}` is not a directory")));
    }
    let mut batch = Vec::new();
    let (mut batch_bytes, mut entries, mut cut) = (0, 0u64, false);
    visit(root, |found| {
        if found.depth > 0 && glob.as_ref().is_none_or(|glob| glob.matches(found.relative)) {
            if entries == u64::from(entries_max) {
                cut = true;
                return Then::Stop;
            }
            entries += 1;
            batch_bytes += found.relative.len();
            let (kind, size) = (kind_of(found.metadata), found.metadata.size());
            batch.push(Entry { path: ByteString::new(found.relative), kind, size });
            if batch.len() == BATCH_ENTRIES || batch_bytes > BATCH_PATH_BYTES {
                reply.interim(&Response::Entries { entries: std::mem::take(&mut batch) });
                batch_bytes = 0;
            }
        }
        if found.depth < depth_max { Then::Descend } else { Then::Skip }
    })?;
    if !batch.is_empty() {
        reply.interim(&Response::Entries { entries: batch });
    }
    Ok(Response::ListDone { entries, cut })
}
