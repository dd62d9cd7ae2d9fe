//! The writing end of a journal: one owner, one write and one sync a record, and nothing after the first failure.

use std::fs::File;
use std::io::{self, Write};

use super::Record;
use super::journal::seal;
use crate::event::Event;
use crate::failpoint::{self, Failpoint};
use crate::planted::{self, Planted};

/// After an error it refuses everything: a failed fsync must never be retried on the same file.
#[derive(Debug)]
pub(super) struct JournalWriter {
    file: File,
    /// What the file must be long before every write. Longer means that somebody else writes to it.
    bytes: u64,
    seq: u64,
    epoch: u32,
    head: String,
    broken: bool,
}

impl JournalWriter {
    pub(super) fn new(file: File, bytes: u64, seq: u64, epoch: u32, head: String) -> Self {
        JournalWriter { file, bytes, seq, epoch, head, broken: false }
    }

    /// Committed when this returns.
    pub(super) fn append(&mut self, at_ms: i64, event: &Event) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal could not be written before; nothing more is written to it"));
        }
        let record = Record { seq: self.seq, epoch: self.epoch, at_ms, prev: self.head.clone(), event: event.clone() };
        let (line, hash) = seal(&record)?;
        self.broken = !planted::has(Planted::RetryFailedSync);
        self.commit(line.as_bytes())?;
        self.broken = false;
        self.bytes += line.len() as u64;
        self.seq += 1;
        self.head = hash;
        failpoint::hit(Failpoint::RecordCommitted)
    }

    fn commit(&mut self, line: &[u8]) -> io::Result<()> {
        failpoint::hit(Failpoint::RecordBefore)?;
        let found = self.file.metadata()?.len();
        if found != self.bytes && !planted::has(Planted::SkipLengthCheck) {
            let detail = format!("the journal has {found} bytes, not {}: another process writes to it", self.bytes);
            return Err(io::Error::other(detail));
        }
        if failpoint::is_next(Failpoint::RecordTorn) {
            self.file.write_all(&line[..line.len() / 2])?;
        }
        failpoint::hit(Failpoint::RecordTorn)?;
        self.file.write_all(line)?;
        failpoint::hit(Failpoint::RecordWritten)?;
        failpoint::hit(Failpoint::RecordSync)?;
        if planted::has(Planted::SkipJournalSync) {
            return Ok(());
        }
        self.file.sync_data()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }
}
