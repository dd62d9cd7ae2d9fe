//! Opening things below a root without ever being led out of it: no link is followed, no mount crossed.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use greenroom_supervisor::protocol::{ByteString, CallError, ErrorKind, Place, SANDBOX_UID};

use crate::files::{absolute, error_at, failure, refuse_proc};

const FOLDER: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
const FILE: i32 = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// A folder that lasts, held open.
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
}

pub(crate) fn open_roots(roots: &[ByteString]) -> Result<Vec<Root>, CallError> {
    roots.iter().map(open_root).collect()
}

fn open_root(root: &ByteString) -> Result<Root, CallError> {
    let path = absolute(root)?;
    let folder = File::open(path).map_err(|error| error_at(path, &error))?;
    let metadata = folder.metadata().map_err(|error| error_at(path, &error))?;
    refuse_proc(path, &metadata)?;
    if !metadata.is_dir() {
        return Err(failure(ErrorKind::NotADirectory, format!("`{root}` is not a directory")));
    }
    Ok(Root { path: path.to_owned(), fd: folder.into() })
}

pub(crate) fn root_of<'r>(roots: &'r [Root], place: &Place) -> Result<&'r Root, CallError> {
    roots
        .get(place.root as usize)
        .ok_or_else(|| failure(ErrorKind::BadRequest, format!("there is no root number {}", place.root)))
}

impl Root {
    pub(crate) fn folder(&self, relative: &[u8]) -> io::Result<OwnedFd> {
        self.open(if relative.is_empty() { b"." } else { relative }, FOLDER)
    }

    /// A regular file, opened up for the moment if its owner has shut it to itself. `true` says that this was needed:
    /// its ctime is another one now.
    pub(crate) fn file(&self, relative: &[u8]) -> io::Result<(File, bool)> {
        let regular = |fd: OwnedFd| {
            let file = File::from(fd);
            match file.metadata()?.is_file() {
                true => Ok(file),
                false => Err(io::Error::from_raw_os_error(libc::ENXIO)),
            }
        };
        match self.open(relative, FILE) {
            Ok(fd) => Ok((regular(fd)?, false)),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                let _alone = OPENING.lock().expect("opening files does not panic");
                let mut opened_up = OpenedUp::default();
                for (at, _) in relative.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                    opened_up.open(self.absolute(&relative[..at]), 0o500)?;
                }
                let touched = opened_up.open(self.absolute(relative), 0o400)?;
                let opened = self.open(relative, FILE);
                drop(opened_up);
                Ok((regular(opened?)?, touched))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn absolute(&self, relative: &[u8]) -> PathBuf {
        self.path.join(as_path(relative))
    }

    fn open(&self, relative: &[u8], flags: i32) -> io::Result<OwnedFd> {
        match openat2(self.fd.as_raw_fd(), relative, flags) {
            // A kernel without that call, or a path longer than a call may name.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::ENAMETOOLONG)) => {
                self.open_step_by_step(relative, flags)
            }
            opened => opened,
        }
    }

    fn open_step_by_step(&self, relative: &[u8], flags: i32) -> io::Result<OwnedFd> {
        let mut at = self.fd.try_clone()?;
        let mut parts = relative.split(|&byte| byte == b'/').peekable();
        while let Some(part) = parts.next() {
            if part == b".." {
                return Err(io::Error::from_raw_os_error(libc::EXDEV));
            }
            let flags = if parts.peek().is_some() { FOLDER } else { flags };
            let name = CString::new(part)?;
            // SAFETY: a terminated string; the descriptor is ours from here on.
            let fd = unsafe { libc::openat(at.as_raw_fd(), name.as_ptr(), flags | libc::O_NOFOLLOW) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: it was just opened.
            at = unsafe { OwnedFd::from_raw_fd(fd) };
        }
        Ok(at)
    }
}

/// Two who open the same way up would close it to one another.
static OPENING: Mutex<()> = Mutex::new(());

/// What its owner has shut to itself, open until this is dropped.
#[derive(Default)]
pub(crate) struct OpenedUp(Vec<(PathBuf, u32)>);

impl OpenedUp {
    /// Gives the owner those bits; says whether they were missing. Links stay as they are.
    pub(crate) fn open(&mut self, path: PathBuf, bits: u32) -> io::Result<bool> {
        let metadata = std::fs::symlink_metadata(&path)?;
        let mode = metadata.mode() & 0o7777;
        if metadata.is_symlink() || mode & bits == bits {
            return Ok(false);
        }
        if metadata.uid() != SANDBOX_UID {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        set_mode(&path, mode | bits)?;
        self.0.push((path, mode));
        Ok(true)
    }

    pub(crate) fn append(&mut self, mut other: OpenedUp) {
        self.0.append(&mut other.0);
    }
}

impl Drop for OpenedUp {
    fn drop(&mut self) {
        // Deepest first: closing a folder closes the way to those below it.
        self.0.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (path, mode) in &self.0 {
            let _ = set_mode(path, *mode);
        }
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// What `openat2` takes.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn openat2(folder: i32, path: &[u8], flags: i32) -> io::Result<OwnedFd> {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    let path = CString::new(path)?;
    let how = How { flags: flags as u64, mode: 0, resolve: NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH };
    // SAFETY: a terminated string and a structure of the size that is passed.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, folder, path.as_ptr(), &how, size_of::<How>()) };
    match fd {
        // SAFETY: it was just opened and nobody else has it.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What stands at `name` in an open folder; a link is not followed.
pub(crate) fn stat_at(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<libc::stat> {
    // SAFETY: plain data that the call fills in.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a terminated string and room for the answer.
    match unsafe { libc::fstatat(folder.as_raw_fd(), name.as_ptr(), &mut stat, libc::AT_SYMLINK_NOFOLLOW) } {
        0 => Ok(stat),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The names in an open folder.
pub(crate) fn names(folder: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> io::Result<Vec<CString>> {
    const BUFFER_BYTES: usize = 64 << 10;
    buffer.resize(BUFFER_BYTES, 0);
    let mut found = Vec::new();
    loop {
        // SAFETY: the buffer is writable for its length.
        let count =
            unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
        match count {
            0 => return Ok(found),
            1.. => parse_names(&buffer[..count as usize], &mut found),
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// `inode u64 | offset u64 | record length u16 | type u8 | name, terminated`
fn parse_names(mut records: &[u8], found: &mut Vec<CString>) {
    const NAME: usize = 19;
    while let Some(length) = records.get(16..18) {
        let length = u16::from_ne_bytes(length.try_into().expect("two bytes")) as usize;
        let Some(name) = records.get(NAME..length) else { return };
        if let Ok(name) = std::ffi::CStr::from_bytes_until_nul(name)
            && name != c"."
            && name != c".."
        {
            found.push(name.to_owned());
        }
        records = &records[length..];
    }
}
