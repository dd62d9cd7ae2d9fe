//! The disk watch: a process of its own that sees how much the writable volumes have grown while commands run, and says
//! so the moment it is too much.
//!
//! The file system below the volumes is the host's and has no quota. Asking it how much is free costs next to nothing,
//! so that is asked every few milliseconds; but neighbours use it too, so what it suggests is confirmed by adding up what
//! lies in the volumes, and what is open there without a name. What cannot be looked at counts as the file system says.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenroom_supervisor::protocol::DiskLimits;

use crate::sys::{self, Fork, Pid};
use crate::{privileges, spool, sweep};

const LOOK_EVERY_MS: i32 = 10;
/// Without any sign of growth things are added up this often: a neighbour that frees space hides what we take.
const ADD_UP_EVERY: Duration = Duration::from_millis(200);
/// Adding up may take a twentieth of the time, or a quarter where there are signs.
const CALM_FACTOR: u32 = 20;
const ALARM_FACTOR: u32 = 4;
/// What a command may add in a sandbox that is already full, so that it can clean up.
const SLACK: Usage = Usage { bytes: 1 << 20, inodes: 64 };

const BEGIN: u8 = b'B';
const END: u8 = b'E';
const OVER: u8 = b'O';

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    bytes: u64,
    inodes: u64,
}

impl Usage {
    fn exceeds(self, limit: Usage) -> bool {
        self.bytes > limit.bytes || self.inodes > limit.inodes
    }

    fn max(self, other: Usage) -> Usage {
        Usage { bytes: self.bytes.max(other.bytes), inodes: self.inodes.max(other.inodes) }
    }

    fn plus(self, other: Usage) -> Usage {
        Usage { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes.saturating_add(other.inodes) }
    }

    fn minus(self, other: Usage) -> Usage {
        Usage { bytes: self.bytes.saturating_sub(other.bytes), inodes: self.inodes.saturating_sub(other.inodes) }
    }
}

/// PID 1's side.
pub(crate) struct DiskWatch {
    pub(crate) pid: Pid,
    channel: OwnedFd,
    commands_run: bool,
    /// How often they began to run: what the watch says of an earlier time is about commands that are over.
    begun: u8,
}

pub(crate) enum News {
    Nothing,
    Over,
    /// The watch is gone: nothing stops a writer any more.
    Gone,
}

impl DiskWatch {
    pub(crate) fn start(limits: &DiskLimits, null: RawFd) -> io::Result<Self> {
        let (channel, theirs) = sys::message_pair()?;
        sys::set_nonblocking(channel.as_raw_fd())?;
        match sys::fork()? {
            Fork::Child => watch(limits, theirs, null),
            Fork::Parent(pid) => Ok(Self { pid, channel, commands_run: false, begun: 0 }),
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.channel.as_raw_fd()
    }

    pub(crate) fn tell(&mut self, commands_run: bool) {
        if self.commands_run != commands_run {
            self.commands_run = commands_run;
            self.begun = self.begun.wrapping_add(u8::from(commands_run));
            // A watch that is gone is noticed by what it says.
            let _ = sys::write(self.fd(), &[if commands_run { BEGIN } else { END }]);
        }
    }

    pub(crate) fn hear(&self) -> News {
        let mut word = [0; 8];
        match sys::read(self.fd(), &mut word) {
            Ok(2) if word[..2] == [OVER, self.begun] => News::Over,
            Ok(0) => News::Gone,
            Ok(_) => News::Nothing,
            Err(error) if sys::is_retry(&error) => News::Nothing,
            Err(_) => News::Gone,
        }
    }
}

/// The life of the watch. It opens things as the commands' user, and cannot be signalled by them but in a set-up phase;
/// without it the sandbox ends.
fn watch(limits: &DiskLimits, channel: OwnedFd, null: RawFd) -> ! {
    for fd in 0..3 {
        let _ = sys::duplicate_onto(null, fd);
    }
    sys::close_all_but(&[channel.as_raw_fd()]);
    if privileges::become_disk_watch().is_err() {
        sys::exit_now(1);
    }
    let mut ledger = Ledger::open(limits, "/proc".into());
    let (mut commands_run, mut begun) = (false, 0u8);
    loop {
        let mut fds = [libc::pollfd { fd: channel.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        if sys::poll(&mut fds, if commands_run { LOOK_EVERY_MS } else { -1 }).is_err() {
            sys::exit_now(1);
        }
        if fds[0].revents != 0 {
            let mut word = [0; 8];
            match sys::read(channel.as_raw_fd(), &mut word) {
                Ok(1) if word[0] == BEGIN => {
                    commands_run = true;
                    begun = begun.wrapping_add(1);
                    ledger.begin(Instant::now());
                }
                Ok(1) => commands_run = false,
                Ok(_) | Err(_) => sys::exit_now(0),
            }
        }
        if commands_run && ledger.is_over(Instant::now()) {
            let _ = sys::write(channel.as_raw_fd(), &[OVER, begun]);
        }
    }
}

struct Ledger {
    roots: Vec<PathBuf>,
    /// Where the processes are found that may have a file open: /proc.
    proc: PathBuf,
    /// What may lie there in all.
    limit: Usage,
    /// The same while one command runs: more where it began with more.
    allowed: Usage,
    /// What was there when it was last added up, and how much was free then.
    used: Usage,
    free: Usage,
    next_alarm: Instant,
    next_calm: Instant,
}

impl Ledger {
    fn open(limits: &DiskLimits, proc: PathBuf) -> Self {
        let roots: Vec<PathBuf> =
            limits.roots.iter().map(|root| PathBuf::from(std::ffi::OsStr::from_bytes(root.as_bytes()))).collect();
        let free = free(&roots);
        let used = add_up(&roots, &proc).usage;
        let limit = used.plus(Usage { bytes: limits.bytes_max, inodes: limits.inodes_max });
        let now = Instant::now();
        Self { roots, proc, limit, allowed: limit, used, free, next_alarm: now, next_calm: now + ADD_UP_EVERY }
    }

    fn begin(&mut self, now: Instant) {
        self.allowed = self.limit;
        if self.suspected().exceeds(self.limit) {
            self.add_up(now);
            self.allowed = self.limit.max(self.used.plus(SLACK));
        }
    }

    /// Looks once. After a yes the same amount is allowed, so that it is said once.
    fn is_over(&mut self, now: Instant) -> bool {
        let alarm = self.suspected().exceeds(self.allowed);
        if now < if alarm { self.next_alarm } else { self.next_calm } {
            return false;
        }
        self.add_up(now);
        let over = self.used.exceeds(self.allowed);
        if over {
            self.allowed = self.allowed.max(self.used.plus(SLACK));
        }
        over
    }

    /// As the file system has it, neighbours and all.
    fn suspected(&self) -> Usage {
        self.used.plus(self.free.minus(free(&self.roots)))
    }

    fn add_up(&mut self, now: Instant) {
        let free = free(&self.roots);
        let seen = add_up(&self.roots, &self.proc);
        self.used = match seen.hidden {
            0 => seen.usage,
            _ => seen.usage.max(self.used.plus(self.free.minus(free))),
        };
        self.free = free;
        let after = Instant::now();
        let took = after.duration_since(now);
        // A kernel of the runtime's own takes so long that too much would happen meanwhile.
        self.next_alarm = after + took * if spool::counts_links() { ALARM_FACTOR } else { 1 };
        self.next_calm = after + ADD_UP_EVERY.max(took * CALM_FACTOR);
    }
}

#[derive(Default)]
struct Seen {
    usage: Usage,
    /// Folders and processes that could not be looked into.
    hidden: u64,
    devices: HashSet<u64>,
    /// Files with several names, and open ones without any.
    counted: HashSet<(u64, u64)>,
}

impl Seen {
    fn count(&mut self, metadata: &Metadata) {
        let once = metadata.is_dir() || metadata.nlink() == 1;
        if once || self.counted.insert((metadata.dev(), metadata.ino())) {
            self.usage = self.usage.plus(Usage { bytes: metadata.blocks() * 512, inodes: 1 });
        }
    }
}

fn add_up(roots: &[PathBuf], proc: &Path) -> Seen {
    let mut seen = add_up_named(roots);
    add_open_without_a_name(&mut seen, processes(proc));
    seen
}

/// Everything that has a name.
fn add_up_named(roots: &[PathBuf]) -> Seen {
    let mut seen = Seen::default();
    let mut open: Vec<PathBuf> = Vec::new();
    for root in roots {
        if let Ok(metadata) = fs::symlink_metadata(root) {
            seen.devices.insert(metadata.dev());
            open.push(root.clone());
        }
    }
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            seen.hidden += 1;
            continue;
        };
        for entry in entries.flatten() {
            // Gone again: it takes nothing.
            let Ok(metadata) = entry.metadata() else { continue };
            // Mounted here: /proc, or a volume that is a root of its own.
            if metadata.is_dir() && !seen.devices.contains(&metadata.dev()) {
                continue;
            }
            seen.count(&metadata);
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    seen
}

/// Files that were removed while a process has them open still take their space. Each thread is asked: it may have a
/// table of its own.
fn add_open_without_a_name(seen: &mut Seen, processes: impl Iterator<Item = PathBuf>) {
    for process in processes {
        // Gone meanwhile, and with it what it had open.
        let Ok(threads) = fs::read_dir(process.join("task")) else { continue };
        for thread in threads.flatten().map(|thread| thread.path()) {
            match fs::read_dir(thread.join("fd")) {
                Ok(fds) => {
                    for file in fds.flatten().filter_map(|fd| open_without_a_name(&fd.path())) {
                        if seen.devices.contains(&file.dev()) && seen.counted.insert((file.dev(), file.ino())) {
                            seen.usage = seen.usage.plus(Usage { bytes: file.blocks() * 512, inodes: 1 });
                        }
                    }
                }
                // A dead thread's table belongs to root and is empty; of those alive, root's are ours and hold no file.
                Err(_) if sweep::is_dead(&thread) => {}
                Err(_) if fs::metadata(&thread).is_ok_and(|metadata| metadata.uid() != 0) => seen.hidden += 1,
                Err(_) => {}
            }
        }
    }
}

/// What a descriptor leads to, if that is a file whose name is gone.
fn open_without_a_name(fd: &Path) -> Option<Metadata> {
    let file = fs::metadata(fd).ok().filter(Metadata::is_file)?;
    // Where links are not counted, what the descriptor is called tells. Who names a file so counts it twice.
    let says_deleted = || fs::read_link(fd).is_ok_and(|name| name.as_os_str().as_bytes().ends_with(b" (deleted)"));
    (file.nlink() == 0 || !spool::counts_links() && says_deleted()).then_some(file)
}

fn processes(proc: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().as_bytes().iter().all(u8::is_ascii_digit)).map(|entry| entry.path())
}

/// Free space and inodes below the roots, each file system once. What we keep of the commands' output there is not
/// theirs, and counts as free.
fn free(roots: &[PathBuf]) -> Usage {
    let mut devices = HashSet::new();
    let mut total = Usage::default();
    for root in roots {
        let Ok(metadata) = fs::metadata(root) else { continue };
        if devices.insert(metadata.dev())
            && let Some(free) = sys::free_space(root.as_os_str().as_bytes())
        {
            let bytes = free.0.saturating_add(spool::bytes_on(metadata.dev()));
            total = total.plus(Usage { bytes, inodes: free.1 });
        }
    }
    total
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("greenroom-disk-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Looks at no process: what other tests have open meanwhile is not this ledger's.
    fn ledger(root: &Path) -> Ledger {
        let roots = vec![root.to_str().unwrap().into()];
        Ledger::open(&DiskLimits { roots, bytes_max: 4 << 20, inodes_max: 10 }, "/nowhere".into())
    }

    #[test]
    fn growth_is_over_once_and_a_full_folder_can_be_cleaned_up() {
        let root = folder("ledger");
        let mut ledger = ledger(&root);
        let later = Instant::now() + Duration::from_secs(3600);
        ledger.begin(later);
        assert!(!ledger.is_over(later));
        (0..20).for_each(|n| fs::write(root.join(n.to_string()), "").unwrap());
        assert!(ledger.is_over(later), "twenty files are more than ten");
        assert!(!ledger.is_over(later + Duration::from_secs(3600)), "it has been said");
        fs::remove_file(root.join("1")).unwrap();
        assert!(!ledger.is_over(later + Duration::from_secs(7200)), "fewer than before");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn names_of_one_file_count_once_and_a_removed_open_file_counts() {
        let root = folder("count");
        let mut file = fs::File::create(root.join("a")).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        fs::hard_link(root.join("a"), root.join("b")).unwrap();
        let linked = add_up_named(std::slice::from_ref(&root)).usage;
        assert!(linked.inodes == 1 && linked.bytes >= 1 << 20 && linked.bytes < 2 << 20, "{linked:?}");
        fs::remove_file(root.join("a")).unwrap();
        fs::remove_file(root.join("b")).unwrap();
        let mut seen = add_up_named(std::slice::from_ref(&root));
        assert_eq!(seen.usage, Usage::default());
        add_open_without_a_name(&mut seen, ["/proc/self".into()].into_iter());
        assert!(seen.usage.bytes >= 1 << 20, "{:?}", seen.usage);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_thread_with_a_table_of_its_own_hides_nothing() {
        let root = folder("thread");
        let (ready, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: an integer; this thread opens what follows for itself alone.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
                let mut file = fs::File::create(root.join("a")).unwrap();
                file.write_all(&vec![1; 1 << 20]).unwrap();
                file.sync_all().unwrap();
                fs::remove_file(root.join("a")).unwrap();
                ready.wait();
                wait.wait();
            });
            ready.wait();
            let mut seen = add_up_named(std::slice::from_ref(&root));
            add_open_without_a_name(&mut seen, ["/proc/self".into()].into_iter());
            wait.wait();
            assert!(seen.usage.bytes >= 1 << 20, "{:?}", seen.usage);
        });
        fs::remove_dir_all(&root).unwrap();
    }
}
