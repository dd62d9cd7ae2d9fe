//! Trees as tar streams, for filling a sandbox: bounded in memory, the same bytes for the same tree.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use tar::{EntryType, Header};
use tokio::sync::mpsc;

use super::beneath::{self, Folder, Kind};
use super::copy_in::{CopyError, SkipReason, Skipped, open_root};
use super::seen::Mtime;
use super::{Entry, Manifest, TreePath};
use crate::id::BlobId;
use crate::sandbox::TarStream;

/// Reads a blob by its hash, from another thread.
pub type SharedReadBlob = Arc<dyn Fn(&BlobId) -> io::Result<Vec<u8>> + Send + Sync>;

/// Every file's time of change, 1 January 2024: fixed, so that the same tree is the same archive.
pub const MTIME_SECONDS: u64 = 1_704_067_200;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_IN_FLIGHT: usize = 8;
const DATA_DEPTH_MAX: usize = 256;

/// A manifest's tree, all of it owned by `uid` and `gid`; folders come before what they hold.
pub fn tar_stream(manifest: Arc<Manifest>, read: SharedReadBlob, uid: u64, gid: u64) -> TarStream {
    stream(move |writer| {
        let mut builder = tar::Builder::new(writer);
        for (path, entry) in &manifest.entries {
            match entry {
                Entry::File { mode, size, content } => {
                    let bytes = read(content)?;
                    if bytes.len() as u64 != *size {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{path}` has another size")));
                    }
                    let attributes = Attributes::plain(*mode, (uid, gid));
                    append(&mut builder, path, Member::File { size: *size }, &attributes, &bytes[..])?;
                }
                Entry::Directory { mode } => {
                    let attributes = Attributes::plain(*mode, (uid, gid));
                    append(&mut builder, path, Member::Directory, &attributes, io::empty())?;
                }
                Entry::Symlink { target } => {
                    let attributes = Attributes::plain(0o777, (uid, gid));
                    append(&mut builder, path, Member::Link { target }, &attributes, io::empty())?;
                }
            }
        }
        builder.into_inner()?.finish()
    })
}

#[derive(Debug, Clone, Copy)]
pub struct DataLimits {
    pub bytes_max: u64,
    pub files_max: u64,
}

/// A host folder for `/data`: owned by root, writable by nobody. Links stay links, devices and FIFOs stay away.
/// Everything is looked at once before the first byte flows; a file that changes its size after that ends the stream
/// with an error.
pub fn data_stream(folder: &Path, limits: DataLimits) -> Result<(TarStream, Vec<Skipped>), CopyError> {
    let root = open_root(folder)?;
    let mut listing = DataListing { limits, entries: Vec::new(), skipped: Vec::new(), bytes: 0 };
    let top = root.folder(b".").map_err(|source| CopyError::Unreadable { path: folder.to_owned(), source })?;
    listing.folder(&top, None, 0)?;
    let DataListing { entries, skipped, .. } = listing;
    let tar = stream(move |writer| {
        let mut builder = tar::Builder::new(writer);
        for (path, entry) in &entries {
            match entry {
                DataEntry::File { mode, size } => {
                    let (file, _) = root.file(path.as_bytes())?;
                    let mut exact = ExactSize { inner: file.take(*size), left: *size };
                    let attributes = Attributes::plain(*mode, (0, 0));
                    append(&mut builder, path, Member::File { size: *size }, &attributes, &mut exact)?;
                }
                DataEntry::Directory { mode } => {
                    let attributes = Attributes::plain(*mode, (0, 0));
                    append(&mut builder, path, Member::Directory, &attributes, io::empty())?;
                }
                DataEntry::Link { target } => {
                    let attributes = Attributes::plain(0o777, (0, 0));
                    append(&mut builder, path, Member::Link { target }, &attributes, io::empty())?;
                }
            }
        }
        builder.into_inner()?.finish()
    });
    Ok((tar, skipped))
}

pub(super) enum Member<'a> {
    File {
        size: u64,
    },
    Directory,
    Link {
        target: &'a TreePath,
    },
    /// Another name for a member that came before.
    HardLink {
        target: &'a TreePath,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: Mtime,
}

impl Attributes {
    /// Of a tree whose times are nobody's business: setuid, setgid and sticky bits never travel.
    fn plain(mode: u32, (uid, gid): (u64, u64)) -> Self {
        Attributes { mode: mode & 0o777, uid, gid, mtime: Mtime { seconds: MTIME_SECONDS as i64, nanoseconds: 0 } }
    }
}

pub(super) fn append<W: Write>(
    builder: &mut tar::Builder<W>,
    path: &TreePath,
    member: Member<'_>,
    attributes: &Attributes,
    content: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    let (kind, size) = match &member {
        Member::File { size } => (EntryType::Regular, *size),
        Member::Directory => (EntryType::Directory, 0),
        Member::Link { .. } => (EntryType::Symlink, 0),
        Member::HardLink { .. } => (EntryType::Link, 0),
    };
    exact_mtime(builder, attributes.mtime)?;
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Symlink { 0o777 } else { attributes.mode });
    header.set_size(size);
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_mtime(u64::try_from(attributes.mtime.seconds).unwrap_or(0));
    if let Member::Link { target } | Member::HardLink { target } = &member {
        long_name(builder, EntryType::GNULongLink, target.as_bytes(), &mut header.as_old_mut().linkname)?;
    }
    long_name(builder, EntryType::GNULongName, path.as_bytes(), &mut header.as_old_mut().name)?;
    header.set_cksum();
    builder.append(&header, content)
}

/// Where whole seconds do not say it: a record that goes ahead, as POSIX has it.
fn exact_mtime<W: Write>(builder: &mut tar::Builder<W>, mtime: Mtime) -> io::Result<()> {
    if mtime.nanoseconds == 0 && mtime.seconds >= 0 {
        return Ok(());
    }
    // Below zero the fraction still counts upwards, and the text is one number.
    let total = i128::from(mtime.seconds) * 1_000_000_000 + i128::from(mtime.nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let (seconds, fraction) = (total.unsigned_abs() / 1_000_000_000, total.unsigned_abs() % 1_000_000_000);
    let fields = format!(" mtime={sign}{seconds}.{fraction:09}\n");
    // The length counts itself; it has two digits with any time there can be.
    let record = format!("{}{fields}", fields.len() + 2);
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..8].copy_from_slice(b"./mtimes");
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(record.len() as u64);
    header.set_cksum();
    builder.append(&header, record.as_bytes())
}

/// Puts a name into its field byte for byte. One that does not fit goes ahead in a member of its own, as GNU tar
/// writes it, and the field holds its beginning.
fn long_name<W: Write>(
    builder: &mut tar::Builder<W>,
    kind: EntryType,
    name: &[u8],
    field: &mut [u8; 100],
) -> io::Result<()> {
    let fits = name.len().min(field.len());
    field[..fits].copy_from_slice(&name[..fits]);
    if name.len() <= field.len() {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(name.len() as u64 + 1);
    header.set_cksum();
    builder.append(&header, name.chain(&b"\0"[..]))
}

enum DataEntry {
    File { mode: u32, size: u64 },
    Directory { mode: u32 },
    Link { target: TreePath },
}

struct DataListing {
    limits: DataLimits,
    entries: Vec<(TreePath, DataEntry)>,
    skipped: Vec<Skipped>,
    bytes: u64,
}

impl DataListing {
    fn folder(&mut self, folder: &Folder, at: Option<&TreePath>, depth: usize) -> Result<(), CopyError> {
        let unreadable = |source| CopyError::Unreadable {
            path: at.map_or_else(|| ".".into(), |at| at.to_path().to_owned()),
            source,
        };
        for name in folder.names(self.limits.files_max).map_err(unreadable)? {
            let path = at.map_or_else(|| TreePath::new(name.clone()), |at| at.child(&name));
            let path = path.expect("a directory entry is one plain name");
            if depth > DATA_DEPTH_MAX {
                return Err(CopyError::TooDeep { path });
            }
            let Some(stat) = folder.stat(&name).map_err(unreadable)? else { continue };
            let readonly = beneath::permissions(&stat) & 0o555;
            let entry = match beneath::kind(&stat) {
                // Whoever may read it here may read it there, where another user does the reading.
                Kind::File => {
                    DataEntry::File { mode: readonly | 0o444, size: u64::try_from(stat.st_size).unwrap_or(0) }
                }
                Kind::Directory => DataEntry::Directory { mode: readonly | 0o555 },
                Kind::Symlink => {
                    let target = folder.link_target(&name).map_err(unreadable)?;
                    DataEntry::Link { target: TreePath::link_target(target).expect("a link's target is never empty") }
                }
                Kind::Special(what) => {
                    self.skipped.push(Skipped { path, reason: SkipReason::Special(what) });
                    continue;
                }
            };
            if let DataEntry::File { size, .. } = &entry {
                self.bytes = self.bytes.saturating_add(*size);
            }
            if self.bytes > self.limits.bytes_max {
                return Err(CopyError::TooManyBytes { path, bytes_max: self.limits.bytes_max });
            }
            if self.entries.len() as u64 >= self.limits.files_max {
                return Err(CopyError::TooManyFiles { files_max: self.limits.files_max });
            }
            let is_folder = matches!(entry, DataEntry::Directory { .. });
            self.entries.push((path.clone(), entry));
            if is_folder {
                let inner = folder.folder(&name).map_err(unreadable)?;
                self.folder(&inner, Some(&path), depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Turns an early end of file into an error: the archive has promised its size already.
struct ExactSize<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for ExactSize<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file shrank while it was copied"));
        }
        Ok(count)
    }
}

/// What the writing thread sends. Without `End` the archive is incomplete, whatever became of the thread.
enum Message {
    Chunk(Vec<u8>),
    Failed(io::Error),
    End,
}

/// Runs `write` on a thread of its own and hands out what it writes. It waits when nobody reads, and ends when the
/// stream is dropped.
pub(super) fn stream(write: impl FnOnce(ChunkWriter) -> io::Result<()> + Send + 'static) -> TarStream {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let failed = sender.clone();
    let thread = std::thread::Builder::new().name("tar".into()).spawn(move || {
        if let Err(error) = write(ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK_BYTES) }) {
            // Nobody listens any more when this cannot be sent.
            let _ = failed.blocking_send(Message::Failed(error));
        }
    });
    if let Err(error) = thread {
        return futures_util::stream::once(async move { Err(error) }).boxed();
    }
    futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Message::Chunk(chunk)) => Some((Ok(Bytes::from(chunk)), Some(receiver))),
            Some(Message::Failed(error)) => Some((Err(error), None)),
            Some(Message::End) => None,
            None => Some((Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive broke off")), None)),
        }
    })
    .boxed()
}

pub(super) struct ChunkWriter {
    sender: mpsc::Sender<Message>,
    chunk: Vec<u8>,
}

impl ChunkWriter {
    fn send(&self, message: Message) -> io::Result<()> {
        self.sender.blocking_send(message).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Message::End)
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.send(Message::Chunk(chunk))
    }
}
