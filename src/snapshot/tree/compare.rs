//! Two trees side by side: what differs, and what makes the second one the first.

use super::{Area, FileTree, Folder, Node, Spot, What, below, index};
use crate::snapshot::TreePath;
use crate::snapshot::seen::{LeftOut, Order};

/// A file, link or folder that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Added(Spot),
    Removed(Spot),
    /// Content, target, kind, mode, owner, mtime or names.
    Changed(Spot),
}

impl Difference {
    pub fn spot(&self) -> &Spot {
        match self {
            Difference::Added(spot) | Difference::Removed(spot) | Difference::Changed(spot) => spot,
        }
    }
}

/// Everything that differs, folders before what they hold.
pub fn differences(before: &FileTree, after: &FileTree) -> Vec<Difference> {
    let mut found = Vec::new();
    for area in Area::ALL {
        let pair = Pair { wanted: before, actual: after, area };
        pair.node(None, Some(&before.areas[index(area)]), Some(&after.areas[index(area)]), &mut |what| {
            let spot = |path: Option<&TreePath>| Spot { area, path: path.cloned() };
            let difference = match what {
                Found::Missing { path, .. } => Difference::Removed(spot(Some(path))),
                Found::Extra { path, .. } => Difference::Added(spot(Some(path))),
                Found::Otherwise { path, .. } | Found::Attributes { path, .. } => Difference::Changed(spot(path)),
            };
            if found.last() != Some(&difference) {
                found.push(difference);
            }
        });
    }
    found
}

/// What was done to the files between two trees, for somebody who reads of it: everything that came, went, or has another
/// content, target, mode, owner or other names, one by one. Times alone are no deed.
pub fn effects(before: &FileTree, after: &FileTree) -> Vec<Difference> {
    let mut found = Vec::new();
    for area in Area::ALL {
        let spot = |path: &TreePath| Spot { area, path: Some(path.clone()) };
        let at = index(area);
        let forth = Pair { wanted: before, actual: after, area };
        forth.node(None, Some(&before.areas[at]), Some(&after.areas[at]), &mut |what| match what {
            Found::Missing { path, .. } => found.push(Difference::Removed(spot(path))),
            Found::Otherwise { path: Some(path), .. } => found.push(Difference::Changed(spot(path))),
            Found::Attributes { path: Some(path), wanted, actual } if !same_but_for_time(wanted, actual) => {
                found.push(Difference::Changed(spot(path)));
            }
            // What came is told with all that is in it by the way back.
            Found::Extra { .. } | Found::Otherwise { path: None, .. } | Found::Attributes { .. } => {}
        });
        let back = Pair { wanted: after, actual: before, area };
        back.node(None, Some(&after.areas[at]), Some(&before.areas[at]), &mut |what| {
            if let Found::Missing { path, .. } = what {
                found.push(Difference::Added(spot(path)));
            }
        });
    }
    found.sort_by(|one, other| one.spot().cmp(other.spot()));
    found
}

fn same_but_for_time(one: &Node, other: &Node) -> bool {
    let bare = |node: &Node| (node.attributes.mode, node.attributes.uid, node.attributes.gid);
    bare(one) == bare(other) || matches!(one.what, What::Symlink { .. })
}

/// What it takes to make a freshly unpacked tree the one that was wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// To be carried out in order.
    pub orders: Vec<Order>,
    /// What no order can put right, for a person: contents, owners.
    pub impossible: Vec<String>,
}

/// Names come first; attributes are asked for only where no name is wrong, because a name moves its folder's mtime.
pub fn orders(wanted: &FileTree, actual: &FileTree) -> Orders {
    let (mut removals, mut links, mut files, mut folders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut impossible = Vec::new();
    for area in Area::ALL {
        let spot = |path: Option<&TreePath>| Spot { area, path: path.cloned() };
        let mut make = |path: &TreePath, node: &Node| match &node.what {
            What::Directory(_) => links.push(Order::Directory { spot: spot(Some(path)) }),
            What::Symlink { target } => {
                links.push(Order::Symlink { spot: spot(Some(path)), target: target.clone() });
            }
            What::File { group, .. } => match first_name(wanted, area, *group) {
                Some(first) if first != path => {
                    links.push(Order::HardLink { spot: spot(Some(path)), existing: first.clone() });
                }
                Some(_) | None => impossible.push(format!("`{}` is missing", spot(Some(path)))),
            },
            What::LeftOut(_) => {}
        };
        let pair = Pair { wanted, actual, area };
        let mut attributes_of = Vec::new();
        pair.node(None, Some(&wanted.areas[index(area)]), Some(&actual.areas[index(area)]), &mut |found| match found {
            Found::Missing { path, node } => make(path, node),
            Found::Extra { path, .. } => removals.push(Order::Remove { spot: spot(Some(path)) }),
            Found::Otherwise { path: Some(path), node } => {
                removals.push(Order::Remove { spot: spot(Some(path)) });
                make(path, node);
            }
            Found::Otherwise { path: None, .. } => {}
            Found::Attributes { path, wanted, actual } => attributes_of.push((path.cloned(), wanted, actual)),
        });
        for (path, wanted, actual) in attributes_of {
            let (asked, found) = (wanted.attributes, actual.attributes);
            if (asked.uid, asked.gid) != (found.uid, found.gid) {
                let owners = format!("{}:{}, not {}:{}", found.uid, found.gid, asked.uid, asked.gid);
                impossible.push(format!("`{}` belongs to {owners}", spot(path.as_ref())));
            }
            let is_link = matches!(wanted.what, What::Symlink { .. });
            let mode = (!is_link).then_some(asked.mode);
            let order = Order::Attributes { spot: spot(path.as_ref()), mode, mtime: asked.mtime };
            match wanted.what {
                What::Directory(_) => folders.push(order),
                What::File { .. } | What::Symlink { .. } | What::LeftOut(_) => files.push(order),
            }
        }
    }
    let mut orders = removals;
    orders.extend(links);
    if orders.is_empty() {
        orders = files;
        // Deepest first: a folder's own mode may close the way to what it holds.
        orders.extend(folders.into_iter().rev());
    }
    Orders { orders, impossible }
}

struct Pair<'t> {
    wanted: &'t FileTree,
    actual: &'t FileTree,
    area: Area,
}

enum Found<'p, 't> {
    Missing {
        path: &'p TreePath,
        node: &'t Node,
    },
    Extra {
        path: &'p TreePath,
    },
    /// Another kind of thing, another content, another target or other names.
    Otherwise {
        path: Option<&'p TreePath>,
        node: &'t Node,
    },
    Attributes {
        path: Option<&'p TreePath>,
        wanted: &'t Node,
        actual: &'t Node,
    },
}

impl<'t> Pair<'t> {
    fn node(
        &self,
        path: Option<&TreePath>,
        wanted: Option<&'t Node>,
        actual: Option<&'t Node>,
        tell: &mut dyn FnMut(Found<'_, 't>),
    ) {
        // What a snapshot leaves out is not there when it is restored.
        let wanted = wanted.filter(|node| !is_left_out(node));
        let actual = actual.filter(|node| !is_left_out(node));
        match (wanted, actual, path) {
            (Some(node), None, Some(path)) => {
                tell(Found::Missing { path, node });
                if let What::Directory(folder) = &node.what {
                    self.folders(Some(path), folder, None, tell);
                }
            }
            (None, Some(_), Some(path)) => tell(Found::Extra { path }),
            (Some(one), Some(other), _) => {
                let same = match (&one.what, &other.what) {
                    (What::Directory(_), What::Directory(_)) => true,
                    (What::Symlink { target: one }, What::Symlink { target: other }) => one == other,
                    (
                        What::File { size, content, group },
                        What::File { size: other_size, content: other_content, group: other_group },
                    ) => {
                        let names =
                            (names(self.wanted, self.area, *group), names(self.actual, self.area, *other_group));
                        size == other_size && content == other_content && names.0 == names.1
                    }
                    (What::Directory(_) | What::Symlink { .. } | What::File { .. } | What::LeftOut(_), _) => false,
                };
                match same {
                    false => tell(Found::Otherwise { path, node: one }),
                    true if one.attributes != other.attributes && !same_link(one, other) => {
                        tell(Found::Attributes { path, wanted: one, actual: other });
                    }
                    true => {}
                }
                match (&one.what, &other.what) {
                    (What::Directory(one), What::Directory(other)) => self.folders(path, one, Some(other), tell),
                    (What::Directory(one), _) => self.folders(path, one, None, tell),
                    _ => {}
                }
            }
            (None, None, _) | (Some(_), None, None) | (None, Some(_), None) => {}
        }
    }

    fn folders(
        &self,
        at: Option<&TreePath>,
        wanted: &'t Folder,
        actual: Option<&'t Folder>,
        tell: &mut dyn FnMut(Found<'_, 't>),
    ) {
        if wanted.object.is_some() && wanted.object.as_ref() == actual.and_then(|actual| actual.object.as_ref()) {
            return;
        }
        for (name, node) in &wanted.children {
            let other = actual.and_then(|actual| actual.children.get(name));
            self.node(Some(&below(at, name)), Some(node), other, tell);
        }
        for (name, node) in actual.iter().flat_map(|actual| &actual.children) {
            if !wanted.children.contains_key(name) {
                self.node(Some(&below(at, name)), None, Some(node), tell);
            }
        }
    }
}

fn is_left_out(node: &Node) -> bool {
    matches!(node.what, What::LeftOut(LeftOut::Fifo | LeftOut::Socket | LeftOut::Device | LeftOut::Unreadable))
}

/// Links have no mode of their own.
fn same_link(one: &Node, other: &Node) -> bool {
    let bare = |node: &Node| (node.attributes.uid, node.attributes.gid, node.attributes.mtime);
    matches!(one.what, What::Symlink { .. }) && bare(one) == bare(other)
}

fn names(tree: &FileTree, area: Area, group: Option<u64>) -> Option<&std::collections::BTreeSet<TreePath>> {
    // One name alone is no group, whatever the inode once had.
    group.and_then(|group| tree.groups.get(&(area, group))).filter(|names| names.len() > 1)
}

fn first_name(tree: &FileTree, area: Area, group: Option<u64>) -> Option<&TreePath> {
    names(tree, area, group).and_then(|names| names.first())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Attributes;
    use super::*;
    use crate::id::BlobId;
    use crate::snapshot::seen::{Mtime, Seen, SeenKind};

    /// `name`, or `name/` for a folder; content, mode and time.
    fn tree(entries: &[(&str, &str, u32, i64)]) -> FileTree {
        let mut tree = FileTree::default();
        for (inode, (name, content, mode, seconds)) in (1..).zip(entries) {
            let kind = match name.ends_with('/') {
                true => SeenKind::Directory,
                false => SeenKind::File { size: content.len() as u64, content: BlobId::of(content.as_bytes()) },
            };
            let mtime = Mtime { seconds: *seconds, nanoseconds: 0 };
            tree.insert(&Seen {
                spot: Spot { area: Area::Home, path: TreePath::new(name.trim_end_matches('/')) },
                attributes: Attributes { mode: *mode, uid: 1000, gid: 1000, mtime },
                kind,
                inode,
                links: 1,
            });
        }
        tree
    }

    #[test]
    fn what_a_step_did_is_told_one_by_one_and_a_time_alone_is_nothing() {
        let before =
            tree(&[("d/", "", 0o755, 1), ("d/gone", "x", 0o644, 1), ("mode", "m", 0o644, 1), ("same", "s", 0o644, 1)]);
        let after = tree(&[
            ("d", "now a file", 0o644, 2),
            ("mode", "m", 0o600, 1),
            ("new/", "", 0o755, 2),
            ("new/within", "n", 0o644, 2),
            ("same", "s", 0o644, 9),
        ]);
        let told = |effect: &Difference| match effect {
            Difference::Added(spot) => format!("added {spot}"),
            Difference::Removed(spot) => format!("removed {spot}"),
            Difference::Changed(spot) => format!("changed {spot}"),
        };
        let effects: Vec<String> = effects(&before, &after).iter().map(told).collect();
        assert_eq!(effects, ["changed ~/d", "removed ~/d/gone", "changed ~/mode", "added ~/new", "added ~/new/within"]);
    }
}
