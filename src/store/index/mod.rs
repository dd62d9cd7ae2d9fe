//! Full text over everything that happened in a run: SQLite beside its journal, fed as events are committed.
//!
//! It can always be made again: what it lacks is read from the journal, and one that does not fit the journal is thrown
//! away. Nothing but `recall` reads it, so its failures cost an answer, never the run.

mod documents;
mod excerpt;
mod query;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use self::documents::{Documents, Op};
use super::journal::{GENESIS, record_of_line};
use super::{Blobs, Question, Recalled};
use crate::event::Event;
use crate::id::BlobId;

/// What waits to be written, at most: a transaction costs more than a document.
const PENDING_MAX: usize = 32;
const PENDING_BYTES_MAX: usize = 4 << 20;
/// Of one output that is searched: half from each end.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Raised when the tables change: an older index is made again.
const SCHEMA: i64 = 1;
/// Length of `<64 digits>"}` and a newline, the end of a journal's line.
const HASH_TAIL_BYTES: u64 = 64 + 3;

const TABLES: &str = "
    CREATE TABLE meta (schema INTEGER, bytes INTEGER, head TEXT, turn INTEGER);
    CREATE TABLE doc (
        id INTEGER PRIMARY KEY, step INTEGER, turn INTEGER, kind TEXT, ends INTEGER, blob TEXT
    );
    CREATE INDEX doc_step ON doc (step);
    CREATE INDEX doc_ends ON doc (ends);
    CREATE VIRTUAL TABLE text USING fts5 (title, body, tokenize = 'unicode61 remove_diacritics 0');
";

/// How much of the journal something covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    pub(super) bytes: u64,
    /// Hash of the last record.
    pub(super) head: String,
}

#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    journal: PathBuf,
    blobs: Blobs,
    /// Opened when there is something to write or to ask.
    open: Option<Connection>,
    documents: Documents,
    pending: Vec<Op>,
    pending_bytes: usize,
    /// By what is in the file and in `pending`: up to the last event that stands for itself.
    covered: Covered,
    /// Something went wrong: made again before the next answer.
    stale: bool,
}

impl Index {
    /// Of a journal that has nothing in it yet.
    pub(super) fn of_new(folder: &Path, blobs: Blobs) -> Self {
        Index::at(folder, blobs, false)
    }

    /// Of a journal that is there: what the index lacks of it is read when it is needed.
    pub(super) fn of_old(folder: &Path, blobs: Blobs) -> Self {
        Index::at(folder, blobs, true)
    }

    fn at(folder: &Path, blobs: Blobs, stale: bool) -> Self {
        Index {
            path: folder.join("recall.sqlite"),
            journal: folder.join("journal.jsonl"),
            blobs,
            open: None,
            documents: Documents::default(),
            pending: Vec::new(),
            pending_bytes: 0,
            covered: nothing(),
            stale,
        }
    }

    /// After the event was committed; `covered` is the journal with it.
    pub(super) fn feed(&mut self, event: &Event, covered: Covered) {
        // Behind anyway: it is read from the journal with the rest.
        if self.stale {
            return;
        }
        self.take(event, covered);
        if self.pending.len() >= PENDING_MAX || self.pending_bytes >= PENDING_BYTES_MAX {
            self.flush_or_forget();
        }
    }

    fn take(&mut self, event: &Event, covered: Covered) {
        for op in self.documents.take(event) {
            self.pending_bytes += op.bytes();
            self.pending.push(op);
        }
        if self.documents.is_whole() {
            self.covered = covered;
        }
    }

    fn flush_or_forget(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, path = %self.path.display(), "the index for `recall` will be made again");
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.stale = true;
        self.open = None;
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// What the run's records say to the question.
    pub(super) fn recall(&mut self, question: &Question) -> io::Result<Recalled> {
        match self.try_recall(question) {
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "the index for `recall` is made again");
                self.forget();
                remove(&self.path)?;
                self.try_recall(question).map_err(io::Error::other)
            }
            Ok(answer) => Ok(answer),
        }
    }

    fn try_recall(&mut self, question: &Question) -> Result<Recalled, IndexError> {
        if self.stale {
            self.catch_up()?;
        }
        self.flush()?;
        let open = self.open.as_ref().expect("flushing opens it");
        Ok(query::answer(open, question)?)
    }

    /// Reads the journal from where the index ends, or all of it where the index is not of this journal.
    fn catch_up(&mut self) -> Result<(), IndexError> {
        self.pending.clear();
        self.pending_bytes = 0;
        self.open = None;
        let known = self.known().unwrap_or(None);
        let (mut covered, turn) = match known {
            Some((covered, turn)) if self.fits(&covered)? => (covered, turn),
            Some(_) | None => {
                self.open = None;
                remove(&self.path)?;
                (nothing(), 0)
            }
        };
        self.covered = covered.clone();
        self.documents = Documents::from_turn(turn);
        let mut file = File::open(&self.journal)?;
        file.seek(SeekFrom::Start(covered.bytes))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)? as u64;
            // The journal's owner cut a torn line off; a reader beside it may see half of one.
            if length == 0 || line.last() != Some(&b'\n') {
                break;
            }
            let (record, head) = record_of_line(&line[..line.len() - 1]).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the journal has a line that is no record")
            })?;
            covered = Covered { bytes: covered.bytes + length, head };
            self.take(&record.event, covered.clone());
            if self.pending.len() >= PENDING_MAX || self.pending_bytes >= PENDING_BYTES_MAX {
                self.flush()?;
            }
        }
        self.stale = false;
        Ok(())
    }

    /// What the file says it covers.
    fn known(&mut self) -> Result<Option<(Covered, u64)>, IndexError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let open = connect(&self.path)?;
        let known = open
            .query_row("SELECT bytes, head, turn FROM meta WHERE schema = ?1", params![SCHEMA], |row| {
                Ok((Covered { bytes: row.get::<_, i64>(0)? as u64, head: row.get(1)? }, row.get::<_, i64>(2)? as u64))
            })
            .optional()?;
        self.open = Some(open);
        Ok(known)
    }

    fn fits(&self, covered: &Covered) -> io::Result<bool> {
        if covered.bytes == 0 {
            return Ok(covered.head == GENESIS);
        }
        let mut file = File::open(&self.journal)?;
        if file.metadata()?.len() < covered.bytes || covered.bytes < HASH_TAIL_BYTES {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(covered.bytes - HASH_TAIL_BYTES))?;
        let mut tail = [0; HASH_TAIL_BYTES as usize];
        file.read_exact(&mut tail)?;
        Ok(tail[..64] == *covered.head.as_bytes() && tail[64..] == *b"\"}\n")
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        if self.open.is_none() {
            self.open = Some(open_or_make(&self.path)?);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let open = self.open.as_mut().expect("it was just opened");
        let write = open.transaction()?;
        for op in &self.pending {
            match op {
                Op::Add(doc) => {
                    let mut body = doc.body.clone();
                    for blob in &doc.outputs {
                        body.push_str(&output(&self.blobs, blob));
                    }
                    write.execute(
                        "INSERT INTO doc (step, turn, kind, ends, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![
                            doc.step.map(|step| step as i64),
                            doc.turn as i64,
                            doc.kind,
                            doc.ends.map(|step| step as i64),
                            doc.outputs.first().map(BlobId::as_str)
                        ],
                    )?;
                    let id = write.last_insert_rowid();
                    let text = "INSERT INTO text (rowid, title, body) VALUES (?1, ?2, ?3)";
                    write.execute(text, params![id, doc.title, body])?;
                }
                Op::CutAfter(step) => {
                    let later = "(SELECT max(id) FROM doc WHERE ends = ?1)";
                    let step = params![*step as i64];
                    write.execute(&format!("DELETE FROM text WHERE rowid > {later}"), step)?;
                    write.execute(&format!("DELETE FROM doc WHERE id > {later}"), step)?;
                }
            }
        }
        write.execute("DELETE FROM meta", [])?;
        write.execute(
            "INSERT INTO meta (schema, bytes, head, turn) VALUES (?1, ?2, ?3, ?4)",
            params![SCHEMA, self.covered.bytes as i64, self.covered.head, self.documents.turn() as i64],
        )?;
        write.commit()?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn nothing() -> Covered {
    Covered { bytes: 0, head: GENESIS.to_owned() }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let open = Connection::open(path)?;
    // Whole after a crash of ours, and after one of the machine's as of some earlier moment: the journal has the rest.
    open.pragma_update(None, "journal_mode", "WAL")?;
    open.pragma_update(None, "synchronous", "NORMAL")?;
    open.pragma_update(None, "cache_size", -2_000)?;
    Ok(open)
}

fn open_or_make(path: &Path) -> rusqlite::Result<Connection> {
    let open = connect(path)?;
    let made: Option<i64> =
        open.query_row("SELECT 1 FROM sqlite_master WHERE name = 'meta'", [], |row| row.get(0)).optional()?;
    if made.is_none() {
        open.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?;
    }
    Ok(open)
}

fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

/// As text, both ends where it is long. One that is gone is only not found.
fn output(blobs: &Blobs, id: &BlobId) -> String {
    let Ok(bytes) = blobs.get(id) else { return String::new() };
    if bytes.len() <= OUTPUT_BYTES_MAX {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let half = OUTPUT_BYTES_MAX / 2;
    let (head, tail) = (&bytes[..half], &bytes[bytes.len() - half..]);
    format!("{}\n…\n{}", String::from_utf8_lossy(head), String::from_utf8_lossy(tail))
}

#[cfg(test)]
mod tests;
