//! What is seen of a sandbox's lasting files, and what a snapshot is to the journal.

use serde::{Deserialize, Serialize};

use super::TreePath;
use crate::id::BlobId;

/// A folder of a sandbox that outlasts its container. Snapshots hold both of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// `/workspace`
    Workspace,
    /// `$HOME`
    Home,
}

impl Area {
    pub const ALL: [Area; 2] = [Area::Workspace, Area::Home];
}

/// A path in an area; `None` is the area's own folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub area: Area,
    pub path: Option<TreePath>,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.area, &self.path) {
            (Area::Workspace, None) => f.write_str("/workspace"),
            (Area::Home, None) => f.write_str("~"),
            (Area::Workspace, Some(path)) => write!(f, "{path}"),
            (Area::Home, Some(path)) => write!(f, "~/{path}"),
        }
    }
}

/// Since 1970, negative before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// What can be restored of anything but its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `0o7777` at most.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Mtime,
}

/// Why something that is there cannot be in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    Fifo,
    Socket,
    Device,
    /// Not even its owner may read it.
    Unreadable,
}

/// One thing that is new since the census before, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub spot: Spot,
    pub attributes: Attributes,
    pub kind: SeenKind,
    pub inode: u64,
    /// Names this inode has.
    pub links: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenKind {
    File { size: u64, content: BlobId },
    Directory,
    Symlink { target: TreePath },
    LeftOut(LeftOut),
}

/// What differs in both areas from the census before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Names what is known now.
    pub generation: u64,
    /// Everything there is was listed: what is not among `seen` is not there.
    pub complete: bool,
    /// With everything that was below them.
    pub gone: Vec<Spot>,
    /// Folders before what they hold.
    pub seen: Vec<Seen>,
    /// Everything looked at.
    pub entries: u64,
    /// Processes of commands that were alive meanwhile.
    pub running: u32,
}

/// A file's content as it was read; `None` where it is gone or became something else.
pub type Collected = Option<BlobId>;

/// What makes restored areas exactly as they were, where an engine's unpacking did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    Remove {
        spot: Spot,
    },
    Directory {
        spot: Spot,
    },
    Symlink {
        spot: Spot,
        target: TreePath,
    },
    HardLink {
        spot: Spot,
        existing: TreePath,
    },
    /// `mode` is missing for links, which have none.
    Attributes {
        spot: Spot,
        mode: Option<u32>,
        mtime: Mtime,
    },
}

/// The exact files after a step, as the journal names them: `/workspace` and `$HOME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The object at the top of both trees: equal files, equal root.
    pub root: BlobId,
    /// Regular files in it, and their bytes; a file with several names counts once a name.
    pub files: u64,
    pub bytes: u64,
    /// Files and links that are new, other or gone since the snapshot before.
    pub changed: u64,
    /// What storing it took, compressed.
    pub stored_bytes: u64,
    /// FIFOs, sockets, devices and what nobody could read: recorded, not restored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Something was running and may have been in the middle of writing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unstable: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
