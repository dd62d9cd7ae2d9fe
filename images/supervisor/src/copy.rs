//! The copying role: PID 1 of a container that is nothing but this, and that fills the volumes of forks from those of the
//! sandbox they are forks of.
//!
//! Everything is read once and written to every fork. What makes a tree is kept: content with its holes, mode, owner,
//! mtime, links, hard links, FIFOs, empty folders. Sockets are left out, and so are extended attributes.
//! `copy --from A --to B --to C --from D …` prints one line of JSON when it is done, and ends with its client.

mod at;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::Copied;

use crate::privileges;
use crate::sys;

/// Two share a folder's lock, four keep a slow disk busy; more only wait.
const THREADS_MAX: usize = 4;
/// Files of one folder that one thread takes at a time.
const BATCH: usize = 64;
const BUFFER_BYTES: usize = 1 << 20;
/// Each level holds a descriptor for the original and for every fork.
const DEPTH_MAX: usize = 512;
/// The engine's disk keeps at least this much.
const FREE_BYTES_MIN: u64 = 1 << 30;
const LOOK_AT_DISK_EVERY_BYTES: u64 = 64 << 20;
const TIME_MAX: Duration = Duration::from_secs(30 * 60);
const LOOK_AT_CLOCK_MS: i32 = 10_000;
const PERMISSIONS: u32 = 0o7777;
const SPECIAL: u32 = 0o7000;

/// Copies as its arguments say, tells how that went on stdout, and ends.
pub(crate) fn play(arguments: &[String]) -> ! {
    let done = privileges::become_copier()
        .map(|()| end_with_the_client())
        .and_then(|()| parse(arguments))
        .and_then(|places| copy(&places));
    let (copied, code) = match done {
        Ok(copied) => (copied, 0),
        Err(error) => (Copied { error: Some(error.to_string()), ..Copied::default() }, 1),
    };
    let mut line = serde_json::to_vec(&copied).expect("counts and a text are plain data");
    line.push(b'\n');
    let _ = sys::write(1, &line);
    sys::exit_now(code)
}

/// Nobody would use what is copied for a runner that is gone; and nothing may go on for ever.
fn end_with_the_client() {
    std::thread::spawn(|| {
        let end = Instant::now() + TIME_MAX;
        let mut fds = [libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 }];
        while fds[0].revents == 0 && Instant::now() < end {
            if sys::poll(&mut fds, LOOK_AT_CLOCK_MS).is_err() {
                break;
            }
        }
        sys::exit_now(1)
    });
}

struct Place {
    from: CString,
    to: Vec<CString>,
}

fn parse(arguments: &[String]) -> io::Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    for pair in arguments.chunks(2) {
        match (pair, places.last_mut()) {
            ([word, path], _) if word == "--from" => {
                places.push(Place { from: CString::new(path.as_str())?, to: Vec::new() });
            }
            ([word, path], Some(place)) if word == "--to" => place.to.push(CString::new(path.as_str())?),
            (other, _) => return Err(io::Error::other(format!("not understood: {other:?}"))),
        }
    }
    Ok(places)
}

enum Task {
    /// A folder to be made and gone through.
    Folder(Arc<Folder>, CString),
    /// What is no folder.
    Batch(Arc<Folder>, Vec<CString>),
}

/// A folder that is there already in every fork. Its mode and mtime are settled once nothing below it is being written.
struct Folder {
    from: OwnedFd,
    to: Vec<OwnedFd>,
    facts: libc::stat,
    depth: usize,
    /// For messages only.
    path: PathBuf,
    job: Arc<Job>,
    /// Settled after this one.
    _parent: Option<Arc<Folder>>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let settled = self.to.iter().try_for_each(|to| {
            at::set_mode(to, self.facts.st_mode & PERMISSIONS)?;
            at::set_mtime(to, &self.facts)
        });
        if let Err(error) = settled {
            self.job.fail(&self.path, &error);
        }
    }
}

/// A file that is there already: its folder, and its name in it.
type Made = (Arc<Folder>, CString);

#[derive(Default)]
struct Job {
    queue: Mutex<Queue>,
    news: Condvar,
    /// Files with several names by device and inode: where the first of them was made.
    linked: Mutex<HashMap<(u64, u64), Made>>,
    entries: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    unchecked_bytes: AtomicU64,
}

#[derive(Default)]
struct Queue {
    tasks: Vec<Task>,
    /// Taken and not finished: they may still add tasks.
    busy: usize,
    error: Option<String>,
}

fn copy(places: &[Place]) -> io::Result<Copied> {
    let job = Arc::new(Job::default());
    // SAFETY: an integer only.
    unsafe { libc::umask(0) };
    for place in places {
        let named = |error: io::Error| io::Error::other(format!("{}: {error}", place.from.to_string_lossy()));
        let from = at::open_root(&place.from).map_err(named)?;
        let facts = at::facts(&from).map_err(named)?;
        let to = place.to.iter().map(|path| at::open_root(path)).collect::<io::Result<Vec<_>>>().map_err(named)?;
        for to in &to {
            at::set_owner(to, facts.st_uid, facts.st_gid).map_err(named)?;
        }
        let root = Folder { from, to, facts, depth: 0, path: PathBuf::new(), job: job.clone(), _parent: None };
        job.list(&Arc::new(root)).map_err(named)?;
    }
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| job.work());
        }
    });
    job.linked.lock().expect("no thread panicked").clear();
    let left = std::mem::take(&mut *job.queue.lock().expect("no thread panicked"));
    // Without the lock: folders that are let go may have something to complain of.
    drop(left.tasks);
    match left.error {
        Some(error) => Err(io::Error::other(error)),
        None => Ok(Copied {
            entries: job.entries.load(Ordering::Relaxed),
            bytes: job.bytes.load(Ordering::Relaxed),
            skipped: job.skipped.load(Ordering::Relaxed),
            error: None,
        }),
    }
}

impl Job {
    fn fail(&self, path: &std::path::Path, error: &io::Error) {
        let mut queue = self.queue.lock().expect("no thread panicked");
        queue.error.get_or_insert_with(|| format!("cannot copy `{}`: {error}", path.display()));
        self.news.notify_all();
    }

    fn work(self: &Arc<Self>) {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Some(task) = self.take() {
            let (folder, done) = match task {
                Task::Folder(parent, name) => {
                    let done = self.enter(&parent, &name);
                    (parent, done.map_err(|error| (name, error)))
                }
                Task::Batch(folder, names) => {
                    let mut each = names.into_iter().map(|name| (self.put(&folder, &name, &mut buffer), name));
                    let failed = each.find_map(|(done, name)| done.err().map(|error| (name, error)));
                    (folder, failed.map_or(Ok(()), Err))
                }
            };
            if let Err((name, error)) = done {
                self.fail(&folder.path.join(name.to_string_lossy().as_ref()), &error);
            }
            // Before the task counts as done: this may be the last that holds the folder.
            drop(folder);
            self.queue.lock().expect("no thread panicked").busy -= 1;
            self.news.notify_all();
        }
    }

    fn take(&self) -> Option<Task> {
        let mut queue = self.queue.lock().expect("no thread panicked");
        loop {
            if queue.error.is_some() {
                return None;
            }
            if let Some(task) = queue.tasks.pop() {
                queue.busy += 1;
                return Some(task);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.news.wait(queue).expect("no thread panicked");
        }
    }

    fn enter(self: &Arc<Self>, parent: &Arc<Folder>, name: &CStr) -> io::Result<()> {
        let depth = parent.depth + 1;
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!("it lies deeper than {DEPTH_MAX} folders")));
        }
        let from = at::open_folder(&parent.from, name)?;
        let facts = at::facts(&from)?;
        let mut to = Vec::with_capacity(parent.to.len());
        for parent in &parent.to {
            let folder = at::create_folder(parent, name, 0o700)?;
            own(&folder, &facts)?;
            to.push(folder);
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        let path = parent.path.join(name.to_string_lossy().as_ref());
        let folder = Folder { from, to, facts, depth, path, job: self.clone(), _parent: Some(parent.clone()) };
        self.list(&Arc::new(folder))
    }

    fn list(&self, folder: &Arc<Folder>) -> io::Result<()> {
        let (mut folders, mut others) = (Vec::new(), Vec::new());
        for (name, is_folder) in at::list(&folder.from)? {
            if is_folder { folders.push(name) } else { others.push(name) }
        }
        let mut queue = self.queue.lock().expect("no thread panicked");
        queue.tasks.extend(folders.into_iter().map(|name| Task::Folder(folder.clone(), name)));
        // On top: files first keeps few folders open.
        let batches = others.chunks(BATCH).map(|names| Task::Batch(folder.clone(), names.to_vec()));
        queue.tasks.extend(batches);
        self.news.notify_all();
        Ok(())
    }

    fn put(&self, folder: &Arc<Folder>, name: &CStr, buffer: &mut [u8]) -> io::Result<()> {
        let facts = at::facts_of(&folder.from, name)?;
        if facts.st_mode & libc::S_IFMT == libc::S_IFSOCK {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        if facts.st_nlink > 1 {
            // Held while the first of them is made, so that the others find it.
            let mut linked = self.linked.lock().expect("no thread panicked");
            if let Some((first_folder, first)) = linked.get(&(facts.st_dev, facts.st_ino)) {
                let mut pairs = first_folder.to.iter().zip(&folder.to);
                return pairs.try_for_each(|(from, to)| at::create_hard_link((from, first), (to, name)));
            }
            self.make(folder, name, &facts, buffer)?;
            linked.insert((facts.st_dev, facts.st_ino), (folder.clone(), name.to_owned()));
            return Ok(());
        }
        self.make(folder, name, &facts, buffer)
    }

    fn make(&self, folder: &Folder, name: &CStr, facts: &libc::stat, buffer: &mut [u8]) -> io::Result<()> {
        match facts.st_mode & libc::S_IFMT {
            libc::S_IFREG => return self.make_file(folder, name, buffer),
            libc::S_IFLNK => {
                let target = at::read_link(&folder.from, name)?;
                folder.to.iter().try_for_each(|to| at::create_link(to, name, &target))?;
            }
            libc::S_IFIFO => {
                folder.to.iter().try_for_each(|to| at::create_fifo(to, name, facts.st_mode & PERMISSIONS))?;
            }
            kind => return Err(io::Error::other(format!("it is of a kind ({kind:o}) that no sandbox can make"))),
        }
        for to in &folder.to {
            if (facts.st_uid, facts.st_gid) != privileges::COPIER {
                at::set_owner_of(to, name, facts.st_uid, facts.st_gid)?;
            }
            at::set_mtime_of(to, name, facts)?;
        }
        Ok(())
    }

    fn make_file(&self, folder: &Folder, name: &CStr, buffer: &mut [u8]) -> io::Result<()> {
        let from = at::open_file(&folder.from, name)?;
        let facts = at::facts(&from)?;
        if facts.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(io::Error::other("it changed while it was copied"));
        }
        let mode = facts.st_mode & PERMISSIONS;
        let create = |to| at::create_file(to, name, mode).map(File::from);
        let to = folder.to.iter().map(create).collect::<io::Result<Vec<_>>>()?;
        let (from, size) = (File::from(from), u64::try_from(facts.st_size).unwrap_or(0));
        let to = match size <= BUFFER_BYTES as u64 {
            true => self.pour(&from, &to, 0, size, buffer).map(|()| to)?,
            false => self.pour_data(from, to, size, buffer)?,
        };
        for file in to {
            let fd = OwnedFd::from(file);
            own(&fd, &facts)?;
            if mode & SPECIAL != 0 {
                // Writing and a change of owner take them away.
                at::set_mode(&fd, mode)?;
            }
            at::set_mtime(&fd, &facts)?;
        }
        Ok(())
    }

    /// A large file may be mostly holes, which stay holes.
    fn pour_data(&self, from: File, to: Vec<File>, size: u64, buffer: &mut [u8]) -> io::Result<Vec<File>> {
        let fd = OwnedFd::from(from);
        let from = File::from(fd.try_clone()?);
        let mut offset = 0;
        while let Some((start, end)) = at::next_data(&fd, offset)?.filter(|(start, _)| *start < size) {
            self.pour(&from, &to, start, end.min(size), buffer)?;
            offset = end;
        }
        to.into_iter()
            .map(|file| {
                let fd = OwnedFd::from(file);
                at::set_length(&fd, size).map(|()| File::from(fd))
            })
            .collect()
    }

    /// A file that shrinks meanwhile is copied as far as it goes.
    fn pour(&self, from: &File, to: &[File], start: u64, end: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut offset = start;
        while offset < end {
            let want = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
            let count = match from.read_at(&mut buffer[..want], offset) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.make_sure_of_room(count as u64 * to.len() as u64, to)?;
            to.iter().try_for_each(|to| to.write_all_at(&buffer[..count], offset))?;
            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
            offset += count as u64;
        }
        Ok(())
    }

    fn make_sure_of_room(&self, bytes: u64, to: &[File]) -> io::Result<()> {
        let since = self.unchecked_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let Some(file) = to.first().filter(|_| since > LOOK_AT_DISK_EVERY_BYTES) else { return Ok(()) };
        self.unchecked_bytes.store(0, Ordering::Relaxed);
        let free = at::bytes_free(&OwnedFd::from(file.try_clone()?))?;
        if free < FREE_BYTES_MIN + 2 * LOOK_AT_DISK_EVERY_BYTES {
            return Err(io::Error::other("the engine's disk is all but full"));
        }
        Ok(())
    }
}

fn own(fd: &OwnedFd, facts: &libc::stat) -> io::Result<()> {
    match (facts.st_uid, facts.st_gid) == privileges::COPIER {
        true => Ok(()),
        false => at::set_owner(fd, facts.st_uid, facts.st_gid),
    }
}
