//! The lasting files of a run as one tree: kept in memory from snapshot to snapshot, so that only folders that changed
//! are written again, and read back from the store when a snapshot is restored or compared.

mod blobs;
mod compare;
mod object;
mod unpack;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

pub use blobs::each_blob;
pub use compare::{Difference, Orders, differences, effects, orders};
use object::Stored;
pub use unpack::area_stream;

use super::seen::{Area, Attributes, LeftOut, Seen, SeenKind, Spot};
use super::{Entry, Manifest, ReadBlob, TreePath};
use crate::id::BlobId;

/// A file larger than this is stored in pieces of so many bytes, so that it never stands in memory whole and a log that
/// grows costs what it grew.
pub const PIECE_BYTES: usize = 4 << 20;

/// Names of the areas in the topmost object.
const NAMES: [(&[u8], Area); 2] = [(b"home", Area::Home), (b"workspace", Area::Workspace)];

/// Both areas. Paths in it are as a census told them: nothing is known of a folder but what was told.
#[derive(Debug, Clone)]
pub struct FileTree {
    areas: [Node; 2],
    /// Files with several names, by area and inode.
    groups: HashMap<(Area, u64), BTreeSet<TreePath>>,
    /// Lists of pieces by the content they make.
    pieces: HashMap<BlobId, BlobId>,
    /// Changes since the last [`FileTree::write`].
    changed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    attributes: Attributes,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    File {
        size: u64,
        content: BlobId,
        /// Where it has other names: what tells them apart from files that are merely equal.
        group: Option<u64>,
    },
    Directory(Folder),
    Symlink {
        target: TreePath,
    },
    LeftOut(LeftOut),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Folder {
    children: BTreeMap<Vec<u8>, Node>,
    /// Its object, while nothing in it is other.
    object: Option<BlobId>,
}

/// What a whole tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    pub left_out: u64,
}

impl Default for FileTree {
    fn default() -> Self {
        let empty = || Node { attributes: Attributes::default(), what: What::Directory(Folder::default()) };
        FileTree { areas: [empty(), empty()], groups: HashMap::new(), pieces: HashMap::new(), changed: 0 }
    }
}

fn index(area: Area) -> usize {
    match area {
        Area::Workspace => 0,
        Area::Home => 1,
    }
}

impl FileTree {
    /// A stored tree.
    pub fn load(root: &BlobId, read: ReadBlob<'_>) -> io::Result<Self> {
        let mut tree = FileTree::default();
        for (name, attributes, stored) in object::read(root, read)? {
            let area = NAMES.iter().find(|(known, _)| *known == name).map(|(_, area)| *area);
            let (Some(area), Stored::Directory { object }) = (area, stored) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("blob {root} is no snapshot")));
            };
            let mut links = HashMap::new();
            let folder = tree.load_folder(area, None, object, &mut links, read)?;
            tree.areas[index(area)] = Node { attributes, what: What::Directory(folder) };
        }
        tree.name_groups()?;
        Ok(tree)
    }

    fn load_folder(
        &mut self,
        area: Area,
        at: Option<&TreePath>,
        object: BlobId,
        links: &mut HashMap<TreePath, u64>,
        read: ReadBlob<'_>,
    ) -> io::Result<Folder> {
        let mut children = BTreeMap::new();
        for (name, attributes, stored) in object::read(&object, read)? {
            let path = below(at, &name);
            let what = match stored {
                Stored::File { size, content, pieces } => {
                    self.pieces.extend(pieces.map(|list| (content.clone(), list)));
                    What::File { size, content, group: None }
                }
                Stored::HardLink { to } => {
                    // The first of the names carries the content; its number only has to be one of its own.
                    let number = links.len() as u64 + 1;
                    let group = *links.entry(to.clone()).or_insert(number);
                    let names = self.groups.entry((area, group)).or_default();
                    names.extend([to, path]);
                    What::File { size: 0, content: BlobId::of(b""), group: Some(group) }
                }
                Stored::Directory { object } => {
                    What::Directory(self.load_folder(area, Some(&path), object, links, read)?)
                }
                Stored::Symlink { target } => What::Symlink { target },
                Stored::LeftOut(reason) => What::LeftOut(reason),
            };
            children.insert(name, Node { attributes, what });
        }
        Ok(Folder { children, object: Some(object) })
    }

    /// Gives every name of a file with several of them the content that its first one was stored with.
    fn name_groups(&mut self) -> io::Result<()> {
        let missing = |path: &TreePath| {
            io::Error::new(io::ErrorKind::InvalidData, format!("`{path}` has other names, and is not there"))
        };
        for ((area, group), names) in self.groups.clone() {
            let first = names.first().expect("a group has a name");
            let known = self.node(area, first).ok_or_else(|| missing(first))?;
            let What::File { size, content, .. } = known.what.clone() else { return Err(missing(first)) };
            for name in &names {
                if let Some(Node {
                    what: What::File { size: its_size, content: its_content, group: its_group }, ..
                }) = self.node_mut_quietly(area, name)
                {
                    (*its_size, *its_content, *its_group) = (size, content.clone(), Some(group));
                }
            }
        }
        Ok(())
    }

    /// Forgets every file but not how large ones were stored: a census that tells everything follows.
    pub fn clear(&mut self) -> Self {
        let pieces = std::mem::take(&mut self.pieces);
        std::mem::replace(self, FileTree { pieces, ..FileTree::default() })
    }

    pub fn remove(&mut self, spot: &Spot) {
        let Some(path) = &spot.path else { return };
        if let Some(folder) = self.folder_mut(spot.area, path.parent().as_ref())
            && let Some(node) = folder.children.remove(path.file_name())
        {
            folder.object = None;
            self.forget(spot.area, path, &node);
        }
    }

    /// Takes in what a census saw, folders before what they hold.
    pub fn insert(&mut self, seen: &Seen) {
        let Seen { spot, attributes, kind, inode, links } = seen;
        let what = match kind {
            SeenKind::File { size, content } => {
                What::File { size: *size, content: content.clone(), group: (*links > 1).then_some(*inode) }
            }
            SeenKind::Directory => What::Directory(Folder::default()),
            SeenKind::Symlink { target } => What::Symlink { target: target.clone() },
            SeenKind::LeftOut(reason) => What::LeftOut(*reason),
        };
        let Some(path) = &spot.path else {
            self.areas[index(spot.area)].attributes = *attributes;
            return;
        };
        let Some(folder) = self.folder_mut(spot.area, path.parent().as_ref()) else { return };
        let name = path.file_name();
        match (folder.children.get_mut(name), what) {
            // What is in it stays: a census tells that apart.
            (Some(Node { attributes: old, what: What::Directory(_) }), What::Directory(_)) => {
                if old != attributes {
                    *old = *attributes;
                    folder.object = None;
                }
            }
            (_, what) => {
                let node = Node { attributes: *attributes, what };
                let group = match &node.what {
                    What::File { group, .. } => *group,
                    What::Directory(_) | What::Symlink { .. } | What::LeftOut(_) => None,
                };
                // A file with several names may be written otherwise although it is what it was itself.
                let old = folder.children.insert(name.to_vec(), node.clone());
                if old.as_ref() != Some(&node) || group.is_some() {
                    folder.object = None;
                }
                if old.as_ref() != Some(&node) {
                    if !matches!(node.what, What::Directory(_)) {
                        self.changed += 1;
                    }
                    if let Some(old) = old {
                        self.regroup(spot.area, path, &old);
                        if let What::Directory(_) = old.what {
                            self.forget(spot.area, path, &old);
                        }
                    }
                }
                if let Some(group) = group {
                    self.groups.entry((spot.area, group)).or_default().insert(path.clone());
                }
            }
        }
    }

    /// Counts what went with a node, and takes its names out of their groups.
    fn forget(&mut self, area: Area, path: &TreePath, node: &Node) {
        match &node.what {
            What::Directory(folder) => {
                for (name, child) in &folder.children {
                    self.forget(area, &below(Some(path), name), child);
                }
            }
            What::File { .. } => {
                self.changed += 1;
                self.regroup(area, path, node);
            }
            What::Symlink { .. } | What::LeftOut(_) => self.changed += 1,
        }
    }

    fn regroup(&mut self, area: Area, path: &TreePath, old: &Node) {
        if let What::File { group: Some(group), .. } = &old.what
            && let Some(names) = self.groups.get_mut(&(area, *group))
        {
            names.remove(path);
            if names.is_empty() {
                self.groups.remove(&(area, *group));
            }
        }
    }

    /// What was really read of a file that changed while it was looked at; `None` where it was gone.
    pub fn correct(&mut self, spot: &Spot, read: Option<(u64, BlobId)>) {
        let Some(path) = &spot.path else { return };
        let Some(folder) = self.folder_mut(spot.area, path.parent().as_ref()) else { return };
        if let Some(node) = folder.children.get_mut(path.file_name()) {
            node.what = match (read, &node.what) {
                (Some((size, content)), What::File { group, .. }) => What::File { size, content, group: *group },
                (Some(_) | None, _) => What::LeftOut(LeftOut::Unreadable),
            };
        }
    }

    /// After a restore: this is what a stored tree became, and nothing of it is news.
    pub fn begin_with(&mut self, stored: &FileTree) {
        self.pieces = stored.pieces.clone();
        self.changed = 0;
    }

    /// Whether a regular file with this content stands there.
    pub fn has(&self, spot: &Spot, content: &BlobId) -> bool {
        let node = spot.path.as_ref().and_then(|path| self.node(spot.area, path));
        matches!(node, Some(Node { what: What::File { content: known, .. }, .. }) if known == content)
    }

    /// How a large file's content is stored.
    pub fn pieces_of(&self, content: &BlobId) -> Option<&BlobId> {
        self.pieces.get(content)
    }

    pub fn set_pieces(&mut self, content: BlobId, list: BlobId) {
        self.pieces.insert(content, list);
    }

    /// Writes every folder that is not as it was; answers with the topmost object and the number of changes since the
    /// last time.
    pub fn write(&mut self, put: &mut dyn FnMut(&[u8]) -> io::Result<BlobId>) -> io::Result<(BlobId, u64)> {
        let mut top = object::head();
        for (name, area) in NAMES {
            let writer = Writer { groups: &self.groups, pieces: &self.pieces, area };
            let node = &mut self.areas[index(area)];
            let What::Directory(folder) = &mut node.what else { unreachable!("an area is a folder") };
            let object = writer.folder(None, folder, put)?;
            object::put(&mut top, name, &node.attributes, &Stored::Directory { object });
        }
        Ok((put(&top)?, std::mem::take(&mut self.changed)))
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for area in &self.areas {
            add_up(area, &mut totals);
        }
        totals
    }

    /// One area as a manifest: what a patch and `cp` know of a tree. Files with several names are several files there.
    pub fn manifest(&self, area: Area) -> Manifest {
        let mut manifest = Manifest::default();
        self.each(area, &mut |path, node| {
            let mode = node.attributes.mode;
            let entry = match &node.what {
                What::File { size, content, .. } => Entry::File { mode, size: *size, content: content.clone() },
                What::Directory(_) => Entry::Directory { mode },
                What::Symlink { target } => Entry::Symlink { target: target.clone() },
                What::LeftOut(_) => return,
            };
            manifest.entries.insert(path.clone(), entry);
        });
        manifest
    }

    /// The bytes of a file's content, however they are stored.
    pub fn content(&self, content: &BlobId, read: ReadBlob<'_>) -> io::Result<Vec<u8>> {
        match self.pieces.get(content) {
            None => read(content),
            Some(list) => {
                let mut bytes = Vec::new();
                for piece in piece_ids(list, read)? {
                    bytes.extend(read(&piece)?);
                }
                Ok(bytes)
            }
        }
    }

    /// Every blob it takes to restore it, its folders included.
    pub fn blobs(&self, read: ReadBlob<'_>) -> io::Result<BTreeSet<BlobId>> {
        let mut found = BTreeSet::new();
        for area in Area::ALL {
            let What::Directory(folder) = &self.areas[index(area)].what else { continue };
            found.extend(folder.object.clone());
            let mut lists = Vec::new();
            self.each(area, &mut |_, node| match &node.what {
                What::File { content, .. } => match self.pieces.get(content) {
                    Some(list) => lists.push(list.clone()),
                    None => drop(found.insert(content.clone())),
                },
                What::Directory(folder) => found.extend(folder.object.clone()),
                What::Symlink { .. } | What::LeftOut(_) => {}
            });
            for list in lists {
                found.extend(piece_ids(&list, read)?);
                found.insert(list);
            }
        }
        Ok(found)
    }

    /// Every path of an area with its node, folders before what they hold.
    fn each<'t>(&'t self, area: Area, see: &mut dyn FnMut(&TreePath, &'t Node)) {
        fn go<'t>(at: Option<&TreePath>, folder: &'t Folder, see: &mut dyn FnMut(&TreePath, &'t Node)) {
            for (name, node) in &folder.children {
                let path = below(at, name);
                see(&path, node);
                if let What::Directory(folder) = &node.what {
                    go(Some(&path), folder, see);
                }
            }
        }
        if let What::Directory(folder) = &self.areas[index(area)].what {
            go(None, folder, see);
        }
    }

    fn node(&self, area: Area, path: &TreePath) -> Option<&Node> {
        let mut node = &self.areas[index(area)];
        for part in path.parts() {
            let What::Directory(folder) = &node.what else { return None };
            node = folder.children.get(part)?;
        }
        Some(node)
    }

    /// Without saying that it is changed.
    fn node_mut_quietly(&mut self, area: Area, path: &TreePath) -> Option<&mut Node> {
        let mut node = &mut self.areas[index(area)];
        for part in path.parts() {
            let What::Directory(folder) = &mut node.what else { return None };
            node = folder.children.get_mut(part)?;
        }
        Some(node)
    }

    /// The folder at a path; every object above it has to be written again.
    fn folder_mut(&mut self, area: Area, path: Option<&TreePath>) -> Option<&mut Folder> {
        let mut node = &mut self.areas[index(area)];
        if let Some(path) = path {
            for part in path.parts() {
                let What::Directory(folder) = &mut node.what else { return None };
                folder.object = None;
                node = folder.children.get_mut(part)?;
            }
        }
        match &mut node.what {
            What::Directory(folder) => Some(folder),
            What::File { .. } | What::Symlink { .. } | What::LeftOut(_) => None,
        }
    }
}

struct Writer<'a> {
    groups: &'a HashMap<(Area, u64), BTreeSet<TreePath>>,
    pieces: &'a HashMap<BlobId, BlobId>,
    area: Area,
}

impl Writer<'_> {
    fn folder(
        &self,
        at: Option<&TreePath>,
        folder: &mut Folder,
        put: &mut dyn FnMut(&[u8]) -> io::Result<BlobId>,
    ) -> io::Result<BlobId> {
        if let Some(object) = &folder.object {
            return Ok(object.clone());
        }
        let mut bytes = object::head();
        for (name, node) in &mut folder.children {
            let path = below(at, name);
            let stored = match &mut node.what {
                What::File { size, content, group } => {
                    let names = group.and_then(|group| self.groups.get(&(self.area, group)));
                    match names.and_then(BTreeSet::first) {
                        Some(first) if *first != path => Stored::HardLink { to: first.clone() },
                        Some(_) | None => {
                            let pieces = self.pieces.get(content).cloned();
                            Stored::File { size: *size, content: content.clone(), pieces }
                        }
                    }
                }
                What::Directory(folder) => Stored::Directory { object: self.folder(Some(&path), folder, put)? },
                What::Symlink { target } => Stored::Symlink { target: target.clone() },
                What::LeftOut(reason) => Stored::LeftOut(*reason),
            };
            object::put(&mut bytes, name, &node.attributes, &stored);
        }
        let object = put(&bytes)?;
        folder.object = Some(object.clone());
        Ok(object)
    }
}

fn add_up(node: &Node, totals: &mut Totals) {
    match &node.what {
        What::File { size, .. } => {
            totals.files += 1;
            totals.bytes += size;
        }
        What::Directory(folder) => folder.children.values().for_each(|child| add_up(child, totals)),
        What::Symlink { .. } => {}
        What::LeftOut(_) => totals.left_out += 1,
    }
}

/// The blob that lists a large file's pieces: their names, 32 bytes each.
pub fn piece_list(pieces: &[BlobId]) -> Vec<u8> {
    pieces.iter().flat_map(BlobId::to_bytes).collect()
}

fn piece_ids(list: &BlobId, read: ReadBlob<'_>) -> io::Result<Vec<BlobId>> {
    let bytes = read(list)?;
    if bytes.len() % 32 != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("blob {list} is no list of pieces")));
    }
    Ok(bytes.chunks_exact(32).map(|id| BlobId::from_bytes(id.try_into().expect("thirty-two bytes"))).collect())
}

fn below(at: Option<&TreePath>, name: &[u8]) -> TreePath {
    match at {
        Some(at) => at.child(name).expect("a name in a folder is one plain name"),
        None => TreePath::new(name).expect("a name in a folder is one plain name"),
    }
}
