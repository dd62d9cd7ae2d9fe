//! Stored contents that no journal leads to.
//!
//! Marking knows nothing of formats: whatever a journal names is needed, and whatever the content of something needed
//! names, in hexadecimal or as 32 plain bytes. So a new kind of object can never lose what it refers to; what is named by
//! chance is only kept too long.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::id::BlobId;
use crate::store::{Blobs, RunDir};

/// A command that has begun stores before it names; nothing takes so long.
const AGE_MIN: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

pub(super) fn sweep(state: &Path, runs: &[RunDir], remove: bool) -> Result<Swept> {
    let failed = |error: io::Error| Error::internal("cannot look through the stored contents").because(error);
    let root = state.join("blobs");
    let all = files(&root).map_err(failed)?;
    let needed = mark(&Blobs::new(root), &all, runs).map_err(failed)?;
    let mut swept = Swept::default();
    for (id, file) in all.iter().filter(|(id, _)| !needed.contains(*id)) {
        let metadata = fs::metadata(file).map_err(failed)?;
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        if age < AGE_MIN {
            continue;
        }
        swept.count += 1;
        swept.bytes += metadata.len();
        if remove {
            fs::remove_file(file)
                .map_err(|error| Error::internal(format!("cannot remove stored content {}", hex(id))).because(error))?;
        }
    }
    Ok(swept)
}

type Hash = [u8; 32];

/// Every whole blob by its hash; half-written ones have other names.
fn files(root: &Path) -> io::Result<HashMap<Hash, PathBuf>> {
    let mut found = HashMap::new();
    let folders = match fs::read_dir(root) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for folder in folders {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".zst"));
            if let Some(hash) = name.and_then(|name| unhex(name.as_bytes())) {
                found.insert(hash, path);
            }
        }
    }
    Ok(found)
}

fn mark(blobs: &Blobs, all: &HashMap<Hash, PathBuf>, runs: &[RunDir]) -> io::Result<HashSet<Hash>> {
    let beginnings = Beginnings::of(all.keys());
    let mut needed = HashSet::new();
    let mut waiting = Vec::new();
    for run in runs {
        named_in(&fs::read(run.journal_path())?, all, &beginnings, |hash| waiting.push(hash));
    }
    while let Some(hash) = waiting.pop() {
        if needed.insert(hash) {
            let id = BlobId::from_hex(&hex(&hash)).expect("the name of a blob is its hash");
            // One that is damaged leads nowhere; it stays, for `audit` to complain of.
            if let Ok(content) = blobs.get(&id) {
                named_in(&content, all, &beginnings, |hash| waiting.push(hash));
            }
        }
    }
    Ok(needed)
}

/// Which three bytes a hash may begin with: almost every place in a text is passed over by this alone.
struct Beginnings(Vec<u64>);

impl Beginnings {
    fn of<'a>(hashes: impl Iterator<Item = &'a Hash>) -> Self {
        let mut bits = vec![0; 1 << 18];
        for hash in hashes {
            let place = Self::place(hash);
            bits[place / 64] |= 1 << (place % 64);
        }
        Beginnings(bits)
    }

    fn place(bytes: &[u8]) -> usize {
        usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
    }

    fn may_be(&self, bytes: &[u8]) -> bool {
        let place = Self::place(bytes);
        self.0[place / 64] >> (place % 64) & 1 == 1
    }
}

fn named_in(content: &[u8], all: &HashMap<Hash, PathBuf>, beginnings: &Beginnings, mut found: impl FnMut(Hash)) {
    for window in content.windows(32).filter(|window| beginnings.may_be(window)) {
        let hash: Hash = window.try_into().expect("a window has its length");
        if all.contains_key(&hash) {
            found(hash);
        }
    }
    for window in content.windows(64).filter(|window| window[0].is_ascii_hexdigit() && window[63].is_ascii_hexdigit()) {
        if let Some(hash) = unhex(window).filter(|hash| all.contains_key(hash)) {
            found(hash);
        }
    }
}

fn unhex(text: &[u8]) -> Option<Hash> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::Event;
    use crate::id::RunId;
    use crate::store::{RunStore, Store};

    fn age(blobs: &Blobs, id: &BlobId) {
        let file = fs::File::options().write(true).open(blobs.path(id)).unwrap();
        file.set_modified(SystemTime::now() - 2 * AGE_MIN).unwrap();
    }

    #[test]
    fn what_a_journal_leads_to_stays_however_it_is_named_and_the_rest_goes() {
        let state = tempfile::tempdir().unwrap();
        let store = RunStore::create(state.path(), &RunId::generate()).unwrap();
        let leaf = store.put_blob(b"leaf").unwrap();
        let in_hex = store.put_blob(format!("{{\"content\":\"{leaf}\"}}").as_bytes()).unwrap();
        let mut binary = b"object".to_vec();
        binary.extend_from_slice(&unhex(in_hex.as_str().as_bytes()).unwrap());
        let root = store.put_blob(&binary).unwrap();
        let waste = store.put_blob(b"nobody's").unwrap();
        let young = store.put_blob(b"of a run that is about to begin").unwrap();
        let patch = store.put_blob(b"patch").unwrap();
        let event = Event::TreeCaptured {
            tree: root.clone(),
            patch: patch.clone(),
            files_changed: Vec::new(),
            workspace: None,
            artifacts_left_out: 0,
        };
        store.append(&event).unwrap();
        let runs = [store.dir().clone()];
        let blobs = runs[0].blobs().clone();
        [&leaf, &in_hex, &root, &waste, &patch].into_iter().for_each(|id| age(&blobs, id));
        let dry = sweep(state.path(), &runs, false).unwrap();
        assert!(dry.count == 1 && blobs.has(&waste), "{dry:?}");
        assert_eq!(sweep(state.path(), &runs, true).unwrap(), dry);
        for kept in [&leaf, &in_hex, &root, &patch, &young] {
            assert!(blobs.has(kept), "{kept}");
        }
        assert!(!blobs.has(&waste));
        // The control: without the journal all that is old goes.
        assert_eq!(sweep(state.path(), &[], true).unwrap().count, 4);
    }
}
