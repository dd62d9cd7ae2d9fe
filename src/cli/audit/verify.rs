//! Every byte of a run against what was written: the chain of records, and each blob they name.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;

use crate::cli::found;
use crate::error::Result;
use crate::event::{Event, Named};
use crate::id::{BlobId, RunId};
use crate::planted::{self, Planted};
use crate::snapshot::tree::each_blob;
use crate::snapshot::{Entry, Manifest};
use crate::store::{Blobs, JournalError, Record, RunDir};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Verified {
    /// Hash of the last good record.
    pub(in crate::cli) head: String,
    pub(in crate::cli) records: u64,
    /// How many processes have written to the journal.
    pub(in crate::cli) owners: u32,
    pub(in crate::cli) blobs: u64,
    /// Of their contents.
    pub(in crate::cli) blob_bytes: u64,
    pub(in crate::cli) problems: Vec<Problem>,
    /// Every blob it takes.
    #[serde(skip)]
    pub(in crate::cli) named: BTreeSet<BlobId>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) place: Place,
    pub(in crate::cli) detail: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::cli) enum Place {
    /// Where the bad record begins; lines count from 1.
    Journal { offset: u64, line: u64 },
    Blob {
        blob: BlobId,
        /// The first step that names it.
        step: Option<u64>,
    },
    /// Given on the command line.
    Head { head: String },
    /// An audit of its own says where.
    Helper { run: RunId },
}

impl Verified {
    /// Everything a run below it takes, too.
    pub(in crate::cli) fn add_helper(&mut self, dir: &RunDir) -> Result<()> {
        let (helper, _) = verify(dir, None)?;
        if let Some(problem) = helper.problems.first() {
            self.problems.push(Problem { place: Place::Helper { run: dir.run() }, detail: problem.detail.clone() });
        }
        self.named.extend(helper.named);
        Ok(())
    }
}

/// Reads everything, changes nothing. The records are those before the first bad one.
pub(in crate::cli) fn verify(dir: &RunDir, head: Option<&str>) -> Result<(Verified, Vec<Record>)> {
    let (journal, damage) = dir.valid_prefix().map_err(found)?;
    let mut problems = Vec::new();
    let end = Place::Journal { offset: journal.valid_bytes, line: journal.records.len() as u64 + 1 };
    match damage {
        Some(JournalError::Damaged { offset, line, detail }) => {
            problems.push(Problem { place: Place::Journal { offset, line }, detail });
        }
        Some(error @ (JournalError::Newer { .. } | JournalError::Io(_))) => return Err(found(error.into())),
        None if journal.torn_bytes > 0 => {
            let detail = journal.torn_detail.as_deref().unwrap_or("it is torn");
            let detail = format!("the last {} bytes are no record: {detail}", journal.torn_bytes);
            problems.push(Problem { place: end, detail });
        }
        None => {}
    }
    let head = head.filter(|_| !planted::has(Planted::AuditIgnoresHead));
    if let Some(head) = head.filter(|head| !journal.hashes.iter().any(|hash| hash == head)) {
        let detail = "no record has this hash: the journal was rewritten, or it is another run's".to_owned();
        problems.push(Problem { place: Place::Head { head: head.to_owned() }, detail });
    }
    let mut seen = Seen { blobs: dir.blobs(), seen: BTreeSet::new(), bytes: 0, step: None, problems };
    for record in &journal.records {
        if let Event::ToolCallStarted { token, .. } | Event::ToolCallFinished { token, .. } = &record.event {
            seen.step = Some(token.0 + 1);
        }
        record.event.blobs().into_iter().for_each(|blob| seen.look(blob));
    }
    let verified = Verified {
        head: journal.head().to_owned(),
        records: journal.records.len() as u64,
        owners: journal.records.last().map_or(0, |record| record.epoch),
        blobs: seen.seen.len() as u64,
        blob_bytes: seen.bytes,
        problems: seen.problems,
        named: seen.seen,
    };
    Ok((verified, journal.records))
}

struct Seen<'a> {
    blobs: &'a Blobs,
    seen: BTreeSet<BlobId>,
    bytes: u64,
    step: Option<u64>,
    problems: Vec<Problem>,
}

impl Seen<'_> {
    fn look(&mut self, named: Named<'_>) {
        match named {
            Named::Bytes(id) => {
                self.verify(id);
            }
            Named::Manifest(id) if self.verify(id) => self.look_into(id),
            Named::Snapshot(id) if self.verify(id) => self.look_into_snapshot(id),
            Named::Manifest(_) | Named::Snapshot(_) => {}
        }
    }

    fn look_into(&mut self, id: &BlobId) {
        let manifest = self.blobs.get(id).and_then(|bytes| Ok(serde_json::from_slice::<Manifest>(&bytes)?));
        match manifest {
            Ok(manifest) => manifest.entries.values().for_each(|entry| match entry {
                Entry::File { content, .. } => {
                    self.verify(content);
                }
                Entry::Directory { .. } | Entry::Symlink { .. } => {}
            }),
            Err(error) => self.problem(id, &error),
        }
    }

    /// What a folder names is looked at with the first snapshot that has the folder: its name stands for all of it.
    fn look_into_snapshot(&mut self, id: &BlobId) {
        let blobs = self.blobs;
        let looked = each_blob(id, &|id| blobs.get(id), &mut |id| self.verify(id));
        if let Err(error) = looked {
            self.problem(id, &error);
        }
    }

    /// Once each; whether this was the first time and all is well.
    fn verify(&mut self, id: &BlobId) -> bool {
        if !self.seen.insert(id.clone()) {
            return false;
        }
        match self.blobs.verify(id) {
            Ok(bytes) => {
                self.bytes += bytes;
                true
            }
            Err(_) if planted::has(Planted::AuditSkipsBlobs) => false,
            Err(error) => {
                self.problem(id, &error);
                false
            }
        }
    }

    fn problem(&mut self, id: &BlobId, error: &io::Error) {
        let detail = match error.kind() {
            io::ErrorKind::NotFound => "it is missing".to_owned(),
            _ => error.to_string(),
        };
        self.problems.push(Problem { place: Place::Blob { blob: id.clone(), step: self.step }, detail });
    }
}
