//! File tools over the link: what they ask the supervisor, and its answers in the words of the sandbox.

use std::time::Duration;

use greenroom_supervisor::protocol::{
    ByteString, CallError, ErrorKind, FileKind, HashWhich, Parents, Precondition, Request, Response, WRITE_BYTES_MAX,
    WalkEntry,
};

use super::commands::unexpected;
use super::link::{Call, Item, Link};
use super::{FileError, ListRequest, Listing, SandboxError, SearchMatch, SearchRequest, SearchResult};
use super::{UNPACKED_PATH_BYTES_MAX, WORKSPACE};
use crate::id::BlobId;
use crate::snapshot::{Entry, Manifest, TreePath};

/// One file call; a walk reads and hashes the whole workspace.
const CALL_MAX: Duration = Duration::from_secs(120);
const WALK_MAX: Duration = Duration::from_secs(900);
const WALK_ENTRIES_MAX: u64 = 2_000_000;
const LIST_DEPTH_MAX: u32 = 64;
/// Text of matches that a search may send.
const SEARCH_BYTES_MAX: u64 = 8 << 20;
const MATCH_TEXT_BYTES_MAX: usize = 400;

type Answer<T> = Result<Result<T, FileError>, SandboxError>;

pub(super) async fn read(link: &Link, path: &str, bytes_max: u64) -> Answer<Vec<u8>> {
    let Ok(target) = absolute(path) else { return Ok(Err(with_nul())) };
    in_time(CALL_MAX, async {
        let mut call = link.call(&Request::Read { path: target, offset: 0, bytes_max })?;
        let mut content = Vec::new();
        loop {
            match call.next().await? {
                Item::Chunk { bytes, .. } => content.extend_from_slice(&bytes),
                Item::Response(Response::ReadDone(done)) if done.more => {
                    let bytes = done.metadata.size.max(bytes_max + 1);
                    return Ok(Err(FileError::TooLarge { path: path.to_owned(), bytes, bytes_max }));
                }
                Item::Response(Response::ReadDone(_)) => return Ok(Ok(content)),
                Item::Response(Response::Failed { error }) => return refused(path, error),
                Item::Response(other) => return Err(unexpected("a read", &other)),
            }
        }
    })
    .await
}

pub(super) async fn write(link: &Link, path: &str, content: &[u8], expect: Option<&BlobId>) -> Answer<()> {
    let Ok(target) = absolute(path) else { return Ok(Err(with_nul())) };
    let bytes = content.len() as u64;
    if bytes > WRITE_BYTES_MAX {
        return Ok(Err(FileError::TooLarge { path: path.to_owned(), bytes, bytes_max: WRITE_BYTES_MAX }));
    }
    let expect = match expect {
        Some(hash) => Precondition::Blake3 { hex: hash.as_str().to_owned() },
        None => Precondition::Any,
    };
    let request = Request::Write { path: target, bytes_total: bytes, mode: None, parents: Parents::Create, expect };
    in_time(CALL_MAX, async {
        let mut call = link.call(&request)?;
        call.send_input(content).await?;
        match last(&mut call).await? {
            Response::WriteDone { .. } => Ok(Ok(())),
            Response::Failed { error } => refused(path, error),
            other => Err(unexpected("a write", &other)),
        }
    })
    .await
}

pub(super) async fn list(link: &Link, request: &ListRequest) -> Answer<Listing> {
    let Ok(target) = absolute(&request.path) else { return Ok(Err(with_nul())) };
    let depth_max = if request.pattern.is_some() { LIST_DEPTH_MAX } else { 1 };
    let question =
        Request::List { path: target, depth_max, entries_max: request.entries_max, glob: request.pattern.clone() };
    in_time(CALL_MAX, async {
        let mut call = link.call(&question)?;
        let mut listing = Listing::default();
        loop {
            match call.next().await? {
                Item::Response(Response::Entries { entries }) => {
                    listing.entries.extend(entries.into_iter().map(|entry| match entry.kind {
                        FileKind::Dir => format!("{}/", entry.path),
                        FileKind::File | FileKind::Symlink | FileKind::Other => entry.path.to_string(),
                    }));
                }
                Item::Response(Response::ListDone { cut, .. }) => {
                    listing.entries.sort();
                    listing.truncated = cut;
                    return Ok(Ok(listing));
                }
                Item::Response(Response::Failed { error }) => return refused(&request.path, error),
                Item::Response(other) => return Err(unexpected("a listing", &other)),
                Item::Chunk { .. } => {}
            }
        }
    })
    .await
}

pub(super) async fn search(link: &Link, request: &SearchRequest) -> Answer<SearchResult> {
    let Ok(target) = absolute(&request.path) else { return Ok(Err(with_nul())) };
    let question = Request::Search {
        pattern: request.pattern.clone(),
        path: target.clone(),
        glob: request.glob.clone(),
        matches_max: request.matches_max,
        bytes_max: SEARCH_BYTES_MAX,
    };
    in_time(CALL_MAX, async {
        let folder = match folder_of_matches(link, &target).await? {
            Ok(folder) => folder,
            Err(error) => return refused(&request.path, error),
        };
        let mut call = link.call(&question)?;
        let mut result = SearchResult::default();
        loop {
            match call.next().await? {
                Item::Response(Response::Matches { matches }) => {
                    result.matches.extend(matches.into_iter().map(|found| SearchMatch {
                        path: format!("{folder}{}", found.path),
                        line: u32::try_from(found.line).unwrap_or(u32::MAX),
                        text: cut(found.text),
                    }));
                }
                Item::Response(Response::SearchDone { cut, .. }) => {
                    result.truncated = cut;
                    return Ok(Ok(result));
                }
                Item::Response(Response::Failed { error }) => return refused(&request.path, error),
                Item::Response(other) => return Err(unexpected("a search", &other)),
                Item::Chunk { .. } => {}
            }
        }
    })
    .await
}

/// What to put before the paths of matches, which are relative to what was searched, so that they are relative to the
/// workspace where they lie in it.
async fn folder_of_matches(link: &Link, target: &ByteString) -> Result<Result<String, CallError>, SandboxError> {
    let path = target.to_string();
    let relative = match path.strip_prefix(WORKSPACE) {
        Some("") => return Ok(Ok(String::new())),
        Some(below) if below.starts_with('/') => below.trim_matches('/').to_owned(),
        Some(_) | None => path,
    };
    if relative.is_empty() {
        return Ok(Ok(String::new()));
    }
    let mut call = link.call(&Request::Stat { path: target.clone() })?;
    match last(&mut call).await? {
        Response::StatDone { metadata } => Ok(Ok(match metadata.kind {
            FileKind::Dir => format!("{relative}/"),
            FileKind::File | FileKind::Symlink | FileKind::Other => {
                relative.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"))
            }
        })),
        Response::Failed { error } => Ok(Err(error)),
        other => Err(unexpected("a path", &other)),
    }
}

pub(super) async fn walk(link: &Link) -> Result<Manifest, SandboxError> {
    let request = Request::Walk {
        root: WORKSPACE.into(),
        exclude: Vec::new(),
        hash: HashWhich::All,
        entries_max: WALK_ENTRIES_MAX,
    };
    let refused = |detail: String| SandboxError::Refused { what: "list the workspace".to_owned(), detail };
    in_time(WALK_MAX, async {
        let mut call = link.call(&request)?;
        let mut manifest = Manifest::default();
        loop {
            match call.next().await? {
                Item::Response(Response::WalkEntries { entries }) => {
                    manifest.entries.extend(entries.into_iter().filter_map(manifest_entry));
                }
                Item::Response(Response::WalkDone { cut: true, .. }) => {
                    return Err(refused(format!("it has more than {WALK_ENTRIES_MAX} entries")));
                }
                Item::Response(Response::WalkDone { .. }) => return Ok(manifest),
                Item::Response(Response::Failed { error }) => return Err(refused(error.message)),
                Item::Response(other) => return Err(unexpected("a walk", &other)),
                Item::Chunk { .. } => {}
            }
        }
    })
    .await
}

/// `None` for the root itself, for what no snapshot holds (devices, FIFOs, sockets), and for a file whose own user may
/// not read it: nothing could be restored from it.
fn manifest_entry(seen: WalkEntry) -> Option<(TreePath, Entry)> {
    let path = TreePath::new(seen.path.into_bytes())?;
    if path.as_bytes().len() > UNPACKED_PATH_BYTES_MAX {
        tracing::warn!("the patch goes without a path of {} bytes", path.as_bytes().len());
        return None;
    }
    let entry = match seen.kind {
        FileKind::File => match seen.blake3.as_deref().and_then(BlobId::from_hex) {
            Some(content) => Entry::File { mode: seen.mode & 0o7777, size: seen.size, content },
            None => {
                tracing::warn!(%path, "the snapshot goes without a file that cannot be read");
                return None;
            }
        },
        FileKind::Dir => Entry::Directory { mode: seen.mode & 0o7777 },
        FileKind::Symlink => Entry::Symlink { target: TreePath::link_target(seen.target?.into_bytes())? },
        FileKind::Other => return None,
    };
    Some((path, entry))
}

/// The final answer of a call without parts.
async fn last(call: &mut Call) -> Result<Response, SandboxError> {
    loop {
        match call.next().await? {
            Item::Response(response) if response.is_final() => return Ok(response),
            Item::Response(_) | Item::Chunk { .. } => {}
        }
    }
}

pub(super) async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, SandboxError>>,
) -> Result<T, SandboxError> {
    let lost = || SandboxError::Lost { detail: format!("PID 1 did not answer within {} s", limit.as_secs()) };
    tokio::time::timeout(limit, call).await.map_err(|_| lost())?
}

/// Paths are taken from the workspace.
fn absolute(path: &str) -> Result<ByteString, NulInPath> {
    match path {
        path if path.contains('\0') => Err(NulInPath),
        "" | "." => Ok(WORKSPACE.into()),
        path if path.starts_with('/') => Ok(path.into()),
        path => Ok(format!("{WORKSPACE}/{}", path.trim_start_matches("./")).into()),
    }
}

struct NulInPath;

fn with_nul() -> FileError {
    FileError::Invalid { detail: "a path cannot hold a NUL".to_owned() }
}

/// An answer the model can act on, or the end of the sandbox.
fn refused<T>(path: &str, error: CallError) -> Answer<T> {
    let path = path.to_owned();
    Ok(Err(match error.kind {
        ErrorKind::NotFound => FileError::NotFound { path },
        ErrorKind::NotADirectory => FileError::NotDirectory { path },
        ErrorKind::IsDirectory => FileError::IsDirectory { path },
        ErrorKind::NotAFile => FileError::NotRegular { path },
        ErrorKind::Permission => FileError::Permission { path },
        ErrorKind::HashMismatch => FileError::Changed { path },
        ErrorKind::AlreadyExists
        | ErrorKind::NotEmpty
        | ErrorKind::TooLarge
        | ErrorKind::NoSpace
        | ErrorKind::ReadOnly
        | ErrorKind::BadPattern
        | ErrorKind::BadRequest
        | ErrorKind::Busy
        | ErrorKind::Interrupted
        | ErrorKind::Io => FileError::Invalid { detail: error.message },
        ErrorKind::DuplicateCall | ErrorKind::StaleEpoch => {
            return Err(SandboxError::Lost { detail: error.message });
        }
    }))
}

fn cut(mut text: String) -> String {
    let end = (0..=MATCH_TEXT_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_taken_from_the_workspace() {
        let path = |given| absolute(given).map(|path| path.to_string()).ok();
        assert_eq!(path("src/a.rs").as_deref(), Some("/workspace/src/a.rs"));
        assert_eq!(path("./src").as_deref(), Some("/workspace/src"));
        assert_eq!(path(".").as_deref(), Some("/workspace"));
        assert_eq!(path("/data/x").as_deref(), Some("/data/x"));
        assert_eq!(path("a\0b"), None);
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let text = cut("ä".repeat(300));
        assert_eq!(text.len(), 400);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
