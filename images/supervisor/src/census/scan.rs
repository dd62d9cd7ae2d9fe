//! Looking at everything below the roots, folder by folder, on as many threads as there are CPUs for it.
//!
//! A folder becomes a block of records in the order of their names, so that one that did not change is told by comparing
//! bytes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use super::beneath::{self, OpenedUp, Root};

const THREADS_MAX: usize = 4;

/// One folder: where it is, and what it held.
pub(super) struct Block {
    pub(super) folder: Key,
    pub(super) records: Vec<u8>,
}

/// The root's number and the path below it; `None` stands for what holds the root itself.
pub(super) type Key = (u32, Option<Vec<u8>>);

/// What is known of one thing: two that are equal were not changed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Facts {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime_s: i64,
    pub(super) mtime_ns: u32,
    pub(super) ctime_s: i64,
    pub(super) ctime_ns: u32,
    /// With the kind of file.
    pub(super) mode: u32,
    pub(super) links: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mark: Mark,
}

/// What makes a record differ from itself at the next census.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mark {
    #[default]
    None,
    /// A regular file changed so lately that one more change might leave the same ctime behind.
    Fresh,
    /// A folder that could not be read.
    Shut,
}

const FACTS_BYTES: usize = 8 + 8 + 8 + 4 + 8 + 4 + 4 + 8 + 4 + 4 + 1;

impl Facts {
    #[allow(clippy::unnecessary_cast, reason = "the count of links is 32 bits wide on other machines")]
    fn of(stat: &libc::stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size as u64,
            mtime_s: stat.st_mtime,
            mtime_ns: stat.st_mtime_nsec as u32,
            ctime_s: stat.st_ctime,
            ctime_ns: stat.st_ctime_nsec as u32,
            mode: stat.st_mode,
            links: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mark: Mark::None,
        }
    }

    fn encode_into(&self, bytes: &mut Vec<u8>) {
        for number in [self.inode, self.size, self.mtime_s as u64, self.ctime_s as u64, self.links] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.mtime_ns, self.ctime_ns, self.mode, self.uid, self.gid] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(match self.mark {
            Mark::None => 0,
            Mark::Fresh => 1,
            Mark::Shut => 2,
        });
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != FACTS_BYTES {
            return None;
        }
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Some(Self {
            inode: long(0),
            size: long(8),
            mtime_s: long(16) as i64,
            ctime_s: long(24) as i64,
            links: long(32),
            mtime_ns: short(40),
            ctime_ns: short(44),
            mode: short(48),
            uid: short(52),
            gid: short(56),
            mark: match bytes[60] {
                0 => Mark::None,
                1 => Mark::Fresh,
                _ => Mark::Shut,
            },
        })
    }

    pub(super) fn is(&self, kind: libc::mode_t) -> bool {
        self.mode & libc::S_IFMT == kind
    }
}

pub(super) fn put_record(records: &mut Vec<u8>, name: &[u8], facts: &Facts) {
    records.extend_from_slice(&(name.len() as u16).to_le_bytes());
    records.extend_from_slice(name);
    facts.encode_into(records);
}

/// The first record of a block: its name, its facts, where the facts stand, and what follows.
pub(super) fn take_record(records: &[u8]) -> Option<(&[u8], Facts, usize, &[u8])> {
    let length = u16::from_le_bytes(records.get(..2)?.try_into().expect("two bytes")) as usize;
    let name = records.get(2..2 + length)?;
    let end = 2 + length + FACTS_BYTES;
    let facts = Facts::decode(records.get(2 + length..end)?)?;
    Some((name, facts, 2 + length, &records[end..]))
}

pub(super) fn replace_facts(records: &mut [u8], at: usize, facts: &Facts) {
    let mut bytes = Vec::with_capacity(FACTS_BYTES);
    facts.encode_into(&mut bytes);
    records[at..at + FACTS_BYTES].copy_from_slice(&bytes);
}

pub(super) fn facts_at(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<Facts> {
    beneath::stat_at(folder, name).map(|stat| Facts::of(&stat))
}

pub(super) struct Scan<'a> {
    roots: &'a [Root],
    exclude: &'a [(u32, &'a [u8])],
    entries_max: u64,
    /// A ctime from here on is fresh.
    fresh_from: (i64, u32),
    entries: AtomicU64,
    queue: Mutex<Queue>,
    wake: Condvar,
}

struct Queue {
    waiting: Vec<(u32, Vec<u8>)>,
    busy: usize,
}

pub(super) struct Scanned {
    /// In the order of their keys.
    pub(super) blocks: Vec<Block>,
    pub(super) entries: u64,
    pub(super) cut: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(roots: &'a [Root], exclude: &'a [(u32, &'a [u8])], entries_max: u64) -> Self {
        let waiting = (0..roots.len() as u32).map(|root| (root, Vec::new())).collect();
        Scan {
            roots,
            exclude,
            entries_max,
            fresh_from: moments_ago(),
            entries: AtomicU64::new(0),
            queue: Mutex::new(Queue { waiting, busy: 0 }),
            wake: Condvar::new(),
        }
    }

    pub(super) fn run(&self) -> Scanned {
        let mut opened_up = OpenedUp::default();
        let mut blocks = self.root_blocks();
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
            // One that cannot be had, at the limit of processes, is done without.
            let helpers: Vec<_> = (1..threads)
                .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, || self.work()).ok())
                .collect();
            let (mine, shut) = self.work();
            blocks.extend(mine);
            opened_up.append(shut);
            for helper in helpers {
                let (theirs, shut) = helper.join().expect("looking at files does not panic");
                blocks.extend(theirs);
                opened_up.append(shut);
            }
        });
        drop(opened_up);
        blocks.sort_unstable_by(|a, b| a.folder.cmp(&b.folder));
        let entries = self.entries.load(Ordering::Relaxed);
        Scanned { blocks, entries, cut: entries > self.entries_max }
    }

    /// The roots themselves, whose attributes nobody else holds.
    fn root_blocks(&self) -> Vec<Block> {
        let block = |(number, root): (usize, &Root)| {
            let mut records = Vec::new();
            if let Ok(facts) = facts_at(root.fd.as_fd(), c".") {
                put_record(&mut records, b"", &facts);
            }
            Block { folder: (number as u32, None), records }
        };
        self.roots.iter().enumerate().map(block).collect()
    }

    /// Takes folders until there are none left and nobody is in one that could have more.
    fn work(&self) -> (Vec<Block>, OpenedUp) {
        let (mut blocks, mut opened_up, mut buffer) = (Vec::new(), OpenedUp::default(), Vec::new());
        let mut queue = self.queue.lock().expect("looking at files does not panic");
        loop {
            if let Some((root, path)) = queue.waiting.pop() {
                queue.busy += 1;
                drop(queue);
                let below = self.folder(root, path, &mut blocks, &mut opened_up, &mut buffer);
                queue = self.queue.lock().expect("looking at files does not panic");
                queue.busy -= 1;
                if self.entries.load(Ordering::Relaxed) <= self.entries_max {
                    queue.waiting.extend(below);
                } else {
                    queue.waiting.clear();
                }
                self.wake.notify_all();
            } else if queue.busy == 0 {
                self.wake.notify_all();
                return (blocks, opened_up);
            } else {
                queue = self.wake.wait(queue).expect("looking at files does not panic");
            }
        }
    }

    /// Looks at one folder; answers with the folders in it.
    fn folder(
        &self,
        root: u32,
        path: Vec<u8>,
        blocks: &mut Vec<Block>,
        opened_up: &mut OpenedUp,
        buffer: &mut Vec<u8>,
    ) -> Vec<(u32, Vec<u8>)> {
        let tree = &self.roots[root as usize];
        let Some((folder, mut names)) = self.look_into(tree, &path, opened_up, buffer) else {
            // Its absence among the blocks tells that it could not be read.
            return Vec::new();
        };
        names.sort_unstable();
        self.entries.fetch_add(names.len() as u64, Ordering::Relaxed);
        let mut records = Vec::with_capacity(names.len() * (FACTS_BYTES + 16));
        let mut below = Vec::new();
        for name in &names {
            let full = join(&path, name.as_bytes());
            if self.exclude.iter().any(|(of, left_out)| *of == root && *left_out == full.as_slice()) {
                continue;
            }
            // Gone since the folder was read.
            let Ok(mut facts) = facts_at(folder.as_fd(), name) else { continue };
            if facts.is(libc::S_IFREG) && (facts.ctime_s, facts.ctime_ns) >= self.fresh_from {
                facts.mark = Mark::Fresh;
            }
            put_record(&mut records, name.as_bytes(), &facts);
            if facts.is(libc::S_IFDIR) {
                below.push((root, full));
            }
        }
        blocks.push(Block { folder: (root, Some(path)), records });
        below
    }

    /// Opens a folder up first where its owner has shut it to itself; that is undone at the end.
    fn look_into(
        &self,
        tree: &Root,
        path: &[u8],
        opened_up: &mut OpenedUp,
        buffer: &mut Vec<u8>,
    ) -> Option<(std::os::fd::OwnedFd, Vec<std::ffi::CString>)> {
        let mut folder = tree.folder(path);
        let may_search = |folder: &std::os::fd::OwnedFd| facts_at(folder.as_fd(), c"..").is_ok();
        if folder.as_ref().map_or_else(|e| e.raw_os_error() == Some(libc::EACCES), |folder| !may_search(folder)) {
            opened_up.open(tree.absolute(path), 0o700).ok().filter(|opened| *opened)?;
            folder = tree.folder(path);
        }
        let folder = folder.ok()?;
        let names = beneath::names(folder.as_fd(), buffer).ok()?;
        Some((folder, names))
    }
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    if !folder.is_empty() {
        path.extend_from_slice(folder);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// By the clock that file systems stamp with, less more than one of its ticks.
fn moments_ago() -> (i64, u32) {
    const TICKS_NS: i64 = 20_000_000;
    // SAFETY: plain data that the call fills in.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    match now.tv_nsec - TICKS_NS {
        ns @ 0.. => (now.tv_sec, ns as u32),
        ns => (now.tv_sec - 1, (ns + 1_000_000_000) as u32),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let facts = Facts {
            inode: 1,
            size: 2,
            mtime_s: -3,
            mtime_ns: 4,
            ctime_s: 5,
            ctime_ns: 6,
            mode: libc::S_IFREG | 0o644,
            links: 7,
            uid: 8,
            gid: 9,
            mark: Mark::Fresh,
        };
        let mut records = Vec::new();
        put_record(&mut records, b"odd\xff", &facts);
        put_record(&mut records, b"", &Facts::default());
        let (name, read, at, rest) = take_record(&records).unwrap();
        assert_eq!((name, read), (&b"odd\xff"[..], facts));
        let (name, read, _, rest) = take_record(rest).unwrap();
        assert_eq!((name, read, rest), (&b""[..], Facts::default(), &b""[..]));
        let changed = Facts { size: 99, ..facts };
        replace_facts(&mut records, at, &changed);
        assert_eq!(take_record(&records).unwrap().1, changed);
    }
}
