//! Blobs in packs: one file a writer, to which contents are appended, synced once for all that an event names.
//!
//! A pack is a sequence of zstd frames, each behind a skippable one (RFC 8878, 3.1.2) that says what it is, so `zstd -d`
//! reads the whole file:
//!
//! ```text
//! magic 4 | length 4 | id 32 | stored length 8 | hash of what is stored 32 | first 8 bytes of the hash of all before | frame
//! ```
//!
//! A pack is never written to again once its writer is gone. What a crash tore off at its end no record names.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::failpoint::{self, Failpoint};
use crate::id::BlobId;
use crate::planted::{self, Planted};

const MAGIC: [u8; 4] = [0x51, 0x2a, 0x4d, 0x18];
const PAYLOAD_BYTES: u32 = 32 + 8 + 32 + 8;
pub(super) const HEADER_BYTES: u64 = 8 + PAYLOAD_BYTES as u64;
/// Level 1: a step must not wait for compression.
const ZSTD_LEVEL: i32 = 1;

/// All packs of one folder, and the one that this value writes.
#[derive(Debug)]
pub(super) struct Packs {
    pub(super) folder: PathBuf,
    /// Shared by all who store or ask what is stored, until they are gone: nothing is collected meanwhile.
    hold: OnceLock<File>,
    inner: Mutex<Inner>,
    written: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    own: Option<Own>,
    /// Of what this value has written.
    own_index: HashMap<[u8; 32], Place>,
    /// Of every pack there is, as far as they were looked at.
    index: HashMap<[u8; 32], (usize, Place)>,
    packs: Vec<PathBuf>,
    looked_at: BTreeMap<PathBuf, u64>,
    is_loaded: bool,
    /// After a failure nothing more is written: what is on disk is not known any longer.
    is_broken: bool,
}

#[derive(Debug)]
struct Own {
    file: File,
    bytes: u64,
    is_dirty: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Behind its header.
    pub(super) stored: u64,
}

impl Packs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Packs { folder, hold: OnceLock::new(), inner: Mutex::default(), written: AtomicU64::new(0) }
    }

    /// From now on nothing that is stored goes away.
    pub(super) fn hold(&self) -> io::Result<()> {
        if self.hold.get().is_none() {
            let lock = lock_file(&self.folder)?;
            lock.lock_shared()?;
            // Where another thread was faster, its lock does.
            let _ = self.hold.set(lock);
        }
        Ok(())
    }

    /// Appends; durable after the next [`Packs::sync`].
    pub(super) fn put(&self, id: &BlobId, bytes: &[u8]) -> io::Result<()> {
        self.hold()?;
        let mut inner = self.inner.lock().expect("no code panics while it holds the packs");
        if inner.is_broken {
            return Err(io::Error::other("a blob could not be written before; nothing more is written"));
        }
        let put = inner.append(&self.folder, id, bytes);
        match &put {
            Ok(stored) => drop(self.written.fetch_add(*stored, Ordering::Relaxed)),
            Err(_) => inner.is_broken = true,
        }
        put.map(drop)
    }

    /// Everything that was put is durable when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut inner = self.inner.lock().expect("no code panics while it holds the packs");
        let Some(own) = inner.own.as_mut().filter(|own| own.is_dirty) else { return Ok(()) };
        let synced = own.file.sync_data().and_then(|()| failpoint::hit(Failpoint::BlobSynced));
        own.is_dirty = false;
        if synced.is_err() {
            inner.is_broken = true;
        }
        synced
    }

    pub(super) fn has(&self, id: &BlobId) -> bool {
        // Who cannot hold it must not rely on it.
        if self.hold().is_err() {
            return false;
        }
        let mut inner = self.inner.lock().expect("no code panics while it holds the packs");
        let key = id.to_bytes();
        if inner.own_index.contains_key(&key) {
            return true;
        }
        if !inner.is_loaded {
            // What cannot be read now is stored once more.
            let _ = inner.look(&self.folder);
        }
        inner.index.contains_key(&key)
    }

    /// The compressed bytes and whether they are as they were written; `None` where no pack has it.
    pub(super) fn stored(&self, id: &BlobId) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut inner = self.inner.lock().expect("no code panics while it holds the packs");
        let key = id.to_bytes();
        if let (Some(place), Some(own)) = (inner.own_index.get(&key), &inner.own) {
            return read(&own.file, id, *place).map(Some);
        }
        if !inner.index.contains_key(&key) {
            inner.look(&self.folder)?;
        }
        let Some((pack, place)) = inner.index.get(&key) else { return Ok(None) };
        let file = File::open(&inner.packs[*pack])?;
        read(&file, id, *place).map(Some)
    }

    pub(super) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        // For whoever put without an event to follow; what an event names was synced before it.
        if let Ok(inner) = self.inner.get_mut()
            && let Some(own) = &inner.own
            && own.is_dirty
        {
            let _ = own.file.sync_data();
        }
    }
}

impl Inner {
    fn append(&mut self, folder: &Path, id: &BlobId, bytes: &[u8]) -> io::Result<u64> {
        let compressed = zstd::bulk::compress(bytes, ZSTD_LEVEL)?;
        if self.own.is_none() {
            self.own = Some(Own { file: create(folder)?, bytes: 0, is_dirty: false });
        }
        let own = self.own.as_mut().expect("it was just made");
        let header = header(id, &compressed);
        let stored = HEADER_BYTES + compressed.len() as u64;
        own.is_dirty = true;
        own.file.write_all(&[&header[..], &compressed].concat())?;
        failpoint::hit(Failpoint::BlobWritten)?;
        let place = Place { offset: own.bytes, stored: compressed.len() as u64 };
        own.bytes += stored;
        self.own_index.insert(id.to_bytes(), place);
        Ok(stored)
    }

    /// Takes in what the packs hold since they were last looked at.
    fn look(&mut self, folder: &Path) -> io::Result<()> {
        self.is_loaded = true;
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let from = self.looked_at.get(&path).copied().unwrap_or(0);
            let file = File::open(&path)?;
            let length = file.metadata()?.len();
            if length <= from {
                continue;
            }
            let pack = self.packs.iter().position(|known| *known == path).unwrap_or_else(|| {
                self.packs.push(path.clone());
                self.packs.len() - 1
            });
            let end = scan(&file, from, length, &mut |id, place| {
                self.index.insert(id, (pack, place));
            })?;
            self.looked_at.insert(path, end);
        }
        Ok(())
    }
}

/// Of the folder above the packs.
pub(super) fn lock_file(folder: &Path) -> io::Result<File> {
    let above = folder.parent().unwrap_or(folder);
    fs::create_dir_all(above)?;
    File::options().read(true).write(true).create(true).truncate(false).open(above.join("lock"))
}

pub(super) fn create(folder: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let now = jiff::Timestamp::now().as_microsecond();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{now:016x}-{}-{number}.zst", std::process::id());
    let file = File::options().read(true).append(true).create_new(true).open(folder.join(name))?;
    failpoint::hit(Failpoint::BlobRenamed)?;
    for folder in [folder, folder.parent().unwrap_or(folder)] {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn header(id: &BlobId, compressed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&PAYLOAD_BYTES.to_le_bytes());
    bytes.extend_from_slice(&id.to_bytes());
    bytes.extend_from_slice(&(compressed.len() as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(compressed).as_bytes());
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(&check.as_bytes()[..8]);
    bytes
}

/// Calls `found` for every whole frame from `from` on; answers with the end of the last one. A header that is not as it
/// was written costs its own blob: the search goes on at the next one.
pub(super) fn scan(file: &File, from: u64, length: u64, found: &mut dyn FnMut([u8; 32], Place)) -> io::Result<u64> {
    let (mut at, mut end) = (from, from);
    let mut header = [0; HEADER_BYTES as usize];
    while at + HEADER_BYTES <= length {
        file.read_exact_at(&mut header, at)?;
        let stored = u64::from_le_bytes(header[40..48].try_into().expect("eight bytes"));
        let is_whole = header[..4] == MAGIC && blake3::hash(&header[..80]).as_bytes()[..8] == header[80..];
        match is_whole {
            true if at + HEADER_BYTES + stored <= length || planted::has(Planted::KeepTornBlob) => {
                found(header[8..40].try_into().expect("thirty-two bytes"), Place { offset: at, stored });
                at += HEADER_BYTES + stored;
                end = at;
            }
            // Not yet written to its end, or never.
            true => break,
            false => match next_magic(file, at + 1, length)? {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    Ok(end)
}

fn next_magic(file: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    const CHUNK: usize = 64 << 10;
    let mut at = from;
    while at + HEADER_BYTES <= length {
        let mut chunk = vec![0; CHUNK.min((length - at) as usize)];
        file.read_exact_at(&mut chunk, at)?;
        if let Some(found) = chunk.windows(4).position(|window| *window == MAGIC) {
            return Ok(Some(at + found as u64));
        }
        at += (chunk.len() - 3) as u64;
    }
    Ok(None)
}

fn read(file: &File, id: &BlobId, place: Place) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = vec![0; (HEADER_BYTES + place.stored) as usize];
    file.read_exact_at(&mut bytes, place.offset)?;
    let compressed = bytes.split_off(HEADER_BYTES as usize);
    let is_intact = bytes == header(id, &compressed) || planted::has(Planted::TrustPack);
    Ok((compressed, is_intact))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pack_of(folder: &Path, contents: &[&[u8]]) -> PathBuf {
        let packs = Packs::new(folder.to_owned());
        for bytes in contents {
            packs.put(&BlobId::of(bytes), bytes).unwrap();
        }
        packs.sync().unwrap();
        fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
    }

    fn holds(folder: &Path, bytes: &[u8]) -> bool {
        let stored = Packs::new(folder.to_owned()).stored(&BlobId::of(bytes)).unwrap();
        stored.is_some_and(|(compressed, intact)| intact && zstd::stream::decode_all(&*compressed).unwrap() == bytes)
    }

    #[test]
    fn every_cut_leaves_the_blobs_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = pack_of(folder.path(), &[b"one", b"two"]);
        let whole = fs::read(&path).unwrap();
        let second = whole.len() - (whole.len() / 2);
        for cut in second..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(holds(folder.path(), b"one") && !holds(folder.path(), b"two"), "cut at {cut} of {}", whole.len());
        }
        fs::write(&path, &whole).unwrap();
        assert!(holds(folder.path(), b"two"));
    }

    #[test]
    fn a_flipped_byte_costs_its_own_blob_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let contents: [&[u8]; 3] = [b"one", b"two", b"three"];
        let path = pack_of(folder.path(), &contents);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 4;
            fs::write(&path, &bent).unwrap();
            let lost = contents.iter().filter(|bytes| !holds(folder.path(), bytes)).count();
            assert_eq!(lost, 1, "byte {at}");
        }
    }

    #[test]
    fn what_another_writer_appended_meanwhile_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Packs::new(folder.path().to_owned()), Packs::new(folder.path().to_owned()));
        one.put(&BlobId::of(b"a"), b"a").unwrap();
        assert!(other.has(&BlobId::of(b"a")));
        one.put(&BlobId::of(b"b"), b"b").unwrap();
        assert!(other.stored(&BlobId::of(b"b")).unwrap().is_some());
    }

    #[test]
    fn a_pack_is_a_file_that_zstd_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = pack_of(folder.path(), &[b"one ", b"two"]);
        assert_eq!(zstd::stream::decode_all(File::open(path).unwrap()).unwrap(), b"one two");
    }
}
