//! The seam to durable state: an append-only journal of events and content-addressed blobs.

mod beneath;
mod blobs;
mod collect;
mod inbox;
mod index;
mod journal;
mod journal_writer;
mod memory;
mod packs;
mod recall;
mod run_dir;
mod seal;
mod tail;
mod whole;

use std::io;
use std::sync::Arc;

pub use beneath::helper_path;
pub use blobs::Blobs;
pub use collect::{Alone, UnusedContents};
pub use inbox::{LETTER_BYTES_MAX, Letter};
pub use journal::{JournalError, ReadJournal, Record, read_journal, read_valid_prefix};
pub use memory::{Memory, MemoryLine, Standing, root_commit};
pub use recall::{Hit, Match, Question, Recalled};
pub use run_dir::{RunDir, RunStore, StoreError, list_runs};
pub use tail::Tail;

use crate::event::Event;
use crate::id::{BlobId, RunId};

/// The run of a helper, held for writing.
pub struct Beneath {
    pub store: Arc<dyn Store>,
    /// What its journal has already.
    pub events: Vec<Event>,
    /// Which owner of it this process is, counted from 1.
    pub epoch: u32,
}

/// Where one run's history is kept. Single writer.
pub trait Store: Send + Sync {
    /// Writes the event and syncs it; it is committed when this returns. An error means that nothing may be acted on.
    fn append(&self, event: &Event) -> io::Result<()>;

    /// Stores bytes under their hash; they are durable when the next `append` returns.
    fn put_blob(&self, bytes: &[u8]) -> io::Result<BlobId>;

    /// Whether these bytes are stored already.
    fn has_blob(&self, id: &BlobId) -> bool;

    /// What this store has written of blobs since it was opened, compressed.
    fn blob_bytes_written(&self) -> u64;

    /// The bytes, verified against their name.
    fn blob(&self, id: &BlobId) -> io::Result<Vec<u8>>;

    /// What was committed so far says to the question. The same journal gives the same answer.
    fn recall(&self, question: &Question) -> io::Result<Recalled>;

    /// What a person said and the journal does not have yet, oldest first.
    fn inbox(&self) -> io::Result<Vec<Letter>>;

    /// It is in the journal: it is not read again.
    fn letter_read(&self, id: &str) -> io::Result<()>;

    /// A helper's run below this one. `None` where there is none and none was to be made.
    fn beneath(&self, run: &RunId, create: bool) -> io::Result<Option<Beneath>>;
}
