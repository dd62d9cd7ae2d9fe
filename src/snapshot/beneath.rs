//! The only way this module touches a tree on the host: relative to a folder held open, through `openat2`, so that
//! the kernel refuses every link, every `..` and every magic link on the way.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::TreePath;
use crate::planted::{self, Planted};

/// A folder held open. Paths given to its methods stay beneath it, whatever happens on disk meanwhile.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
}

/// What stands at a path, without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Special(&'static str),
}

fn resolve() -> ResolveFlags {
    match planted::has(Planted::FollowLinks) {
        true => ResolveFlags::empty(),
        false => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    }
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder that the operator named: links in its own path are theirs and are followed.
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        Ok(Folder { fd: rustix::fs::open(path, FOLDER, Mode::empty())? })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn folder(&self, path: &[u8]) -> io::Result<Folder> {
        // Without `O_NOFOLLOW`, which would answer "not a directory" before the kernel says that it met a link.
        let fd = rustix::fs::openat2(&self.fd, path, FOLDER, Mode::empty(), resolve())?;
        Ok(Folder { fd })
    }

    /// The folder that holds `path`, and the name within.
    pub(super) fn parent<'p>(&self, path: &'p TreePath) -> io::Result<(Folder, &'p [u8])> {
        let bytes = path.as_bytes();
        match bytes.iter().rposition(|&b| b == b'/') {
            Some(at) => Ok((self.folder(&bytes[..at])?, &bytes[at + 1..])),
            None => Ok((self.folder(b".")?, bytes)),
        }
    }

    /// Opens a regular file for reading. Anything else that took its place is refused, and a FIFO does not block.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<(File, Stat)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve())?;
        let stat = rustix::fs::fstat(&fd)?;
        match kind(&stat) {
            Kind::File => Ok((File::from(fd), stat)),
            Kind::Directory | Kind::Symlink | Kind::Special(_) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
            }
        }
    }

    /// A whole regular file of at most `bytes_max`; `FileTooLarge` beyond.
    pub(super) fn read(&self, path: &[u8], bytes_max: u64) -> io::Result<(Vec<u8>, Stat)> {
        let (file, stat) = self.file(path)?;
        let expected = u64::try_from(stat.st_size).unwrap_or(0);
        if expected > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > bytes_max {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok((bytes, stat)),
        }
    }

    /// What is called `name` directly in this folder; `None` where nothing is.
    pub(super) fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    /// The names in this folder, sorted, at most `names_max` of them; `FileTooLarge` beyond.
    pub(super) fn names(&self, names_max: u64) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
            if names.len() as u64 > names_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A new file; whatever already has the name, even a dangling link, is an error.
    pub(super) fn create(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(File::from(rustix::fs::openat2(&self.fd, name, flags, Mode::from_raw_mode(mode), resolve())?))
    }

    pub(super) fn make_folder(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?)
    }

    pub(super) fn make_link(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.fd, name)?)
    }

    pub(super) fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    pub(super) fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Moves without ever replacing what stands at the destination.
    pub(super) fn move_to(&self, name: &[u8], to: &Folder, new_name: &[u8]) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, new_name, RenameFlags::NOREPLACE) {
            // Some network file systems have no such rename: there the look before is all that can be had.
            Err(Errno::INVAL | Errno::NOSYS) => match to.stat(new_name)? {
                Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                None => Ok(rustix::fs::renameat(&self.fd, name, &to.fd, new_name)?),
            },
            done => Ok(done?),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }
}

pub(super) fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Special("a FIFO"),
        FileType::Socket => Kind::Special("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Special("a device"),
        FileType::Unknown => Kind::Special("of an unknown kind"),
    }
}

/// `0o777` at most: setuid, setgid and sticky bits never travel.
pub(super) fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o777
}
