//! The seam to durable state: an append-only journal of events and content-addressed blobs.

use std::io;

use crate::event::Event;
use crate::id::BlobId;

/// Where one run's history is kept. Single writer.
pub trait Store: Send + Sync {
    /// Writes the event and syncs it; it is committed when this returns. An error means that nothing may be acted on.
    fn append(&self, event: &Event) -> io::Result<()>;

    /// Stores bytes under their hash; they are durable when this returns.
    fn put_blob(&self, bytes: &[u8]) -> io::Result<BlobId>;

    /// The bytes, verified against their name.
    fn blob(&self, id: &BlobId) -> io::Result<Vec<u8>>;
}
