//! Content-addressed bytes, compressed, shared by all runs: in packs (`blobs/packs/`), and as older runs left them, one
//! file each (`blobs/ab/<hash>.zst`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::packs::Packs;
use super::seal::is_intact;
use crate::id::BlobId;
use crate::planted::{self, Planted};

/// Clones write to the same pack.
#[derive(Debug, Clone)]
pub struct Blobs {
    pub(super) root: PathBuf,
    pub(super) packs: Arc<Packs>,
}

impl Blobs {
    pub fn new(root: PathBuf) -> Self {
        let packs = Arc::new(Packs::new(root.join("packs")));
        Blobs { root, packs }
    }

    /// Stores bytes that are not stored yet. They are durable after the next [`Blobs::sync`].
    pub fn put(&self, bytes: &[u8]) -> io::Result<BlobId> {
        let id = BlobId::of(bytes);
        if !self.has(&id) || planted::has(Planted::DropDedupe) {
            self.packs.put(&id, bytes)?;
        }
        Ok(id)
    }

    /// Nothing that is stored goes away while this value or a clone of it lives.
    pub fn hold(&self) -> io::Result<()> {
        self.packs.hold()
    }

    /// Everything that was put is durable when this returns. After an error nothing more can be put.
    pub fn sync(&self) -> io::Result<()> {
        self.packs.sync()
    }

    pub fn has(&self, id: &BlobId) -> bool {
        self.packs.has(id) || self.path(id).exists()
    }

    /// By this value and its clones, compressed.
    pub fn bytes_written(&self) -> u64 {
        self.packs.bytes_written()
    }

    /// Reads and verifies. Fails with `InvalidData` where the content is not what the name says.
    pub fn get(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        self.read(id).map(|(bytes, _)| bytes)
    }

    /// Whether content and file are what was written, and how long the content is. Fails with `InvalidData` otherwise.
    pub fn verify(&self, id: &BlobId) -> io::Result<u64> {
        match self.read(id)? {
            (content, true) => Ok(content.len() as u64),
            (_, false) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file of blob {id} was changed"))),
        }
    }

    fn read(&self, id: &BlobId) -> io::Result<(Vec<u8>, bool)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("blob {id}: {error}"));
        let (stored, intact) = match self.packs.stored(id).map_err(named)? {
            Some(stored) => stored,
            None => {
                let file = fs::read(self.path(id)).map_err(named)?;
                let intact = is_intact(&file);
                (file, intact)
            }
        };
        let broken = |error: io::Error| io::Error::new(io::ErrorKind::InvalidData, format!("blob {id}: {error}"));
        let bytes = zstd::stream::decode_all(&*stored).map_err(broken)?;
        if BlobId::of(&bytes) != *id && !planted::has(Planted::TrustBlobName) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("blob {id} does not match its name")));
        }
        Ok((bytes, intact))
    }

    /// Where older runs kept it.
    fn path(&self, id: &BlobId) -> PathBuf {
        self.root.join(&id.as_str()[..2]).join(format!("{id}.zst"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_goes_in_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let id = blobs.put(b"hello").expect("stored");
        let written = blobs.bytes_written();
        assert_eq!(blobs.put(b"hello").expect("stored twice"), id);
        blobs.sync().expect("synced");
        assert_eq!((blobs.bytes_written(), blobs.get(&id).expect("read")), (written, b"hello".to_vec()));
        let other = Blobs::new(folder.path().join("blobs"));
        assert_eq!(other.put(b"hello").expect("known"), id);
        assert_eq!((other.bytes_written(), other.verify(&id).expect("intact")), (0, 5));
    }

    #[test]
    fn a_blob_in_a_file_of_its_own_is_read_and_a_changed_one_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let id = BlobId::of(b"hello");
        let path = blobs.path(&id);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, zstd::bulk::compress(b"hello", 1).expect("compressed")).expect("as it was");
        assert!(blobs.has(&id));
        assert_eq!(blobs.get(&id).expect("read"), b"hello");
        fs::write(&path, zstd::bulk::compress(b"jello", 1).expect("compressed")).expect("tampered");
        assert_eq!(blobs.get(&id).expect_err("refused").kind(), io::ErrorKind::InvalidData);
    }
}
