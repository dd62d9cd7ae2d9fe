//! A host folder as a tar that only root owns and everybody may read: what fills `/data`.

use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use rustix::fs::OFlags;
use tokio::sync::mpsc;

use super::TarStream;

const CHUNK_BYTES: usize = 256 << 10;
const ENTRIES_MAX: u64 = 2_000_000;
const DEPTH_MAX: usize = 256;

/// Packs `root` on a thread of its own, as fast as the reader takes it. Links are packed as links, never followed;
/// devices, FIFOs and sockets are left out.
pub(super) fn tar_of(root: PathBuf) -> TarStream {
    // A few chunks: the reader sets the pace.
    let (chunks, queue) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut sink = ChunkSink { chunks, pending: Vec::with_capacity(CHUNK_BYTES) };
        let packed = pack(&root, &mut sink).and_then(|()| sink.flush());
        if let Err(error) = packed {
            // Without the last blocks the engine refuses the archive, so half a folder never passes for the whole.
            let _ = sink.chunks.blocking_send(Err(error));
        }
    });
    futures_util::stream::unfold(queue, |mut queue| async { queue.recv().await.map(|chunk| (chunk, queue)) }).boxed()
}

fn pack(root: &Path, sink: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(sink);
    let mut entries = 0;
    let mut folders = vec![(root.to_owned(), PathBuf::new())];
    while let Some((folder, name)) = folders.pop() {
        let listing = std::fs::read_dir(&folder).map_err(|error| about(&folder, error))?;
        for entry in listing {
            let entry = entry.map_err(|error| about(&folder, error))?;
            let (path, name) = (entry.path(), name.join(entry.file_name()));
            let metadata = entry.metadata().map_err(|error| about(&path, error))?;
            entries += 1;
            if entries > ENTRIES_MAX || name.components().count() > DEPTH_MAX {
                let limit = format!("more than {ENTRIES_MAX} entries or {DEPTH_MAX} levels");
                return Err(about(root, io::Error::other(limit)));
            }
            let kind = metadata.file_type();
            if kind.is_dir() {
                append(&mut archive, &name, &metadata, tar::EntryType::Directory, 0o555, io::empty())?;
                folders.push((path, name));
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).map_err(|error| about(&path, error))?;
                let mut header = header(&metadata, tar::EntryType::Symlink, 0o777, 0);
                archive.append_link(&mut header, &name, &target).map_err(|error| about(&path, error))?;
            } else if kind.is_file() {
                let file = open_regular(&path).map_err(|error| about(&path, error))?;
                let mode = if metadata.mode() & 0o111 == 0 { 0o444 } else { 0o555 };
                append(&mut archive, &name, &metadata, tar::EntryType::Regular, mode, file)
                    .map_err(|error| about(&path, error))?;
            }
        }
    }
    archive.finish()
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &Path,
    metadata: &std::fs::Metadata,
    kind: tar::EntryType,
    mode: u32,
    content: impl Read,
) -> io::Result<()> {
    let size = if kind.is_dir() { 0 } else { metadata.len() };
    let mut header = header(metadata, kind, mode, size);
    // A file that grows meanwhile is cut where its header says; one that shrinks is padded, or all that follows would
    // be read as something else.
    archive.append_data(&mut header, name, content.chain(io::repeat(0)).take(size))
}

fn header(metadata: &std::fs::Metadata, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

/// Between listing and opening the name may have become a link or a FIFO; neither is opened.
fn open_regular(path: &Path) -> io::Result<std::fs::File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).expect("open flags fit an int");
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file any longer")) }
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

struct ChunkSink {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
}

impl Write for ChunkSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.pending, Vec::with_capacity(CHUNK_BYTES));
        self.chunks.blocking_send(Ok(chunk.into())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn files_and_links_are_packed_for_root_and_nothing_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/a.csv"), "1,2\n").unwrap();
        symlink("/etc/passwd", folder.path().join("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        let mut stream = tar_of(folder.path().to_owned());
        let mut archive = Vec::new();
        while let Some(chunk) = stream.next().await {
            archive.extend_from_slice(&chunk.unwrap());
        }
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mode().unwrap() & 0o222 & !0o777), (0, 0));
            seen.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), content));
        }
        seen.sort();
        assert_eq!(
            seen,
            [
                ("link".to_owned(), 0o777, String::new()),
                ("sub".to_owned(), 0o555, String::new()),
                ("sub/a.csv".to_owned(), 0o444, "1,2\n".to_owned()),
            ]
        );
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error_with_its_name() {
        let mut stream = tar_of("/nonexistent/data".into());
        let error = stream.next().await.unwrap().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/data"), "{error}");
    }
}
