//! What a census says: everything in the lasting folders that differs from the census before it.

use serde::{Deserialize, Serialize};

use super::ByteString;

/// A path below one of the roots that a request names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which of the request's roots, from 0.
    pub root: u32,
    /// Relative to it; empty is the root itself.
    pub path: ByteString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CensusKind {
    File,
    Dir,
    Symlink,
    Fifo,
    Socket,
    Device,
    /// A file or folder that is there and cannot be read by its own user.
    Unreadable,
}

/// One thing that is new, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CensusEntry {
    pub place: Place,
    pub kind: CensusKind,
    /// Permission bits, setuid, setgid and sticky included.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime_s: i64,
    pub mtime_ns: u32,
    pub inode: u64,
    /// Names this inode has.
    pub links: u64,
    /// Of a symbolic link.
    pub target: Option<ByteString>,
    /// Of a regular file.
    pub blake3: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CensusDone {
    /// Names what the host knows now; the base of the next census.
    pub generation: u64,
    /// The base was unknown: everything there is was listed, and what was not listed is not there.
    pub complete: bool,
    /// Everything looked at.
    pub entries: u64,
    pub bytes_hashed: u64,
    /// More than `entries_max`: nothing can be said.
    pub cut: bool,
    /// Processes of commands that were alive meanwhile: what they wrote may be half of something.
    pub running: u32,
}

/// One file's content, sent in Data frames before this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// `None` where there is no such regular file any more, or it cannot be read.
    pub bytes: Option<u64>,
    pub blake3: String,
}

/// What makes a folder exactly as it was once: carried out in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// With everything below it.
    Remove {
        place: Place,
    },
    Dir {
        place: Place,
    },
    Symlink {
        place: Place,
        target: ByteString,
    },
    /// Another name for the file at `existing`.
    HardLink {
        place: Place,
        existing: Place,
    },
    /// Of a link, not of what it points at, and then without `mode`.
    Attributes {
        place: Place,
        mode: Option<u32>,
        mtime_s: i64,
        mtime_ns: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// Which order, from 0.
    pub order: u64,
    pub message: String,
}
