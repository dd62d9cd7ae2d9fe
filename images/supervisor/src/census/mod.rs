//! The census: what differs in the lasting folders from the census before. Snapshots are made from it.
//!
//! PID 1 keeps a roll (a piece of memory without a name) in which each census leaves what it saw. The next one looks at
//! everything again and says what is not as the roll has it: by size, mtime, ctime, inode, links, mode and owner. Only
//! that is hashed and travels.
//!
//! A ctime cannot be set by a command, but it has the kernel's grain: a file that changed within the last tick might
//! change once more and look the same. Such files are marked and hashed again next time, whatever they look like.

mod beneath;
pub(crate) mod collect;
mod scan;
pub(crate) mod settle;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use greenroom_supervisor::protocol::{
    ByteString, CallError, CensusDone, CensusEntry, CensusKind, Place, Response, SANDBOX_UID,
};

use crate::files;
use crate::sweep;
use crate::worker::Reply;
use beneath::{Root, open_roots};
use scan::{Block, Facts, Mark, Scan, join, replace_facts, take_record};

const BATCH_ENTRIES: usize = 400;
/// Whatever a path may cost, a batch stays far below the limit of a frame (a byte becomes six at worst).
const BATCH_PATH_BYTES: usize = 64 << 10;
const HASH_THREADS_MAX: usize = 4;

/// What the last census saw, in memory of PID 1's that its workers are given.
#[derive(Default)]
pub(crate) struct Roll {
    memory: Option<OwnedFd>,
}

impl Roll {
    pub(crate) fn fd(&mut self) -> io::Result<RawFd> {
        if self.memory.is_none() {
            // SAFETY: a terminated string; the descriptor is ours from here on.
            let fd = unsafe { libc::memfd_create(c"roll".as_ptr(), libc::MFD_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: it was just made.
            self.memory = Some(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        Ok(self.memory.as_ref().expect("it was just made").as_raw_fd())
    }
}

/// `generation u64 | length u64 | blocks`; a generation of 0 says that nothing is known.
struct Known {
    generation: u64,
    blocks: Vec<Block>,
}

const HEADER_BYTES: usize = 16;

pub(crate) fn census(
    roots: &[ByteString],
    exclude: &[Place],
    base: u64,
    entries_max: u64,
    roll: RawFd,
    reply: &Reply,
) -> Result<Response, CallError> {
    // SAFETY: the descriptor is the worker's own, and it ends without dropping anything.
    let roll = unsafe { File::from_raw_fd(roll) };
    let failed = |error: io::Error| files::error(b"the census roll", &error);
    let roots = open_roots(roots)?;
    let before = commands_alive();
    if before > 0 {
        flush_mapped_stores(&roots);
    }
    let exclude: Vec<(u32, &[u8])> = exclude.iter().map(|place| (place.root, place.path.as_bytes())).collect();
    let mut seen = Scan::new(&roots, &exclude, entries_max).run();
    let entries = seen.entries;
    if seen.cut {
        let nothing =
            CensusDone { generation: 0, complete: false, entries, bytes_hashed: 0, cut: true, running: before };
        return Ok(Response::CensusDone(nothing));
    }
    let known = read_roll(&roll).map_err(failed)?.filter(|known| known.generation == base && base != 0);
    let complete = known.is_none();
    let (generation, old) = known.map_or((0, Vec::new()), |known| (known.generation, known.blocks));
    let mut teller =
        Teller { roots: &roots, reply, entries: Vec::new(), gone: Vec::new(), path_bytes: 0, told: 0, bytes_hashed: 0 };
    let mut marks_moved = false;
    teller.compare(&old, &mut seen.blocks, &mut marks_moved);
    let bytes_hashed = teller.bytes_hashed;
    let news = teller.told > 0;
    let generation = if news || complete { fresh_generation(generation) } else { generation };
    if news || complete || marks_moved {
        write_roll(&roll, generation, &seen.blocks).map_err(failed)?;
    }
    let running = before.max(commands_alive());
    Ok(Response::CensusDone(CensusDone { generation, complete, entries, bytes_hashed, cut: false, running }))
}

/// Never one that an earlier roll of this container had: a host that lost an answer must not take another for it.
fn fresh_generation(last: u64) -> u64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    now.max(last + 1)
}

/// Says what differs, in batches.
struct Teller<'a> {
    roots: &'a [Root],
    reply: &'a Reply,
    entries: Vec<Pending>,
    gone: Vec<Place>,
    path_bytes: usize,
    told: u64,
    bytes_hashed: u64,
}

/// Something to be told, and where its record stands.
struct Pending {
    root: u32,
    path: Vec<u8>,
    facts: Facts,
    block: usize,
    at: usize,
}

impl Teller<'_> {
    fn compare(&mut self, old: &[Block], new: &mut [Block], marks_moved: &mut bool) {
        let mut old = old.iter().peekable();
        for number in 0..new.len() {
            while old.next_if(|block| block.folder < new[number].folder).is_some() {}
            let before = old.next_if(|block| block.folder == new[number].folder);
            let before = before.map_or(&[][..], |block| &block.records);
            self.compare_folder(before, new, number, marks_moved);
            if self.entries.len() >= BATCH_ENTRIES || self.path_bytes > BATCH_PATH_BYTES {
                self.tell(new);
            }
        }
        self.tell(new);
    }

    fn compare_folder(&mut self, mut before: &[u8], blocks: &mut [Block], number: usize, marks_moved: &mut bool) {
        let same = before == blocks[number].records.as_slice();
        if same && !has_marks(before) {
            return;
        }
        let (root, folder) = blocks[number].folder.clone();
        let (mut at, mut shut) = (0, Vec::new());
        while let Some((name, facts, facts_at, rest)) = take_record(&blocks[number].records[at..]) {
            let known = loop {
                match take_record(before) {
                    Some((known, _, _, rest)) if known < name => {
                        self.go(root, folder.as_deref(), known);
                        before = rest;
                    }
                    Some((known, facts, _, rest)) if known == name => {
                        before = rest;
                        break Some(facts);
                    }
                    Some(_) | None => break None,
                }
            };
            let unmarked = |facts: Facts| Facts { mark: Mark::None, ..facts };
            let changed = known.is_none_or(|known| known.mark != Mark::None || unmarked(known) != unmarked(facts));
            *marks_moved |= known.is_some_and(|known| known.mark != facts.mark);
            if changed {
                let path = folder.as_deref().map_or_else(Vec::new, |folder| join(folder, name));
                if facts.is(libc::S_IFDIR) && has_no_block(blocks, root, &path) {
                    shut.push((at + facts_at, facts));
                }
                self.path_bytes += path.len();
                self.entries.push(Pending { root, path, facts, block: number, at: at + facts_at });
            }
            at = blocks[number].records.len() - rest.len();
        }
        while let Some((known, _, _, rest)) = take_record(before) {
            self.go(root, folder.as_deref(), known);
            before = rest;
        }
        for (at, facts) in shut {
            replace_facts(&mut blocks[number].records, at, &Facts { mark: Mark::Shut, ..facts });
            if let Some(entry) = self.entries.iter_mut().find(|entry| entry.block == number && entry.at == at) {
                entry.facts.mark = Mark::Shut;
            }
        }
    }

    fn go(&mut self, root: u32, folder: Option<&[u8]>, name: &[u8]) {
        let path = folder.map_or_else(Vec::new, |folder| join(folder, name));
        self.path_bytes += path.len();
        self.gone.push(Place { root, path: ByteString::new(path) });
    }

    fn tell(&mut self, blocks: &mut [Block]) {
        let mut pending = std::mem::take(&mut self.entries);
        self.told += (pending.len() + self.gone.len()) as u64;
        self.path_bytes = 0;
        // A name that went and came back as something else goes first.
        for places in std::mem::take(&mut self.gone).chunks(BATCH_ENTRIES) {
            self.reply.interim(&Response::CensusGone { places: places.to_vec() });
        }
        let hashes = self.hash(&mut pending);
        for (entry, reopened) in pending.iter().zip(&hashes) {
            // What hashing itself did to the ctime is no change.
            if reopened.touched {
                replace_facts(&mut blocks[entry.block].records, entry.at, &entry.facts);
            }
        }
        let mut batch = Vec::with_capacity(BATCH_ENTRIES);
        let mut bytes = 0;
        for (entry, Hashed { blake3, .. }) in pending.into_iter().zip(hashes) {
            let entry = self.entry(entry, blake3);
            bytes +=
                entry.place.path.as_bytes().len() + entry.target.as_ref().map_or(0, |target| target.as_bytes().len());
            batch.push(entry);
            if batch.len() == BATCH_ENTRIES || bytes > BATCH_PATH_BYTES {
                self.reply.interim(&Response::CensusEntries { entries: std::mem::take(&mut batch) });
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.reply.interim(&Response::CensusEntries { entries: batch });
        }
    }

    /// Of every regular file among them, on several threads where there is enough to do.
    fn hash(&mut self, pending: &mut [Pending]) -> Vec<Hashed> {
        const WORTH_A_THREAD_BYTES: u64 = 256 << 10;
        let files = pending.iter().filter(|entry| entry.facts.is(libc::S_IFREG));
        let (count, bytes) = files.fold((0u64, 0), |(n, sum), entry| (n + 1, sum + entry.facts.size));
        self.bytes_hashed += bytes;
        let threads = match bytes + count * 4096 {
            ..WORTH_A_THREAD_BYTES => 1,
            _ => std::thread::available_parallelism().map_or(1, usize::from).min(HASH_THREADS_MAX),
        };
        let roots = self.roots;
        let work = |part: &mut [Pending]| -> Vec<Hashed> { part.iter_mut().map(|entry| hash(roots, entry)).collect() };
        if threads == 1 || pending.len() < 2 {
            return work(pending);
        }
        let share = pending.len().div_ceil(threads);
        std::thread::scope(|scope| {
            let mut parts = pending.chunks_mut(share);
            let first = parts.next().expect("there are at least two");
            let helpers: Vec<_> = parts.map(|part| scope.spawn(|| work(part))).collect();
            let mut hashes = work(first);
            for helper in helpers {
                hashes.extend(helper.join().expect("hashing does not panic"));
            }
            hashes
        })
    }

    fn entry(&self, Pending { root, path, facts, .. }: Pending, blake3: Option<String>) -> CensusEntry {
        let target = match facts.is(libc::S_IFLNK) {
            true => std::fs::read_link(self.roots[root as usize].absolute(&path)).ok(),
            false => None,
        };
        let target = target.map(|target| ByteString::new(target.into_os_string().into_encoded_bytes()));
        let kind = match facts.mode & libc::S_IFMT {
            libc::S_IFREG if blake3.is_none() => CensusKind::Unreadable,
            libc::S_IFREG => CensusKind::File,
            libc::S_IFDIR if facts.mark == Mark::Shut => CensusKind::Unreadable,
            libc::S_IFDIR => CensusKind::Dir,
            libc::S_IFLNK if target.is_none() => CensusKind::Unreadable,
            libc::S_IFLNK => CensusKind::Symlink,
            libc::S_IFIFO => CensusKind::Fifo,
            libc::S_IFSOCK => CensusKind::Socket,
            _ => CensusKind::Device,
        };
        CensusEntry {
            place: Place { root, path: ByteString::new(path) },
            kind,
            mode: facts.mode & 0o7777,
            uid: facts.uid,
            gid: facts.gid,
            size: facts.size,
            mtime_s: facts.mtime_s,
            mtime_ns: facts.mtime_ns,
            inode: facts.inode,
            links: facts.links,
            target,
            blake3,
        }
    }
}

struct Hashed {
    blake3: Option<String>,
    /// The file had to be opened up for it, and its facts are new.
    touched: bool,
}

fn hash(roots: &[Root], entry: &mut Pending) -> Hashed {
    if !entry.facts.is(libc::S_IFREG) {
        return Hashed { blake3: None, touched: false };
    }
    let Ok((file, touched)) = roots[entry.root as usize].file(&entry.path) else {
        return Hashed { blake3: None, touched: false };
    };
    let blake3 = files::hash(&file).ok();
    if touched && let Ok(metadata) = file.metadata() {
        entry.facts.ctime_s = metadata.ctime();
        entry.facts.ctime_ns = metadata.ctime_nsec() as u32;
    }
    Hashed { blake3, touched }
}

fn has_no_block(blocks: &[Block], root: u32, path: &[u8]) -> bool {
    blocks.binary_search_by(|block| (block.folder.0, block.folder.1.as_deref()).cmp(&(root, Some(path)))).is_err()
}

fn has_marks(mut records: &[u8]) -> bool {
    while let Some((_, facts, _, rest)) = take_record(records) {
        if facts.mark != Mark::None {
            return true;
        }
        records = rest;
    }
    false
}

/// Processes that could be writing. Nannies, the disk watch and file workers are root's.
fn commands_alive() -> u32 {
    let alive = sweep::processes().into_iter().filter(|process| process.state == sweep::State::Alive);
    alive.filter(|process| real_uid(process.pid) == Some(SANDBOX_UID)).count() as u32
}

fn real_uid(pid: crate::sys::Pid) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A store through a mapping moves the ctime when its page was clean, and not again before it is written out. With the
/// process goes the mapping, and the next one begins clean; so only what still runs needs this.
fn flush_mapped_stores(roots: &[Root]) {
    for root in roots {
        // SAFETY: an open descriptor; an error leaves things as they are, and the snapshot is called unstable anyway.
        unsafe { libc::syncfs(root.fd.as_fd().as_raw_fd()) };
    }
}

fn read_roll(roll: &File) -> io::Result<Option<Known>> {
    let mut header = [0; HEADER_BYTES];
    if roll.read_exact_at(&mut header, 0).is_err() {
        return Ok(None);
    }
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let (generation, length) = (number(0), number(8) as usize);
    if generation == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    roll.read_exact_at(&mut bytes, HEADER_BYTES as u64)?;
    Ok(decode_blocks(&bytes).map(|blocks| Known { generation, blocks }))
}

/// `root u32 | has a path u8 | path length u32 | path | records length u32 | records`
fn decode_blocks(mut bytes: &[u8]) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().expect("four bytes")));
        let root = word(0)?;
        let has_path = *bytes.get(4)? == 1;
        let path_bytes = word(5)? as usize;
        let path = bytes.get(9..9 + path_bytes)?.to_vec();
        let records_bytes = word(9 + path_bytes)? as usize;
        let begin = 13 + path_bytes;
        let records = bytes.get(begin..begin + records_bytes)?.to_vec();
        blocks.push(Block { folder: (root, has_path.then_some(path)), records });
        bytes = &bytes[begin + records_bytes..];
    }
    Some(blocks)
}

fn write_roll(roll: &File, generation: u64, blocks: &[Block]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(blocks.iter().map(|block| block.records.len() + 64).sum());
    for block in blocks {
        let (root, path) = &block.folder;
        bytes.extend_from_slice(&root.to_le_bytes());
        bytes.push(u8::from(path.is_some()));
        let path = path.as_deref().unwrap_or_default();
        bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(&(block.records.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&block.records);
    }
    // Half of it counts for nothing: a worker may be killed at any moment.
    roll.write_all_at(&0u64.to_le_bytes(), 0)?;
    roll.write_all_at(&(bytes.len() as u64).to_le_bytes(), 8)?;
    roll.write_all_at(&bytes, HEADER_BYTES as u64)?;
    roll.set_len((HEADER_BYTES + bytes.len()) as u64)?;
    roll.write_all_at(&generation.to_le_bytes(), 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::scan::put_record;
    use super::*;

    #[test]
    fn a_roll_comes_back_and_half_of_one_does_not() {
        let mut roll = Roll::default();
        // SAFETY: the descriptor stays open as long as the roll.
        let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(roll.fd().unwrap()) });
        assert!(read_roll(&file).unwrap().is_none());
        let mut records = Vec::new();
        put_record(&mut records, b"name", &Facts { size: 5, ..Facts::default() });
        let blocks =
            [Block { folder: (0, None), records: Vec::new() }, Block { folder: (1, Some(b"a".to_vec())), records }];
        write_roll(&file, 7, &blocks).unwrap();
        let known = read_roll(&file).unwrap().unwrap();
        assert_eq!(known.generation, 7);
        assert_eq!(known.blocks[1].folder, (1, Some(b"a".to_vec())));
        assert_eq!(take_record(&known.blocks[1].records).unwrap().1.size, 5);
        file.write_all_at(&0u64.to_le_bytes(), 0).unwrap();
        assert!(read_roll(&file).unwrap().is_none());
    }
}
