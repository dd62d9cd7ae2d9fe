//! The exact files of a tree: a manifest of entries whose contents are blobs. Copying a repository in, what changed,
//! the patch, and carrying a change back to the host: all synchronous, none follows a link, none runs git.

pub mod apply;
pub mod archive;
mod beneath;
pub mod change;
pub mod copy_in;
pub mod extract;
mod git_folder;
mod git_index;
pub mod ignored;
pub mod merge;
pub mod pack;
pub mod patch;
mod patch_binary;
pub mod seen;
pub mod tree;
pub mod unpack;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use seen::SnapshotRef;
use serde::{Deserialize, Serialize};

use crate::id::BlobId;

/// A tree. Keys are paths relative to its root, `/`-separated, without `.` or `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub entries: BTreeMap<TreePath, Entry>,
}

/// A path inside a tree as bytes: file names need not be UTF-8. On the wire it is text, with bytes that are not UTF-8
/// (and `%` itself) percent-encoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

/// Reads a blob by its hash, verified.
pub type ReadBlob<'a> = &'a dyn Fn(&BlobId) -> std::io::Result<Vec<u8>>;

impl Manifest {
    /// Files and their bytes.
    pub fn size(&self) -> (u64, u64) {
        self.entries.values().fold((0, 0), |(files, bytes), entry| match entry {
            Entry::File { size, .. } => (files + 1, bytes + size),
            Entry::Directory { .. } | Entry::Symlink { .. } => (files, bytes),
        })
    }

    /// One hash for the whole tree: equal trees, equal hashes.
    pub fn digest(&self) -> BlobId {
        let mut hasher = blake3::Hasher::new();
        for (path, entry) in &self.entries {
            let line = match entry {
                Entry::File { mode, size, content } => format!("file {mode:o} {size} {content}"),
                Entry::Directory { mode } => format!("directory {mode:o}"),
                Entry::Symlink { target } => format!("symlink {target}"),
            };
            for part in [path.as_bytes(), line.as_bytes()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        BlobId::from_hex(hasher.finalize().to_hex().as_str()).expect("a hash in hex is a blob id")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    File {
        /// Permission bits, `0o7777` at most.
        mode: u32,
        size: u64,
        content: BlobId,
    },
    Directory {
        mode: u32,
    },
    Symlink {
        /// As stored in the link; never followed by the host.
        target: TreePath,
    },
}

impl TreePath {
    /// `None` for an empty, absolute, or escaping path, one with an empty or `.` part, or one with a NUL.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        let fine = !bytes.is_empty()
            && !bytes.contains(&0)
            && bytes.split(|&b| b == b'/').all(|part| !part.is_empty() && part != b"." && part != b"..");
        fine.then_some(TreePath(bytes))
    }

    /// A link's target: any bytes without NUL.
    pub fn link_target(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.is_empty() && !bytes.contains(&0)).then_some(TreePath(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path and then `name` below it; `None` where `name` is not one plain file name.
    pub fn child(&self, name: &[u8]) -> Option<TreePath> {
        TreePath::new([&self.0, &b"/"[..], name].concat()).filter(|_| !name.contains(&b'/'))
    }

    /// `None` at the top of the tree.
    pub fn parent(&self) -> Option<TreePath> {
        self.0.iter().rposition(|&b| b == b'/').map(|at| TreePath(self.0[..at].to_vec()))
    }

    /// The parents, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = TreePath> {
        std::iter::successors(self.parent(), TreePath::parent)
    }

    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or(&self.0)
    }

    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }

    /// Whether this is `folder` itself or lies below it.
    pub fn is_within(&self, folder: &TreePath) -> bool {
        self.0.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Whether a link here with this target leads out of the tree by its own steps upwards. What it points to stays
    /// outside, so it would point nowhere, and engines refuse to unpack it.
    pub fn leads_outside(&self, target: &TreePath) -> bool {
        if target.0.starts_with(b"/") {
            return false;
        }
        let mut depth = self.parts().count() - 1;
        for part in target.parts() {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => return true,
                b".." => depth -= 1,
                _ => depth += 1,
            }
        }
        false
    }

    pub fn to_path(&self) -> &std::path::Path {
        use std::os::unix::ffi::OsStrExt;
        std::path::Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// For people and for text formats: lossless, percent-encoded where not UTF-8.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for chunk in self.0.utf8_chunks() {
            text.push_str(&chunk.valid().replace('%', "%25"));
            for byte in chunk.invalid() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            if first == b'%' {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            } else {
                bytes.push(first);
                rest = tail;
            }
        }
        TreePath::link_target(bytes)
    }
}

impl std::fmt::Debug for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl std::fmt::Display for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Serialize for TreePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        TreePath::from_text(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a tree path")))
    }
}

#[cfg(test)]
mod path_tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_not_tree_paths() {
        for bad in ["", "/etc/passwd", "a/../b", "..", "a//b", "./a", "a/", "a\0b"] {
            assert_eq!(TreePath::new(bad), None, "{bad:?}");
        }
        assert!(TreePath::new("a/..b/c d").is_some());
    }

    #[test]
    fn a_name_that_is_not_utf8_survives_json() {
        let path = TreePath::new(b"odd\xff%name".to_vec()).expect("a plain name");
        let json = serde_json::to_string(&path).expect("a string");
        assert_eq!(json, r#""odd%FF%25name""#);
        assert_eq!(serde_json::from_str::<TreePath>(&json).expect("reads back"), path);
    }
}
