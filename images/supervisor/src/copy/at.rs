//! System calls relative to an open folder, none of which follows a link.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const FOLDER: libc::c_int = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn open(at: RawFd, name: &CStr, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: a terminated string and integers; the descriptor is ours from here on.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::openat(at, name.as_ptr(), flags, mode))?)) }
}

pub(super) fn open_root(path: &CStr) -> io::Result<OwnedFd> {
    open(libc::AT_FDCWD, path, FOLDER, 0)
}

pub(super) fn open_folder(at: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    open(at.as_raw_fd(), name, FOLDER, 0)
}

/// A name that has become a FIFO meanwhile does not block.
pub(super) fn open_file(at: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    open(at.as_raw_fd(), name, flags, 0)
}

pub(super) fn create_file(at: &OwnedFd, name: &CStr, mode: u32) -> io::Result<OwnedFd> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    open(at.as_raw_fd(), name, flags, mode)
}

pub(super) fn create_folder(at: &OwnedFd, name: &CStr, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: a terminated string and integers.
    check(unsafe { libc::mkdirat(at.as_raw_fd(), name.as_ptr(), mode) })?;
    open_folder(at, name)
}

pub(super) fn create_fifo(at: &OwnedFd, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: a terminated string and integers.
    check(unsafe { libc::mkfifoat(at.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

pub(super) fn create_link(at: &OwnedFd, name: &CStr, target: &CStr) -> io::Result<()> {
    // SAFETY: terminated strings and an integer.
    check(unsafe { libc::symlinkat(target.as_ptr(), at.as_raw_fd(), name.as_ptr()) }).map(drop)
}

pub(super) fn create_hard_link(from: (&OwnedFd, &CStr), to: (&OwnedFd, &CStr)) -> io::Result<()> {
    // SAFETY: terminated strings and integers.
    check(unsafe { libc::linkat(from.0.as_raw_fd(), from.1.as_ptr(), to.0.as_raw_fd(), to.1.as_ptr(), 0) }).map(drop)
}

pub(super) fn read_link(at: &OwnedFd, name: &CStr) -> io::Result<CString> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: a terminated string, and room of the length that is named.
    let length = unsafe { libc::readlinkat(at.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    target.truncate(length);
    Ok(CString::new(target)?)
}

pub(super) fn facts(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: plain data that the call fills in.
    unsafe {
        let mut facts = std::mem::zeroed();
        check(libc::fstat(fd.as_raw_fd(), &mut facts))?;
        Ok(facts)
    }
}

pub(super) fn facts_of(at: &OwnedFd, name: &CStr) -> io::Result<libc::stat> {
    // SAFETY: a terminated string, and plain data that the call fills in.
    unsafe {
        let mut facts = std::mem::zeroed();
        check(libc::fstatat(at.as_raw_fd(), name.as_ptr(), &mut facts, libc::AT_SYMLINK_NOFOLLOW))?;
        Ok(facts)
    }
}

pub(super) fn set_mode(fd: &OwnedFd, mode: u32) -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fchmod(fd.as_raw_fd(), mode) }).map(drop)
}

pub(super) fn set_owner(fd: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::fchown(fd.as_raw_fd(), uid, gid) }).map(drop)
}

pub(super) fn set_owner_of(at: &OwnedFd, name: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: a terminated string and integers.
    check(unsafe { libc::fchownat(at.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

fn times(facts: &libc::stat) -> [libc::timespec; 2] {
    let untouched = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
    [untouched, libc::timespec { tv_sec: facts.st_mtime, tv_nsec: facts.st_mtime_nsec }]
}

pub(super) fn set_mtime(fd: &OwnedFd, like: &libc::stat) -> io::Result<()> {
    // SAFETY: an array of two, as the call takes it.
    check(unsafe { libc::futimens(fd.as_raw_fd(), times(like).as_ptr()) }).map(drop)
}

pub(super) fn set_mtime_of(at: &OwnedFd, name: &CStr, like: &libc::stat) -> io::Result<()> {
    let times = times(like);
    // SAFETY: a terminated string and an array of two, as the call takes it.
    check(unsafe { libc::utimensat(at.as_raw_fd(), name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })
        .map(drop)
}

pub(super) fn set_length(fd: &OwnedFd, bytes: u64) -> io::Result<()> {
    let bytes = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: integers only.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), bytes) }).map(drop)
}

/// Where the next data lies at or after `offset`, as (from, to); `None` behind the last.
pub(super) fn next_data(fd: &OwnedFd, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |offset: u64, whence| {
        // SAFETY: integers only.
        let found = unsafe { libc::lseek(fd.as_raw_fd(), offset as libc::off_t, whence) };
        u64::try_from(found).map_err(|_| io::Error::last_os_error())
    };
    match seek(offset, libc::SEEK_DATA) {
        Ok(from) => Ok(Some((from, seek(from, libc::SEEK_HOLE)?))),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes that an ordinary user could still write.
pub(super) fn bytes_free(fd: &OwnedFd) -> io::Result<u64> {
    // SAFETY: plain data that the call fills in.
    unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        check(libc::fstatvfs(fd.as_raw_fd(), &mut facts))?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

/// What is in a folder: name, and whether it is itself a folder.
pub(super) fn list(folder: &OwnedFd) -> io::Result<Vec<(CString, bool)>> {
    let again = open(folder.as_raw_fd(), c".", FOLDER, 0)?;
    // SAFETY: the stream takes the descriptor over and is closed once, below; entries are read before the next call.
    unsafe {
        let stream = libc::fdopendir(std::os::fd::IntoRawFd::into_raw_fd(again));
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut found = Vec::new();
        let result = loop {
            *libc::__errno_location() = 0;
            let entry = libc::readdir64(stream);
            if entry.is_null() {
                let error = io::Error::last_os_error();
                break if error.raw_os_error() == Some(0) { Ok(()) } else { Err(error) };
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr());
            if name == c"." || name == c".." {
                continue;
            }
            let is_folder = match (*entry).d_type {
                libc::DT_DIR => true,
                libc::DT_UNKNOWN => match facts_of(folder, name) {
                    Ok(facts) => facts.st_mode & libc::S_IFMT == libc::S_IFDIR,
                    Err(error) => break Err(error),
                },
                _ => false,
            };
            found.push((name.to_owned(), is_folder));
        };
        libc::closedir(stream);
        result.map(|()| found)
    }
}
