//! Content-addressed files, compressed, shared by all runs: `blobs/ab/<hash>.zst`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::seal::{Sealing, is_intact};
use crate::failpoint::{self, Failpoint};
use crate::id::BlobId;

#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
    written: std::sync::Arc<AtomicU64>,
}

/// Level 1: a step must not wait for compression.
const ZSTD_LEVEL: i32 = 1;

impl Blobs {
    pub fn new(root: PathBuf) -> Self {
        Blobs { root, written: Default::default() }
    }

    /// Writes beside, syncs, renames: a crash leaves either nothing or the whole blob.
    pub fn put(&self, bytes: &[u8]) -> io::Result<BlobId> {
        let id = BlobId::of(bytes);
        let path = self.path(&id);
        if path.exists() {
            return Ok(id);
        }
        let folder = path.parent().expect("a blob's path has a folder");
        fs::create_dir_all(folder)?;
        let temporary = folder.join(format!(".{}.{}", std::process::id(), next_number()));
        let mut file = File::options().write(true).create_new(true).open(&temporary)?;
        let compressed = zstd::bulk::compress(bytes, ZSTD_LEVEL)?;
        self.written.fetch_add(compressed.len() as u64, Ordering::Relaxed);
        let mut sealing = Sealing::new(&mut file);
        let written = sealing
            .write_all(&compressed)
            .and_then(|()| sealing.finish().map(drop))
            .and_then(|()| failpoint::hit(Failpoint::BlobWritten))
            .and_then(|()| file.sync_all())
            .and_then(|()| failpoint::hit(Failpoint::BlobSynced));
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &path)) {
            // The first error is the one to report; a leftover temporary file is harmless.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        failpoint::hit(Failpoint::BlobRenamed)?;
        File::open(folder)?.sync_all()?;
        Ok(id)
    }

    pub fn has(&self, id: &BlobId) -> bool {
        self.path(id).exists()
    }

    /// By this process, compressed.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Reads and verifies. Fails with `InvalidData` where the content is not what the name says.
    pub fn get(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        let path = self.path(id);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("blob {id}: {error}"));
        let bytes = zstd::stream::decode_all(File::open(&path).map_err(named)?).map_err(named)?;
        if BlobId::of(&bytes) != *id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("blob {id} does not match its name")));
        }
        Ok(bytes)
    }

    /// Whether content and file are what was written, and how long the content is. Fails with `InvalidData` otherwise.
    pub fn verify(&self, id: &BlobId) -> io::Result<u64> {
        let content = self.get(id)?;
        match is_intact(&fs::read(self.path(id))?) {
            true => Ok(content.len() as u64),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file of blob {id} was changed"))),
        }
    }

    pub fn path(&self, id: &BlobId) -> PathBuf {
        self.root.join(&id.as_str()[..2]).join(format!("{id}.zst"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let id = blobs.put(b"hello").expect("stored");
        assert_eq!(blobs.put(b"hello").expect("stored twice"), id);
        assert_eq!(blobs.get(&id).expect("read"), b"hello");
    }

    #[test]
    fn any_flipped_bit_of_the_file_is_found_even_where_no_decoder_looks() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let id = blobs.put(&b"hello ".repeat(100)).expect("stored");
        let whole = fs::read(blobs.path(&id)).expect("its file");
        assert_eq!(blobs.verify(&id).expect("as written"), 600);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                fs::write(blobs.path(&id), bent).expect("tampered");
                assert!(blobs.verify(&id).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_changed_blob_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let id = blobs.put(b"hello").expect("stored");
        fs::write(blobs.path(&id), zstd::bulk::compress(b"jello", 1).expect("compressed")).expect("tampered");
        assert_eq!(blobs.get(&id).expect_err("refused").kind(), io::ErrorKind::InvalidData);
    }
}
