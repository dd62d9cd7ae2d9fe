//! The journal file: one JSON line a record, each naming the hash of the one before, synced before it counts.
//!
//! A line is the record's JSON with `"hash"` as its last member; the hash is BLAKE3 over the line without it.
//! A torn last line is dropped and told; a bad line before that is refused with its offset.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::Event;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub seq: u64,
    /// Rises with every process that writes to this journal.
    pub epoch: u32,
    /// Milliseconds since 1970, UTC. For people; nothing decides by it.
    pub at_ms: i64,
    /// Hash of the record before; 64 zeros for the first.
    pub prev: String,
    pub event: Event,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot read the journal: {0}")]
    Io(#[from] io::Error),
    #[error("the journal is damaged at byte {offset} (line {line}): {detail}")]
    Damaged { offset: u64, line: u64, detail: String },
}

/// What a journal file holds.
#[derive(Debug)]
pub struct ReadJournal {
    pub records: Vec<Record>,
    /// Hash of the last record.
    pub head: String,
    /// Length of the valid part; a writer truncates to it.
    pub valid_bytes: u64,
    /// Bytes of a torn last line, 0 where the file ends well.
    pub torn_bytes: u64,
}

pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Length of `,"hash":"<64 digits>"}`.
const SEAL_BYTES: usize = 9 + 64 + 2;

/// Reads and verifies a whole journal.
pub fn read_journal(path: &Path) -> Result<ReadJournal, JournalError> {
    let bytes = std::fs::read(path)?;
    let mut journal = ReadJournal { records: Vec::new(), head: GENESIS.into(), valid_bytes: 0, torn_bytes: 0 };
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let Some(end) = rest.iter().position(|&b| b == b'\n') else {
            journal.torn_bytes = rest.len() as u64;
            break;
        };
        match open_line(&rest[..end], &journal) {
            Ok((record, hash)) => {
                journal.records.push(record);
                journal.head = hash;
                journal.valid_bytes += end as u64 + 1;
            }
            // Sectors of one write may land in any order, so a torn last line can have its newline.
            Err(_) if rest.len() == end + 1 => {
                journal.torn_bytes = rest.len() as u64;
                break;
            }
            Err(detail) => {
                let line = journal.records.len() as u64 + 1;
                return Err(JournalError::Damaged { offset: journal.valid_bytes, line, detail });
            }
        }
        rest = &rest[end + 1..];
    }
    Ok(journal)
}

fn open_line(line: &[u8], before: &ReadJournal) -> Result<(Record, String), String> {
    let cut = line.len().checked_sub(SEAL_BYTES).ok_or("the line is too short")?;
    let (body, seal) = line.split_at(cut);
    let hash = seal
        .strip_prefix(b",\"hash\":\"")
        .and_then(|rest| rest.strip_suffix(b"\"}"))
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .ok_or("the line has no hash")?;
    let mut body = body.to_vec();
    body.push(b'}');
    if blake3::hash(&body).to_hex().as_str() != hash {
        return Err("the hash does not match".into());
    }
    let record: Record = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    if record.prev != before.head {
        return Err("the record does not follow the one before it".into());
    }
    if record.seq != before.records.len() as u64 {
        return Err(format!("expected record {}, found {}", before.records.len(), record.seq));
    }
    Ok((record, hash.to_owned()))
}

/// The writing end. After an error it refuses everything: a failed fsync must never be retried on the same file.
#[derive(Debug)]
pub(super) struct JournalWriter {
    file: File,
    seq: u64,
    epoch: u32,
    head: String,
    broken: bool,
}

impl JournalWriter {
    pub(super) fn new(file: File, seq: u64, epoch: u32, head: String) -> Self {
        JournalWriter { file, seq, epoch, head, broken: false }
    }

    pub(super) fn append(&mut self, at_ms: i64, event: &Event) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal could not be written before; nothing more is written to it"));
        }
        let record = Record { seq: self.seq, epoch: self.epoch, at_ms, prev: self.head.clone(), event: event.clone() };
        let body = serde_json::to_string(&record)?;
        let hash = blake3::hash(body.as_bytes()).to_hex();
        let line = format!("{},\"hash\":\"{hash}\"}}\n", &body[..body.len() - 1]);
        if let Err(error) = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()) {
            self.broken = true;
            return Err(error);
        }
        self.seq += 1;
        self.head = hash.to_string();
        Ok(())
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn three_records(path: &Path) {
        let mut writer = JournalWriter::new(File::create(path).unwrap(), 0, 1, GENESIS.into());
        for turn in 0..3 {
            writer.append(0, &Event::ModelRequested { turn, estimated_input_tokens: 10 }).unwrap();
        }
    }

    #[test]
    fn records_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        three_records(&path);
        let journal = read_journal(&path).unwrap();
        assert_eq!(journal.records.len(), 3);
        assert_eq!(journal.torn_bytes, 0);
    }

    #[test]
    fn every_cut_inside_the_last_line_leaves_the_records_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        three_records(&path);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
        for cut in last + 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = read_journal(&path).unwrap();
            assert_eq!((journal.records.len(), journal.torn_bytes), (2, (cut - last) as u64));
        }
    }

    #[test]
    fn any_flipped_byte_before_the_last_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        three_records(&path);
        let whole = std::fs::read(&path).unwrap();
        let first_two = whole[..whole.len() - 1].iter().rposition(|&b| b == b'\n').unwrap();
        for at in 0..first_two {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            std::fs::write(&path, &bent).unwrap();
            assert!(matches!(read_journal(&path), Err(JournalError::Damaged { .. })), "byte {at}");
        }
    }
}
