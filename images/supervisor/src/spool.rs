//! What a command has said, in the order it said it, kept until the host has committed the step it belongs to: a new
//! runner reads it from the beginning.
//!
//! Little is kept in memory. More goes to files in a volume of root's, which lose their name as soon as they are open:
//! nothing has to be cleaned up, and there is nothing a command could open. What does not fit is passed on and not kept.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use greenroom_supervisor::protocol::{Chunk, SPOOL_BYTES_MAX, SPOOL_FOLDER, SPOOLS_BYTES_MAX};

use crate::outbox::Outbox;
use crate::sys;

const MEMORY_BYTES_MAX: u64 = 64 << 10;
/// One file of a spool; smaller where the container may not have files so large.
const SEGMENT_BYTES: u64 = 64 << 20;
const LENGTH_BYTES: usize = 4;

/// Where spools may go, and how much is there.
struct Store {
    folder: PathBuf,
    device: u64,
    segment_bytes: u64,
    /// Shared with the disk watch, which must not take it for a command's.
    bytes: &'static AtomicU64,
}

static STORE: OnceLock<Store> = OnceLock::new();

/// Once, in PID 1, before it forks anything. Where the folder is not ours alone or cannot be written to, nothing is kept
/// but what fits into memory.
pub(crate) fn open() {
    let (Ok(facts), Ok(bytes)) = (fs::symlink_metadata(SPOOL_FOLDER), sys::shared_counter()) else { return };
    let private = facts.is_dir() && facts.uid() == 0 && facts.mode() & 0o077 == 0;
    let segment_bytes = SEGMENT_BYTES.min(sys::file_bytes_max());
    let store = Store { folder: SPOOL_FOLDER.into(), device: facts.dev(), segment_bytes, bytes };
    if private && let Ok(file) = store.segment() {
        let seen = fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let _ = COUNTS_LINKS.set(seen.is_ok_and(|seen| seen.nlink() == 0));
        let _ = STORE.set(store);
    }
}

static COUNTS_LINKS: OnceLock<bool> = OnceLock::new();

/// Whether a file that is open and has no name any more has no links here: gVisor gives it one.
pub(crate) fn counts_links() -> bool {
    *COUNTS_LINKS.get().unwrap_or(&true)
}

/// Whether output that does not fit into memory can be kept.
pub(crate) fn is_open() -> bool {
    STORE.get().is_some()
}

/// How much of a file system is taken by spools.
pub(crate) fn bytes_on(device: u64) -> u64 {
    let store = STORE.get().filter(|store| store.device == device);
    store.map_or(0, |store| store.bytes.load(Ordering::Relaxed))
}

#[derive(Default)]
pub(crate) struct Spool {
    log: Log,
    /// How far the client that follows has got.
    sent: u64,
    /// The end of the log, if it was written just now: who keeps up needs not read it back.
    fresh: Option<Vec<u8>>,
    full: bool,
    /// Once the log is full: what is on its way to whoever follows, and is not kept.
    passing: VecDeque<Vec<u8>>,
}

impl Spool {
    pub(crate) fn push(&mut self, chunk: &Chunk<'_>) {
        let payload = chunk.encode();
        if !self.full {
            let at = self.log.bytes;
            if self.log.append(&payload).is_ok() {
                self.fresh = (self.sent == at).then_some(payload);
                return;
            }
            self.full = true;
        }
        self.passing.push_back(payload);
    }

    /// Whether more can be taken: always, as long as all of it is kept.
    pub(crate) fn takes_more(&self) -> bool {
        !self.full || self.is_drained()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.sent == self.log.bytes && self.passing.is_empty()
    }

    /// Passes on what whoever follows under this call has not had, as much as the window takes.
    pub(crate) fn pump(&mut self, call: Option<u64>, outbox: &mut Outbox) {
        let Some(call) = call else { return };
        while outbox.has_room(call)
            && let Some(payload) = self.next()
        {
            outbox.keep_data(call, payload);
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.sent == self.log.bytes {
            return self.passing.pop_front();
        }
        let fresh = self.fresh.take().filter(|fresh| self.sent + (LENGTH_BYTES + fresh.len()) as u64 == self.log.bytes);
        match fresh.map_or_else(|| self.log.read(self.sent), Ok) {
            Ok(payload) => {
                self.sent += (LENGTH_BYTES + payload.len()) as u64;
                Some(payload)
            }
            Err(_) => {
                // The disk lost it. The offsets of what follows will say that something is missing.
                self.sent = self.log.bytes;
                self.next()
            }
        }
    }

    /// For a new client: from the beginning.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
        self.fresh = None;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.log.bytes
    }
}

/// Payloads of Data frames, each behind its length.
#[derive(Default)]
struct Log {
    bytes: u64,
    memory: Vec<u8>,
    segments: Vec<File>,
    on_disk: u64,
}

impl Log {
    fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = (payload.len() as u32).to_le_bytes();
        let after = self.bytes + (LENGTH_BYTES + payload.len()) as u64;
        if self.segments.is_empty() && after <= MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(&length);
            self.memory.extend_from_slice(payload);
        } else {
            let store = STORE.get().ok_or(io::ErrorKind::Unsupported)?;
            if after > SPOOL_BYTES_MAX {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            if self.segments.is_empty() {
                let memory = std::mem::take(&mut self.memory);
                if let Err(error) = self.write(store, 0, &memory) {
                    self.give_back();
                    self.memory = memory;
                    return Err(error);
                }
            }
            self.write(store, self.bytes, &[&length, payload].concat())?;
        }
        self.bytes = after;
        Ok(())
    }

    fn write(&mut self, store: &Store, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
        if store.bytes.load(Ordering::Relaxed) + bytes.len() as u64 > SPOOLS_BYTES_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        while !bytes.is_empty() {
            let (index, within) = ((at / store.segment_bytes) as usize, at % store.segment_bytes);
            if index == self.segments.len() {
                self.segments.push(store.segment()?);
            }
            let (now, later) = bytes.split_at(bytes.len().min((store.segment_bytes - within) as usize));
            self.segments[index].write_all_at(now, within)?;
            store.bytes.fetch_add(now.len() as u64, Ordering::Relaxed);
            self.on_disk += now.len() as u64;
            at += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    fn read(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut length = [0; LENGTH_BYTES];
        self.read_at(at, &mut length)?;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        self.read_at(at + LENGTH_BYTES as u64, &mut payload)?;
        Ok(payload)
    }

    fn read_at(&self, mut at: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        if self.segments.is_empty() {
            let kept = self.memory.get(at as usize..at as usize + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(kept);
            return Ok(());
        }
        let segment_bytes = STORE.get().ok_or(io::ErrorKind::Unsupported)?.segment_bytes;
        while !bytes.is_empty() {
            let (index, within) = ((at / segment_bytes) as usize, at % segment_bytes);
            let (now, later) = bytes.split_at_mut(bytes.len().min((segment_bytes - within) as usize));
            self.segments.get(index).ok_or(io::ErrorKind::UnexpectedEof)?.read_exact_at(now, within)?;
            at += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    fn give_back(&mut self) {
        self.segments.clear();
        if let Some(store) = STORE.get() {
            store.bytes.fetch_sub(std::mem::take(&mut self.on_disk), Ordering::Relaxed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Store {
    /// A file without a name.
    fn segment(&self) -> io::Result<File> {
        let path = self.folder.join("segment");
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use greenroom_supervisor::protocol::Stream;

    use super::*;

    /// The store of this test process: small segments, in a folder of its own.
    fn store() -> &'static Store {
        STORE.get_or_init(|| {
            let folder = std::env::temp_dir().join(format!("greenroom-spool-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Store { folder, device: 0, segment_bytes: 40_000, bytes: sys::shared_counter().unwrap() }
        })
    }

    fn piece(n: u64, length: usize) -> Vec<u8> {
        Chunk { stream: Stream::Stdout, offset: n, bytes: &vec![n as u8; length] }.encode()
    }

    fn say(spool: &mut Spool, n: u64, length: usize) {
        spool.push(&Chunk { stream: Stream::Stdout, offset: n, bytes: &vec![n as u8; length] });
    }

    #[test]
    fn what_was_said_is_read_again_from_the_beginning_wherever_it_is_kept() {
        let store = store();
        for length in [10, 30_000, 90_000] {
            let mut spool = Spool::default();
            for n in 0..5 {
                say(&mut spool, n, length);
                assert_eq!(spool.next(), Some(piece(n, length)), "as it comes");
            }
            assert!(spool.is_drained());
            for _ in 0..2 {
                spool.rewind();
                for n in 0..5 {
                    assert_eq!(spool.next(), Some(piece(n, length)), "again, {length} bytes");
                }
                assert_eq!(spool.next(), None);
            }
        }
        assert_eq!(store.bytes.load(Ordering::Relaxed), 0, "what is let go takes no space");
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 0, "and never had a name for long");
        fs::remove_dir_all(&store.folder).unwrap();
    }

    #[test]
    fn what_is_full_passes_on_what_comes_and_takes_more_only_then() {
        let mut spool = Spool { full: true, ..Spool::default() };
        assert!(spool.takes_more());
        say(&mut spool, 1, 3);
        assert!(!spool.takes_more());
        assert_eq!(spool.next(), Some(piece(1, 3)));
        assert!(spool.takes_more());
    }
}
