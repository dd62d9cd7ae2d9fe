//! The lasting folders over the link: what changed in them, contents of many files, the last touches of a restored tree.

use std::time::Duration;

use greenroom_supervisor::protocol::{ByteString, CensusEntry, CensusKind, Order as Asked, Place, Request, Response};

use super::commands::unexpected;
use super::files::in_time;
use super::link::{Item, Link};
use super::{ContentSink, HOME, SandboxError, UNPACKED_PATH_BYTES_MAX, WORKSPACE};
use crate::id::BlobId;
use crate::snapshot::TreePath;
use crate::snapshot::seen::{Area, Attributes, Census, LeftOut, Mtime, Order, Seen, SeenKind, Spot};

/// Reading and hashing everything once is the longest of these.
const TREE_MAX: Duration = Duration::from_secs(900);
const ENTRIES_MAX: u64 = 5_000_000;
/// Of paths in one request: a byte becomes six at worst, and a frame holds a mebibyte.
const PATH_BYTES_MAX: usize = 128 << 10;
const PLACES_MAX: usize = 2_000;

pub(super) async fn census(link: &Link, since: u64) -> Result<Census, SandboxError> {
    let request = Request::Census { roots: roots(), exclude: Vec::new(), base: since, entries_max: ENTRIES_MAX };
    in_time(TREE_MAX, async {
        let mut call = link.call(&request)?;
        let mut census = Census::default();
        loop {
            match call.next().await? {
                Item::Response(Response::CensusEntries { entries }) => {
                    for entry in entries {
                        census.seen.extend(restorable(seen(entry).ok_or_else(nonsense)?));
                    }
                }
                Item::Response(Response::CensusGone { places }) => {
                    for place in places {
                        census.gone.push(spot(place).ok_or_else(nonsense)?);
                    }
                }
                Item::Response(Response::CensusDone(done)) if done.cut => {
                    return Err(refused(format!("they have more than {ENTRIES_MAX} entries")));
                }
                Item::Response(Response::CensusDone(done)) => {
                    census.generation = done.generation;
                    census.complete = done.complete;
                    census.entries = done.entries;
                    census.running = done.running;
                    return Ok(census);
                }
                Item::Response(Response::Failed { error }) => return Err(refused(error.message)),
                Item::Response(other) => return Err(unexpected("a census", &other)),
                Item::Chunk { .. } => {}
            }
        }
    })
    .await
}

pub(super) async fn collect(link: &Link, spots: &[Spot], sink: &mut dyn ContentSink) -> Result<(), SandboxError> {
    let mut number = 0;
    for part in in_requests(spots, |spot| spot.path.as_ref().map_or(0, |path| path.as_bytes().len())) {
        let request = Request::Collect { roots: roots(), places: part.iter().map(place).collect() };
        in_time(TREE_MAX, async {
            let mut call = link.call(&request)?;
            loop {
                match call.next().await? {
                    Item::Chunk { bytes, .. } => sink.bytes(number, &bytes)?,
                    Item::Response(Response::Collected(collected)) => {
                        let id = collected.bytes.and_then(|_| BlobId::from_hex(&collected.blake3));
                        sink.end(number, id)?;
                        number += 1;
                    }
                    Item::Response(Response::CollectDone) => return Ok(()),
                    Item::Response(Response::Failed { error }) => return Err(refused(error.message)),
                    Item::Response(other) => return Err(unexpected("contents", &other)),
                }
            }
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn settle(link: &Link, orders: &[Order]) -> Result<(), SandboxError> {
    for part in in_requests(orders, order_bytes) {
        let request = Request::Settle { roots: roots(), orders: part.iter().map(asked).collect() };
        let mut call = link.call(&request)?;
        match in_time(TREE_MAX, call.next()).await? {
            Item::Response(Response::Settled { unsettled }) => {
                if let Some(first) = unsettled.first() {
                    let what = part.get(first.order as usize).map(|order| format!("{order:?}")).unwrap_or_default();
                    return Err(SandboxError::Start {
                        detail: format!("a file cannot be restored: {what}: {}", first.message),
                    });
                }
            }
            Item::Response(Response::Failed { error }) => return Err(refused(error.message)),
            Item::Response(other) => return Err(unexpected("restored files", &other)),
            Item::Chunk { .. } => return Err(nonsense()),
        }
    }
    Ok(())
}

/// Pieces that fit into one request each.
fn in_requests<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let (mut begin, mut sum) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        let own = bytes(item);
        if at > begin && (sum + own > PATH_BYTES_MAX || at - begin == PLACES_MAX) {
            parts.push(&items[begin..at]);
            (begin, sum) = (at, 0);
        }
        sum += own;
    }
    if begin < items.len() {
        parts.push(&items[begin..]);
    }
    parts
}

fn order_bytes(order: &Order) -> usize {
    let of = |spot: &Spot| spot.path.as_ref().map_or(0, |path| path.as_bytes().len());
    match order {
        Order::Remove { spot } | Order::Directory { spot } | Order::Attributes { spot, .. } => of(spot),
        Order::Symlink { spot, target } => of(spot) + target.as_bytes().len(),
        Order::HardLink { spot, existing } => of(spot) + existing.as_bytes().len(),
    }
}

fn asked(order: &Order) -> Asked {
    match order {
        Order::Remove { spot } => Asked::Remove { place: place(spot) },
        Order::Directory { spot } => Asked::Dir { place: place(spot) },
        Order::Symlink { spot, target } => {
            Asked::Symlink { place: place(spot), target: ByteString::new(target.as_bytes()) }
        }
        Order::HardLink { spot, existing } => Asked::HardLink {
            place: place(spot),
            existing: place(&Spot { area: spot.area, path: Some(existing.clone()) }),
        },
        Order::Attributes { spot, mode, mtime } => {
            Asked::Attributes { place: place(spot), mode: *mode, mtime_s: mtime.seconds, mtime_ns: mtime.nanoseconds }
        }
    }
}

fn roots() -> Vec<ByteString> {
    Area::ALL.map(|area| folder(area).into()).to_vec()
}

fn folder(area: Area) -> &'static str {
    match area {
        Area::Workspace => WORKSPACE,
        Area::Home => HOME,
    }
}

fn place(spot: &Spot) -> Place {
    let root = Area::ALL.iter().position(|area| *area == spot.area).expect("every area is one of all") as u32;
    Place { root, path: ByteString::new(spot.path.as_ref().map_or(&b""[..], |path| path.as_bytes())) }
}

fn spot(place: Place) -> Option<Spot> {
    let area = *Area::ALL.get(place.root as usize)?;
    match place.path.as_bytes() {
        [] => Some(Spot { area, path: None }),
        _ => Some(Spot { area, path: Some(TreePath::new(place.path.into_bytes())?) }),
    }
}

fn seen(entry: CensusEntry) -> Option<Seen> {
    let kind = match entry.kind {
        CensusKind::File => SeenKind::File { size: entry.size, content: BlobId::from_hex(&entry.blake3?)? },
        CensusKind::Dir => SeenKind::Directory,
        CensusKind::Symlink => SeenKind::Symlink { target: TreePath::link_target(entry.target?.into_bytes())? },
        CensusKind::Fifo => SeenKind::LeftOut(LeftOut::Fifo),
        CensusKind::Socket => SeenKind::LeftOut(LeftOut::Socket),
        CensusKind::Device => SeenKind::LeftOut(LeftOut::Device),
        CensusKind::Unreadable => SeenKind::LeftOut(LeftOut::Unreadable),
    };
    let mtime = Mtime { seconds: entry.mtime_s, nanoseconds: entry.mtime_ns };
    Some(Seen {
        spot: spot(entry.place)?,
        attributes: Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime },
        kind,
        inode: entry.inode,
        links: entry.links,
    })
}

/// What is named by a longer path no engine could unpack again. The first such thing of a folder is recorded as left out;
/// what lies below it is left out with it.
fn restorable(seen: Seen) -> Option<Seen> {
    let Some(path) = seen.spot.path.as_ref().filter(|path| path.as_bytes().len() > UNPACKED_PATH_BYTES_MAX) else {
        return Some(seen);
    };
    let folder = path.as_bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    (folder <= UNPACKED_PATH_BYTES_MAX).then_some(Seen { kind: SeenKind::LeftOut(LeftOut::Unreadable), ..seen })
}

fn refused(detail: String) -> SandboxError {
    SandboxError::Refused { what: "take stock of its files".to_owned(), detail }
}

fn nonsense() -> SandboxError {
    SandboxError::Lost { detail: "PID 1 told nonsense about files".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_not_be_unpacked_again_is_left_out_once() {
        let seen = |path: String| Seen {
            spot: Spot { area: Area::Workspace, path: TreePath::new(path) },
            attributes: Attributes::default(),
            kind: SeenKind::Directory,
            inode: 1,
            links: 1,
        };
        let deep = "d/".repeat(UNPACKED_PATH_BYTES_MAX / 2);
        let kind = |path: String| restorable(seen(path)).map(|seen| seen.kind);
        assert_eq!(kind(format!("{}d", &deep[2..])), Some(SeenKind::Directory));
        assert_eq!(kind(format!("{deep}d")), Some(SeenKind::LeftOut(LeftOut::Unreadable)));
        assert_eq!(kind(format!("{deep}dd/d")), None);
    }

    #[test]
    fn requests_are_cut_by_number_and_by_length() {
        let lengths = |items: &[usize]| -> Vec<usize> {
            in_requests(items, |bytes| *bytes).iter().map(|part| part.len()).collect()
        };
        assert_eq!(lengths(&[]), Vec::<usize>::new());
        assert_eq!(lengths(&[1; 4001]), [2000, 2000, 1]);
        assert_eq!(lengths(&[PATH_BYTES_MAX, 1, 1]), [1, 2]);
    }
}
