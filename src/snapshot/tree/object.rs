//! Directories as blobs: what one folder holds, in a form that is the same for the same content. A folder names the
//! objects of the folders in it, so the name of the topmost stands for everything below.
//!
//! ```text
//! "greenroom tree 1\n"
//! per entry, by name: kind u8 | name length u16 | name | mode u32 | uid u32 | gid u32 | mtime i64, u32 | then
//!   f  size u64 | content 32             a regular file
//!   p  size u64 | content 32 | list 32   a large one, stored in pieces whose list is a blob of its own
//!   h  length u16 | path                 another name of the file at this path of the same area
//!   d  object 32                         a folder
//!   l  length u16 | target               a symbolic link
//!   x  reason u8                         there, but not in the snapshot
//! ```
//!
//! Numbers are little endian.

use std::io;

use super::super::seen::{Attributes, LeftOut, Mtime};
use super::super::{ReadBlob, TreePath};
use crate::id::BlobId;

const HEAD: &[u8] = b"greenroom tree 1\n";

/// What stands behind a name in a stored folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    File { size: u64, content: BlobId, pieces: Option<BlobId> },
    HardLink { to: TreePath },
    Directory { object: BlobId },
    Symlink { target: TreePath },
    LeftOut(LeftOut),
}

/// Begins a folder's object.
pub(super) fn head() -> Vec<u8> {
    HEAD.to_vec()
}

pub(super) fn put(bytes: &mut Vec<u8>, name: &[u8], attributes: &Attributes, stored: &Stored) {
    bytes.push(match stored {
        Stored::File { pieces: None, .. } => b'f',
        Stored::File { pieces: Some(_), .. } => b'p',
        Stored::HardLink { .. } => b'h',
        Stored::Directory { .. } => b'd',
        Stored::Symlink { .. } => b'l',
        Stored::LeftOut(_) => b'x',
    });
    put_text(bytes, name);
    for number in [attributes.mode, attributes.uid, attributes.gid] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&attributes.mtime.seconds.to_le_bytes());
    bytes.extend_from_slice(&attributes.mtime.nanoseconds.to_le_bytes());
    match stored {
        Stored::File { size, content, pieces } => {
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&content.to_bytes());
            if let Some(pieces) = pieces {
                bytes.extend_from_slice(&pieces.to_bytes());
            }
        }
        Stored::HardLink { to } => put_text(bytes, to.as_bytes()),
        Stored::Directory { object } => bytes.extend_from_slice(&object.to_bytes()),
        Stored::Symlink { target } => put_text(bytes, target.as_bytes()),
        Stored::LeftOut(reason) => bytes.push(match reason {
            LeftOut::Fifo => 1,
            LeftOut::Socket => 2,
            LeftOut::Device => 3,
            LeftOut::Unreadable => 4,
        }),
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text);
}

/// Everything in one stored folder, by name.
pub(super) fn read(object: &BlobId, read: ReadBlob<'_>) -> io::Result<Vec<(Vec<u8>, Attributes, Stored)>> {
    let bytes = read(object)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("blob {object} is no folder of a snapshot"));
    let mut reader = Reader(bytes.strip_prefix(HEAD).ok_or_else(bad)?);
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        entries.push(reader.entry().ok_or_else(bad)?);
    }
    Ok(entries)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<(Vec<u8>, Attributes, Stored)> {
        let kind = self.take(1)?[0];
        let name = self.text()?.to_vec();
        let attributes = Attributes {
            mode: self.short()?,
            uid: self.short()?,
            gid: self.short()?,
            mtime: Mtime { seconds: self.long()? as i64, nanoseconds: self.short()? },
        };
        let stored = match kind {
            b'f' => Stored::File { size: self.long()?, content: self.id()?, pieces: None },
            b'p' => Stored::File { size: self.long()?, content: self.id()?, pieces: Some(self.id()?) },
            b'h' => Stored::HardLink { to: TreePath::new(self.text()?)? },
            b'd' => Stored::Directory { object: self.id()? },
            b'l' => Stored::Symlink { target: TreePath::link_target(self.text()?)? },
            b'x' => Stored::LeftOut(match self.take(1)?[0] {
                1 => LeftOut::Fifo,
                2 => LeftOut::Socket,
                3 => LeftOut::Device,
                4 => LeftOut::Unreadable,
                _ => return None,
            }),
            _ => return None,
        };
        let plain = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
        plain.then_some((name, attributes, stored))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes"));
        self.take(length.into())
    }

    fn short(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn id(&mut self) -> Option<BlobId> {
        Some(BlobId::from_bytes(self.take(32)?.try_into().expect("thirty-two bytes")))
    }
}
