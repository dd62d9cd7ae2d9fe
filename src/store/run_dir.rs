//! The folder of one run: `runs/<id>/journal.jsonl` and its lock, and the blobs all runs share.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::beneath;
use super::inbox;
use super::index::{Covered, Index};
use super::journal::{GENESIS, ReadJournal};
use super::journal_writer::JournalWriter;
use super::whole;
use super::{Beneath, Blobs, JournalError, Letter, Question, Recalled, Store, read_journal, read_valid_prefix};
use crate::event::Event;
use crate::failpoint::{self, Failpoint};
use crate::id::{BlobId, RunId};
use crate::planted::{self, Planted};

/// A run's files, for reading.
#[derive(Debug, Clone)]
pub struct RunDir {
    pub(super) path: PathBuf,
    pub(super) blobs: Blobs,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no run `{0}`")]
    NoSuchRun(String),
    #[error("`{0}` fits more than one run")]
    Ambiguous(String),
    #[error("run `{run}` is being written by another process{}", pid.map(|pid| format!(" ({pid})")).unwrap_or_default())]
    Locked { run: RunId, pid: Option<i32> },
    #[error("run `{0}` is there already")]
    Exists(RunId),
    #[error("the state folder `{path}` is on a network filesystem ({kind}), where a lock holds no other machine off")]
    Network { path: PathBuf, kind: &'static str },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot use the state folder `{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl RunDir {
    pub(super) fn at(state: &Path, run: &str) -> Self {
        RunDir { path: state.join("runs").join(run), blobs: Blobs::new(state.join("blobs")) }
    }

    /// Finds a run by its id, by a unique beginning or end of it, or the newest by `last`. A helper's run is found by its
    /// id, or where nobody else's fits.
    pub fn find(state: &Path, name: &str) -> Result<Self, StoreError> {
        let all = list_runs(state)?;
        let name = name.to_lowercase();
        if name == "last" || name == "--last" {
            let newest = all.last().ok_or_else(|| StoreError::NoSuchRun("last".into()))?;
            return Ok(RunDir::at(state, newest.as_str()));
        }
        let fits: Vec<&RunId> =
            all.iter().filter(|run| run.as_str().starts_with(&name) || run.as_str().ends_with(&name)).collect();
        match fits.as_slice() {
            [] => {}
            [one] => return Ok(RunDir::at(state, one.as_str())),
            [..] => return Err(StoreError::Ambiguous(name)),
        }
        let fits = |run: &RunId| run.as_str().starts_with(&name) || run.as_str().ends_with(&name);
        let mut below = beneath::find(state, &all, fits)?;
        match (below.pop(), below.is_empty()) {
            (None, _) => Err(StoreError::NoSuchRun(name)),
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(StoreError::Ambiguous(name)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    pub fn journal_path(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub fn journal(&self) -> Result<ReadJournal, StoreError> {
        match self.valid_prefix()? {
            (_, Some(damage)) => Err(damage.into()),
            (journal, None) => Ok(journal),
        }
    }

    /// The records before the first bad one, and what is wrong with that.
    pub fn valid_prefix(&self) -> Result<(ReadJournal, Option<JournalError>), StoreError> {
        match read_valid_prefix(&self.journal_path()) {
            Err(JournalError::Io(error)) if error.kind() == io::ErrorKind::NotFound && self.was_never_begun() => {
                Ok((ReadJournal::empty(), None))
            }
            read => Ok(read?),
        }
    }

    /// Whoever made the folder was killed before there was a journal: nothing but the lock is in it.
    fn was_never_begun(&self) -> bool {
        let Ok(mut entries) = fs::read_dir(&self.path) else { return false };
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK))
    }

    /// Leaves a message for whoever works on the run, now or later.
    pub fn say(&self, text: &str) -> Result<String, StoreError> {
        inbox::put(&self.path, text).map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }

    /// The process that writes to this run now; `None` where nobody does.
    pub fn owner(&self) -> Result<Option<Owner>, StoreError> {
        let path = self.path.join(LOCK);
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(fs::TryLockError::WouldBlock) => Ok(Some(Owner { pid: pid_in(&lock) })),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub fn run(&self) -> RunId {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.parse().expect("the folder of a run is named by its id")
    }
}

/// Who holds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// `None` in the instant before it has written its own number down.
    pub pid: Option<i32>,
}

const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = "lock";

/// Holds the run's folder for this process alone. The kernel frees it however the process dies.
fn lock(dir: &RunDir) -> Result<File, StoreError> {
    let path = dir.path.join(LOCK);
    let failed = |source| StoreError::Io { path: path.clone(), source };
    refuse_network(&dir.path)?;
    let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(_) if planted::has(Planted::SkipLock) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(StoreError::Locked { run: dir.run(), pid: pid_in(&lock) }),
        Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    let written = lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
    written.map_err(failed)?;
    Ok(lock)
}

fn pid_in(mut lock: &File) -> Option<i32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Numbers of `statfs(2)`.
const NETWORK_FILESYSTEMS: [(u64, &str); 4] =
    [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB"), (0x517b, "SMB")];

fn refuse_network(path: &Path) -> Result<(), StoreError> {
    let failed = |error: rustix::io::Errno| StoreError::Io { path: path.to_owned(), source: error.into() };
    let kind = rustix::fs::statfs(path).map_err(failed)?.f_type as u64;
    match NETWORK_FILESYSTEMS.iter().find(|(number, _)| kind & 0xffff_ffff == *number) {
        Some((_, kind)) => Err(StoreError::Network { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

/// All runs that nobody asked for but a person, oldest first.
pub fn list_runs(state: &Path) -> Result<Vec<RunId>, StoreError> {
    runs_in(&state.join("runs"))
}

pub(super) fn runs_in(folder: &Path) -> Result<Vec<RunId>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::Io { path: folder.to_owned(), source }),
    };
    let mut runs: Vec<RunId> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RunId>().ok()).collect();
    runs.sort();
    Ok(runs)
}

/// A run's folder, held by this process alone for writing.
#[derive(Debug)]
pub struct RunStore {
    dir: RunDir,
    writer: Mutex<JournalWriter>,
    index: Mutex<Index>,
    /// Kept open: the kernel frees the lock when the process dies, however it dies.
    _lock: File,
}

impl RunStore {
    /// Makes the folder of a new run, readable by its owner alone.
    pub fn create(state: &Path, run: &RunId) -> Result<Self, StoreError> {
        RunStore::create_at(RunDir::at(state, run.as_str()))
    }

    pub(super) fn create_at(dir: RunDir) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: dir.path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir.path).map_err(failed)?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir.blobs.root()).map_err(failed)?;
        let lock = lock(&dir)?;
        dir.blobs.hold().map_err(failed)?;
        let file = match File::options().append(true).create_new(true).open(dir.journal_path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(StoreError::Exists(dir.run())),
            opened => opened.map_err(failed)?,
        };
        // The journal's name, the folder's own, and that of the folder of all runs, which may be as new.
        for folder in dir.path.ancestors().take(3) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let writer = Mutex::new(JournalWriter::new(file, 0, 0, 1, GENESIS.into()));
        let index = Mutex::new(Index::of_new(&dir.path, dir.blobs.clone()));
        Ok(RunStore { dir, writer, index, _lock: lock })
    }

    /// A run of another state folder, by its journal and those of its helpers. Their blobs must be here already.
    pub fn import(
        state: &Path,
        journal: &[u8],
        helpers: &[(Vec<RunId>, Vec<u8>)],
    ) -> Result<(Self, ReadJournal), StoreError> {
        let runs = state.join("runs");
        let failed = |source| StoreError::Io { path: runs.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&runs).map_err(failed)?;
        whole::sweep(&runs);
        // No run is named like this, so a crash leaves nothing that is taken for one.
        let folder = runs.join(format!("{}{}", whole::UNFINISHED, std::process::id()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let written = || -> io::Result<()> {
            let mut file = File::create(folder.join(JOURNAL))?;
            file.write_all(journal)?;
            file.sync_all()?;
            failpoint::hit(Failpoint::ForkCopied)
        };
        let moved = written().map_err(failed).and_then(|()| {
            let read = read_journal(&folder.join(JOURNAL))?;
            let run = read.records.first().and_then(|record| match &record.event {
                Event::RunStarted { run, .. } => Some(run.clone()),
                _ => None,
            });
            let nothing = || {
                let detail = "its first record begins no run".to_owned();
                StoreError::Journal(JournalError::Damaged { offset: 0, line: 1, detail })
            };
            let dir = RunDir::at(state, run.ok_or_else(nothing)?.as_str());
            if dir.path.exists() {
                return Err(StoreError::Exists(dir.run()));
            }
            let imported = RunDir { path: folder.clone(), blobs: dir.blobs.clone() };
            for (path, journal) in helpers {
                imported.write_helper(path, journal)?;
            }
            fs::rename(&folder, &dir.path).and_then(|()| File::open(&runs)?.sync_all()).map_err(failed)?;
            Ok(dir)
        });
        if moved.is_err() {
            // What counts is the first error.
            let _ = fs::remove_dir_all(&folder);
        }
        RunStore::open(moved?)
    }

    /// Takes over a run that nobody writes to, under the next epoch. A torn last line is set aside and cut off; how
    /// long it was stands in what was read.
    pub fn open(dir: RunDir) -> Result<(Self, ReadJournal), StoreError> {
        let lock = lock(&dir)?;
        let failed = |source| StoreError::Io { path: dir.path.clone(), source };
        dir.blobs.hold().map_err(failed)?;
        let journal = dir.journal()?;
        let unbegun = journal.records.is_empty();
        let mut file =
            File::options().read(true).append(true).create(unbegun).open(dir.journal_path()).map_err(failed)?;
        if journal.torn_bytes > 0 && !planted::has(Planted::KeepTornTail) {
            cut_off_torn(&dir, &mut file, journal.valid_bytes).map_err(failed)?;
        }
        let seq = journal.records.len() as u64;
        let epoch = journal.epoch() + u32::from(!planted::has(Planted::KeepEpoch));
        let writer = JournalWriter::new(file, journal.valid_bytes, seq, epoch, journal.head().to_owned());
        let index = Mutex::new(Index::of_old(&dir.path, dir.blobs.clone()));
        Ok((RunStore { dir, writer: Mutex::new(writer), index, _lock: lock }, journal))
    }

    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Which owner of the run this one is, counted from 1.
    pub fn epoch(&self) -> u32 {
        self.writer.lock().expect("no writer panics while it holds the journal").epoch()
    }

    /// Hash of the newest record.
    pub fn head(&self) -> String {
        self.writer.lock().expect("no writer panics while it holds the journal").head().to_owned()
    }
}

/// The bytes stay beside the journal: they may be all that is left of a record.
fn cut_off_torn(dir: &RunDir, file: &mut File, valid_bytes: u64) -> io::Result<()> {
    let mut torn = Vec::new();
    file.seek(io::SeekFrom::Start(valid_bytes))?;
    file.read_to_end(&mut torn)?;
    fs::write(dir.path.join(format!("torn-{valid_bytes}")), torn)?;
    file.set_len(valid_bytes)?;
    file.sync_all()
}

impl Store for RunStore {
    fn append(&self, event: &Event) -> io::Result<()> {
        // What the event names first: a record must never be there without it.
        if !planted::has(Planted::SkipBlobSync) {
            self.dir.blobs.sync()?;
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let mut writer = self.writer.lock().expect("no writer panics while it holds the journal");
        writer.append(now, event)?;
        let covered = Covered { bytes: writer.bytes(), head: writer.head().to_owned() };
        drop(writer);
        self.index.lock().expect("no reader panics while it holds the index").feed(event, covered);
        Ok(())
    }

    fn put_blob(&self, bytes: &[u8]) -> io::Result<BlobId> {
        self.dir.blobs.put(bytes)
    }

    fn has_blob(&self, id: &BlobId) -> bool {
        self.dir.blobs.has(id)
    }

    fn blob_bytes_written(&self) -> u64 {
        self.dir.blobs.bytes_written()
    }

    fn blob(&self, id: &BlobId) -> io::Result<Vec<u8>> {
        self.dir.blobs.get(id)
    }

    fn inbox(&self) -> io::Result<Vec<Letter>> {
        inbox::list(&self.dir.path)
    }

    fn letter_read(&self, id: &str) -> io::Result<()> {
        inbox::remove(&self.dir.path, id)
    }

    fn beneath(&self, run: &RunId, create: bool) -> io::Result<Option<Beneath>> {
        self.open_beneath(run, create)
    }

    fn recall(&self, question: &Question) -> io::Result<Recalled> {
        self.index.lock().expect("no reader panics while it holds the index").recall(question)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_found_by_a_piece_of_its_name() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        store
            .append(&Event::ModelRequested {
                turn: 1,
                estimated_input_tokens: 5,
                output_tokens_max: 0,
                cost_usd_max: None,
            })
            .unwrap();
        let tail = &run.as_str()[20..];
        for name in ["last", run.as_str(), tail] {
            assert_eq!(RunDir::find(state.path(), name).unwrap().journal().unwrap().records.len(), 1, "{name}");
        }
        assert!(matches!(RunDir::find(state.path(), "zzzz"), Err(StoreError::NoSuchRun(_))));
    }

    #[test]
    fn a_second_writer_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let _first = RunStore::create(state.path(), &run).unwrap();
        assert!(matches!(RunStore::create(state.path(), &run), Err(StoreError::Locked { pid: Some(_), .. })));
    }

    fn request(turn: u64) -> Event {
        Event::ModelRequested { turn, estimated_input_tokens: 5, output_tokens_max: 0, cost_usd_max: None }
    }

    #[test]
    fn the_next_owner_goes_on_under_the_next_epoch() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let first = RunStore::create(state.path(), &run).unwrap();
        first.append(&request(1)).unwrap();
        let dir = first.dir().clone();
        assert!(matches!(RunStore::open(dir.clone()), Err(StoreError::Locked { .. })));
        assert_eq!(dir.owner().unwrap().unwrap().pid, Some(std::process::id() as i32));
        drop(first);
        assert_eq!(dir.owner().unwrap(), None);
        let (second, read) = RunStore::open(dir.clone()).unwrap();
        assert_eq!((read.records.len(), second.epoch()), (1, 2));
        second.append(&request(2)).unwrap();
        let journal = dir.journal().unwrap();
        assert_eq!(journal.records.iter().map(|record| record.epoch).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(journal.head(), second.head());
    }

    #[test]
    fn a_torn_tail_is_cut_off_kept_aside_and_told() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        store.append(&request(1)).unwrap();
        let dir = store.dir().clone();
        drop(store);
        let whole = fs::read(dir.journal_path()).unwrap();
        File::options().append(true).open(dir.journal_path()).unwrap().write_all(b"{\"seq\":1,\"ep").unwrap();
        let (store, read) = RunStore::open(dir.clone()).unwrap();
        assert_eq!((read.records.len(), read.torn_bytes), (1, 12));
        assert_eq!(fs::read(dir.journal_path()).unwrap(), whole);
        assert_eq!(fs::read(dir.path().join(format!("torn-{}", whole.len()))).unwrap(), b"{\"seq\":1,\"ep");
        store.append(&request(2)).unwrap();
        drop(store);
        assert_eq!(dir.journal().unwrap().records.len(), 2);
    }

    #[test]
    fn of_many_that_race_for_a_run_one_wins() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let store = RunStore::create(state.path(), &run).unwrap();
        store.append(&request(1)).unwrap();
        let dir = store.dir().clone();
        drop(store);
        for round in 0..50 {
            let barrier = std::sync::Barrier::new(8);
            let won: Vec<RunStore> = std::thread::scope(|scope| {
                let race = || {
                    barrier.wait();
                    RunStore::open(dir.clone()).ok().map(|(store, _)| store)
                };
                let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
                racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
            });
            assert_eq!(won.len(), 1, "round {round}");
            won[0].append(&request(round)).unwrap();
        }
        let epochs: Vec<u32> = dir.journal().unwrap().records.iter().map(|record| record.epoch).collect();
        assert_eq!(epochs, (1..=51).collect::<Vec<_>>());
    }
}
