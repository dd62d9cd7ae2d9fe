//! The journal file: one JSON line a record, each naming the hash of the one before, synced before it counts.
//!
//! A line is the record's JSON with `"hash"` as its last member; the hash is BLAKE3 over the line without it.
//! A torn last line is dropped and told; a bad line before that is refused with its offset.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::{Event, JOURNAL_SCHEMA};
use crate::planted::{self, Planted};

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
    #[error("the journal was written by a newer Greenroom (line {line}: {detail})")]
    Newer { offset: u64, line: u64, detail: String },
}

/// What a journal file holds.
#[derive(Debug)]
pub struct ReadJournal {
    pub records: Vec<Record>,
    /// Hash of each record, in their order.
    pub hashes: Vec<String>,
    /// Length of the valid part; a writer truncates to it.
    pub valid_bytes: u64,
    /// Bytes of a torn last line, 0 where the file ends well.
    pub torn_bytes: u64,
    /// What is wrong with a torn last line.
    pub torn_detail: Option<String>,
}

pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Length of `,"hash":"<64 digits>"}`.
const SEAL_BYTES: usize = 9 + 64 + 2;

impl ReadJournal {
    pub(super) fn empty() -> Self {
        ReadJournal { records: Vec::new(), hashes: Vec::new(), valid_bytes: 0, torn_bytes: 0, torn_detail: None }
    }

    /// Hash of the last record.
    pub fn head(&self) -> &str {
        self.hashes.last().map_or(GENESIS, String::as_str)
    }

    pub(super) fn epoch(&self) -> u32 {
        self.records.last().map_or(0, |record| record.epoch)
    }
}

/// Reads and verifies a whole journal.
pub fn read_journal(path: &Path) -> Result<ReadJournal, JournalError> {
    match read_valid_prefix(path)? {
        (_, Some(damage)) => Err(damage),
        (journal, None) => Ok(journal),
    }
}

/// The records before the first that cannot be taken, and why that one cannot.
pub fn read_valid_prefix(path: &Path) -> Result<(ReadJournal, Option<JournalError>), JournalError> {
    let bytes = std::fs::read(path)?;
    let mut journal = ReadJournal::empty();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let Some(end) = rest.iter().position(|&b| b == b'\n') else {
            journal.torn_bytes = rest.len() as u64;
            journal.torn_detail = Some("the last line has no end".into());
            break;
        };
        let (offset, line) = (journal.valid_bytes, journal.records.len() as u64 + 1);
        match open_line(&rest[..end], &journal) {
            Ok((record, hash)) => {
                journal.records.push(record);
                journal.hashes.push(hash);
                journal.valid_bytes += end as u64 + 1;
            }
            Err(BadLine::Unknown(detail)) => return Ok((journal, Some(JournalError::Newer { offset, line, detail }))),
            // Sectors of one write may land in any order, so a torn last line can have its newline.
            Err(BadLine::Broken(detail)) if rest.len() == end + 1 => {
                journal.torn_bytes = rest.len() as u64;
                journal.torn_detail = Some(detail);
                break;
            }
            Err(BadLine::Broken(_)) if planted::has(Planted::SkipBadRecord) => journal.valid_bytes += end as u64 + 1,
            Err(BadLine::Broken(detail)) => {
                return Ok((journal, Some(JournalError::Damaged { offset, line, detail })));
            }
        }
        rest = &rest[end + 1..];
    }
    Ok((journal, None))
}

enum BadLine {
    /// It is not what was written.
    Broken(String),
    /// It is what was written, and says what this version does not know.
    Unknown(String),
}

/// A line of a journal that was verified when it was opened, and its hash.
pub(super) fn record_of_line(line: &[u8]) -> Option<(Record, String)> {
    let body = line.get(..line.len().checked_sub(SEAL_BYTES)?)?;
    let hash = std::str::from_utf8(line.get(line.len() - 66..line.len() - 2)?).ok()?;
    let body = [body, b"}"].concat();
    Some((serde_json::from_slice(&body).ok()?, hash.to_owned()))
}

fn open_line(line: &[u8], before: &ReadJournal) -> Result<(Record, String), BadLine> {
    let broken = |detail: &str| BadLine::Broken(detail.to_owned());
    let cut = line.len().checked_sub(SEAL_BYTES).ok_or_else(|| broken("the line is too short"))?;
    let (body, seal) = line.split_at(cut);
    let hash = seal
        .strip_prefix(b",\"hash\":\"")
        .and_then(|rest| rest.strip_suffix(b"\"}"))
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .ok_or_else(|| broken("the line has no hash"))?;
    let mut body = body.to_vec();
    body.push(b'}');
    if blake3::hash(&body).to_hex().as_str() != hash && !planted::has(Planted::SkipRecordHash) {
        return Err(broken("the hash does not match"));
    }
    let value: serde_json::Value = serde_json::from_slice(&body).map_err(|error| broken(&error.to_string()))?;
    let schema = value.pointer("/event/schema").and_then(serde_json::Value::as_u64);
    if let Some(schema) = schema.filter(|schema| *schema > u64::from(JOURNAL_SCHEMA)) {
        let detail = format!("journal schema {schema}, this version knows {JOURNAL_SCHEMA}");
        return Err(BadLine::Unknown(detail));
    }
    let record: Record = serde_json::from_value(value).map_err(|error| BadLine::Unknown(error.to_string()))?;
    if record.prev != before.head() && !planted::has(Planted::SkipChain) {
        return Err(broken("the record does not follow the one before it"));
    }
    if record.seq != before.records.len() as u64 {
        return Err(BadLine::Broken(format!("expected record {}, found {}", before.records.len(), record.seq)));
    }
    if record.epoch < before.epoch() {
        return Err(BadLine::Broken(format!("its owner {} was followed by {} before", record.epoch, before.epoch())));
    }
    Ok((record, hash.to_owned()))
}

/// A record as its line, and its hash.
pub(super) fn seal(record: &Record) -> io::Result<(String, String)> {
    let body = serde_json::to_string(record)?;
    let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
    let line = format!("{},\"hash\":\"{hash}\"}}\n", &body[..body.len() - 1]);
    Ok((line, hash))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
