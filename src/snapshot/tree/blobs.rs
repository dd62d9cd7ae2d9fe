//! The blobs that a stored tree is made of.

use std::io;

use super::super::ReadBlob;
use super::object::{self, Stored};
use super::piece_ids;
use crate::id::BlobId;

/// Tells every blob that the topmost object names, folders before what they hold. What `is_news` refuses is not looked
/// into: a folder's name stands for everything below it.
pub fn each_blob(root: &BlobId, read: ReadBlob<'_>, is_news: &mut dyn FnMut(&BlobId) -> bool) -> io::Result<()> {
    for (_, _, stored) in object::read(root, read)? {
        match stored {
            Stored::Directory { object } if is_news(&object) => each_blob(&object, read, is_news)?,
            Stored::File { pieces: Some(list), .. } if is_news(&list) => {
                for piece in piece_ids(&list, read)? {
                    is_news(&piece);
                }
            }
            Stored::File { content, pieces: None, .. } => drop(is_news(&content)),
            // Another name of a file is not where its content is named.
            Stored::Directory { .. }
            | Stored::File { .. }
            | Stored::HardLink { .. }
            | Stored::Symlink { .. }
            | Stored::LeftOut(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::super::{FileTree, TreePath};
    use super::*;
    use crate::snapshot::seen::{Area, Attributes, Seen, SeenKind, Spot};

    #[test]
    fn each_folder_is_looked_into_once_and_nothing_of_it_is_passed_over() {
        let store = RefCell::new(HashMap::new());
        let put = |bytes: &[u8]| {
            let id = BlobId::of(bytes);
            store.borrow_mut().insert(id.clone(), bytes.to_vec());
            Ok(id)
        };
        let mut tree = FileTree::default();
        let list = put([BlobId::of(b"one"), BlobId::of(b"two")].map(|id| id.to_bytes()).concat().as_slice()).unwrap();
        tree.set_pieces(BlobId::of(b"large"), list.clone());
        let file = |content: &str| SeenKind::File { size: 1, content: BlobId::of(content.as_bytes()) };
        let mut add = |path: &str, kind: SeenKind, inode: u64, links: u64| {
            let spot = Spot { area: Area::Workspace, path: TreePath::new(path) };
            tree.insert(&Seen { spot, attributes: Attributes::default(), kind, inode, links });
        };
        add("a", SeenKind::Directory, 1, 1);
        add("a/large", file("large"), 2, 1);
        add("a/small", file("small"), 3, 2);
        add("name", file("small"), 3, 2);
        let (root, _) = tree.write(&mut |bytes| put(bytes)).unwrap();
        let read = |id: &BlobId| Ok(store.borrow()[id].clone());
        let mut told = Vec::new();
        each_blob(&root, &read, &mut |id| {
            let is_news = !told.contains(id);
            told.push(id.clone());
            is_news
        })
        .unwrap();
        let expected = FileTree::load(&root, &read).unwrap().blobs(&read).unwrap();
        let mut once = told.clone();
        once.sort();
        once.dedup();
        assert_eq!(once, expected.into_iter().collect::<Vec<_>>());
        assert!(once.contains(&list) && once.contains(&BlobId::of(b"two")));
        // A second time, with all of it known, only the areas are asked about.
        let mut asked = 0;
        each_blob(&root, &read, &mut |_| {
            asked += 1;
            false
        })
        .unwrap();
        assert_eq!(asked, 2);
    }
}
