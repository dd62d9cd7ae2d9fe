//! Contents that no journal names any more, and the room they take.
//!
//! Whoever stores contents, or relies on what is stored, holds a lock that all of them share; who collects holds it alone.
//! A pack is never changed: what is still needed of it goes into a new one, which is durable before the old one is removed.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Blobs;
use super::packs::{HEADER_BYTES, Place, create, lock_file, scan};
use crate::id::BlobId;

/// Nobody else stores anything while this value lives.
#[derive(Debug)]
pub struct Alone {
    blobs: Blobs,
    _lock: File,
}

/// One file with contents that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedContents {
    path: PathBuf,
    pub unused: usize,
    /// On the disk.
    pub unused_bytes: u64,
    /// Contents that stay.
    pub used: usize,
}

impl UnusedContents {
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Blobs {
    /// `None` while a run is being written, or anything else is stored.
    pub fn alone(&self) -> io::Result<Option<Alone>> {
        let lock = lock_file(&self.packs.folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Alone { blobs: Blobs::new(self.root.clone()), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Alone {
    /// Everything that `named` leaves out, file by file.
    pub fn unused(&self, named: &BTreeSet<BlobId>) -> io::Result<Vec<UnusedContents>> {
        let named = keys(named);
        let mut found = Vec::new();
        for path in files(&self.blobs.packs.folder)? {
            let file = File::open(&path)?;
            let (mut used, mut unused, mut kept_bytes) = (0, 0, 0);
            let length = file.metadata()?.len();
            scan(&file, 0, length, &mut |id, place| match named.contains(&id) {
                true => (used, kept_bytes) = (used + 1, kept_bytes + HEADER_BYTES + place.stored),
                false => unused += 1,
            })?;
            // What a crash tore off counts too.
            let unused_bytes = length - kept_bytes;
            if unused > 0 || used == 0 {
                found.push(UnusedContents { path, unused, unused_bytes, used });
            }
        }
        for path in self.old_files()? {
            let id = path.file_stem().and_then(|stem| BlobId::from_hex(stem.to_str()?));
            if id.is_some_and(|id| !named.contains(&id.to_bytes())) {
                let unused_bytes = fs::metadata(&path)?.len();
                found.push(UnusedContents { path, unused: 1, unused_bytes, used: 0 });
            }
        }
        Ok(found)
    }

    /// With the same `named` as it was told by.
    pub fn free(&self, waste: &UnusedContents, named: &BTreeSet<BlobId>) -> io::Result<()> {
        if waste.used > 0 {
            self.copy_used(&waste.path, &keys(named))?;
        }
        fs::remove_file(&waste.path)
    }

    fn copy_used(&self, path: &Path, named: &HashSet<[u8; 32]>) -> io::Result<()> {
        let old = File::open(path)?;
        let mut places: Vec<Place> = Vec::new();
        scan(&old, 0, old.metadata()?.len(), &mut |id, place| {
            if named.contains(&id) {
                places.push(place);
            }
        })?;
        let mut new = create(&self.blobs.packs.folder)?;
        for place in places {
            let mut frame = vec![0; (HEADER_BYTES + place.stored) as usize];
            old.read_exact_at(&mut frame, place.offset)?;
            new.write_all(&frame)?;
        }
        new.sync_all()
    }

    /// One content each, as older versions kept them.
    fn old_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for folder in files(&self.blobs.root)? {
            let is_ours = folder.file_name().is_some_and(|name| name.len() == 2);
            if is_ours && folder.is_dir() {
                found.extend(files(&folder)?);
            }
        }
        Ok(found)
    }
}

fn keys(named: &BTreeSet<BlobId>) -> HashSet<[u8; 32]> {
    named.iter().map(BlobId::to_bytes).collect()
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_named_stays_and_everything_else_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Blobs::new(folder.path().join("blobs")), Blobs::new(folder.path().join("blobs")));
        let kept = one.put(b"kept").unwrap();
        let lost = one.put(b"lost").unwrap();
        let alone = other.put(b"all of this pack is lost").unwrap();
        assert!(one.alone().unwrap().is_none(), "they may still be about to be named");
        drop((one, other));
        let blobs = Blobs::new(folder.path().join("blobs"));
        let named = BTreeSet::from([kept.clone()]);
        // A process that another test is just starting holds a copy of every lock until it is another program.
        let soon = || blobs.alone().unwrap().ok_or_else(|| std::thread::sleep(std::time::Duration::from_millis(1)));
        let held = (0..5_000).find_map(|_| soon().ok()).expect("nobody stores anything any more");
        let waste = held.unused(&named).unwrap();
        assert_eq!(waste.iter().map(|waste| (waste.used, waste.unused)).collect::<Vec<_>>(), [(1, 1), (0, 1)]);
        assert!(blobs.get(&lost).is_ok(), "telling frees nothing");
        waste.iter().for_each(|waste| held.free(waste, &named).unwrap());
        let blobs = Blobs::new(folder.path().join("blobs"));
        assert_eq!(blobs.verify(&kept).unwrap(), 4);
        assert!(blobs.get(&lost).is_err() && blobs.get(&alone).is_err());
        assert_eq!(held.unused(&named).unwrap(), []);
    }
}
