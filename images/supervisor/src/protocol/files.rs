//! What the file tools answer with.

use serde::{Deserialize, Serialize};

use super::ByteString;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    File,
    Dir,
    Symlink,
    /// Device, FIFO or socket.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub kind: FileKind,
    /// Permission bits, setuid, setgid and sticky included.
    pub mode: u32,
    pub size: u64,
    pub mtime_ns: i64,
    /// Of a link: what it says, unresolved.
    pub target: Option<ByteString>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadDone {
    pub metadata: Metadata,
    pub bytes: u64,
    /// Whether the file went on behind the last byte sent.
    pub more: bool,
    /// Hash of the whole file, where the whole file was sent (offset 0, nothing more).
    pub blake3: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the listed directory.
    pub path: ByteString,
    pub kind: FileKind,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Relative to the searched directory; its own name where a single file was searched.
    pub path: ByteString,
    /// From 1.
    pub line: u64,
    /// From 1, in bytes.
    pub column: u64,
    /// The line without its end, cut to 500 bytes at a character; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// One line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkEntry {
    /// Relative to the root; the root itself is the empty path.
    pub path: ByteString,
    pub kind: FileKind,
    pub mode: u32,
    pub size: u64,
    pub mtime_ns: i64,
    /// Moves with every change of content or attributes, and uid 1000 cannot set it.
    pub ctime_ns: i64,
    pub inode: u64,
    pub target: Option<ByteString>,
    /// Of a regular file that was hashed; missing also where it could not be read.
    pub blake3: Option<String>,
}

/// What a container that only copies prints when it is done: one line, in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Files, folders and links, each counted once however many copies were made.
    pub entries: u64,
    pub bytes: u64,
    /// Sockets, which mean nothing without the process that listens.
    pub skipped: u64,
    pub error: Option<String>,
}
