//! A stored tree as tar streams that fill a new sandbox.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::super::pack::{Attributes as TarAttributes, Member, SharedReadBlob, append, stream};
use super::{Area, FileTree, What, piece_ids};
use crate::id::BlobId;
use crate::sandbox::TarStream;

/// One area, as an engine unpacks it. Links that lead out of it by their own steps stay away, because engines refuse
/// them: [`super::orders`] makes them afterwards.
pub fn area_stream(tree: Arc<FileTree>, area: Area, read: SharedReadBlob) -> TarStream {
    stream(move |writer| {
        let mut builder = tar::Builder::new(writer);
        let mut paths = Vec::new();
        tree.each(area, &mut |path, _| paths.push(path.clone()));
        let mut later = Vec::new();
        for path in &paths {
            let node = tree.node(area, path).expect("it was just listed");
            let own = &node.attributes;
            let attributes =
                TarAttributes { mode: own.mode, uid: own.uid.into(), gid: own.gid.into(), mtime: own.mtime };
            match &node.what {
                What::Directory(_) => append(&mut builder, path, Member::Directory, &attributes, io::empty())?,
                What::Symlink { target } if path.leads_outside(target) => {}
                What::Symlink { target } => {
                    append(&mut builder, path, Member::Link { target }, &attributes, io::empty())?;
                }
                What::File { size, content, group } => {
                    let names = group.and_then(|group| tree.groups.get(&(area, group)));
                    match names.and_then(BTreeSet::first) {
                        // Its content may come behind it.
                        Some(first) if first != path => later.push((path, first, attributes)),
                        Some(_) | None => {
                            let content = Content::open(&tree, content, *size, &read)?;
                            append(&mut builder, path, Member::File { size: *size }, &attributes, content)?;
                        }
                    }
                }
                What::LeftOut(_) => {}
            }
        }
        for (path, target, attributes) in later {
            append(&mut builder, path, Member::HardLink { target }, &attributes, io::empty())?;
        }
        builder.into_inner()?.finish()
    })
}

/// A file's content, one piece at a time.
struct Content<'a> {
    read: &'a SharedReadBlob,
    pieces: std::vec::IntoIter<BlobId>,
    current: io::Cursor<Vec<u8>>,
    left: u64,
}

impl<'a> Content<'a> {
    fn open(tree: &FileTree, content: &BlobId, size: u64, read: &'a SharedReadBlob) -> io::Result<Content<'a>> {
        let pieces = match tree.pieces_of(content) {
            Some(list) => piece_ids(list, &|id| read(id))?,
            None => vec![content.clone()],
        };
        Ok(Content { read, pieces: pieces.into_iter(), current: io::Cursor::new(Vec::new()), left: size })
    }
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.left = self
                    .left
                    .checked_sub(count as u64)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a stored file has another size"))?;
                return Ok(count);
            }
            match self.pieces.next() {
                Some(piece) => self.current = io::Cursor::new((self.read)(&piece)?),
                None if self.left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Ok(0),
            }
        }
    }
}
