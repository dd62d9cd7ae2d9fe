//! Reading, replacing and removing files, as uid 1000 and for what uid 1000 may reach.

use std::fs::{self, File, Metadata as FsMetadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use greenroom_supervisor::protocol::{
    ByteString, CallError, Chunk, ErrorKind, FileKind, Metadata, Parents, Precondition, ReadDone, RemoveDepth,
    Response, Stream,
};

use crate::sys;
use crate::worker::Reply;

const CHUNK_BYTES: usize = 256 << 10;
/// How often another name for a temporary file is tried.
const NAME_TRIES: u32 = 16;

/// A path as the host names it, absolute.
pub(crate) fn absolute(path: &ByteString) -> Result<&Path, CallError> {
    match path.as_bytes().first() {
        Some(b'/') => Ok(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))),
        _ => Err(failure(ErrorKind::BadRequest, format!("`{path}` is not an absolute path"))),
    }
}

/// A worker must not be led into `/proc`, where "itself" is a process of uid 0: whatever was opened there is refused.
pub(crate) fn refuse_proc(path: &Path, metadata: &FsMetadata) -> Result<(), CallError> {
    match fs::metadata("/proc") {
        Ok(proc) if proc.dev() == metadata.dev() => {
            Err(failure(ErrorKind::Permission, format!("`{}` lies in /proc; read it with a command", path.display())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

pub(crate) fn stat(path: &ByteString) -> Result<Response, CallError> {
    let path = absolute(path)?;
    let metadata = fs::symlink_metadata(path).map_err(|e| error_at(path, &e))?;
    Ok(Response::StatDone { metadata: describe(path, &metadata) })
}

pub(crate) fn read(path: &ByteString, offset: u64, bytes_max: u64, reply: &Reply) -> Result<Response, CallError> {
    let path = absolute(path)?;
    let (file, metadata) = open_regular(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    let more = loop {
        let at = offset.saturating_add(bytes);
        let wanted = (bytes_max - bytes).min(CHUNK_BYTES as u64) as usize;
        if wanted == 0 {
            break file.read_at(&mut [0], at).map_err(|e| error_at(path, &e))? > 0;
        }
        match file.read_at(&mut buffer[..wanted], at).map_err(|e| error_at(path, &e))? {
            0 => break false,
            length => {
                hasher.update(&buffer[..length]);
                reply.data(&Chunk { stream: Stream::File, offset: at, bytes: &buffer[..length] });
                bytes += length as u64;
            }
        }
    };
    let blake3 = (offset == 0 && !more).then(|| hasher.finalize().to_hex().to_string());
    Ok(Response::ReadDone(ReadDone { metadata: describe(path, &metadata), bytes, more, blake3 }))
}

/// Opens without waiting for the other end of a FIFO, and refuses what is no regular file.
pub(crate) fn open_regular(path: &Path) -> Result<(File, FsMetadata), CallError> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = opened.map_err(|e| error_at(path, &e))?;
    let metadata = file.metadata().map_err(|e| error_at(path, &e))?;
    refuse_proc(path, &metadata)?;
    if metadata.is_dir() {
        return Err(failure(ErrorKind::IsDirectory, format!("`{}` is a directory", path.display())));
    }
    if !metadata.is_file() {
        return Err(failure(ErrorKind::NotAFile, format!("`{}` is not a regular file", path.display())));
    }
    Ok((file, metadata))
}

pub(crate) fn write(
    path: &ByteString,
    input: RawFd,
    bytes_total: u64,
    mode: Option<u32>,
    parents: Parents,
    expect: &Precondition,
) -> Result<Response, CallError> {
    let asked = absolute(path)?;
    // A link is written through, as an editor would: its target is replaced, the link stays.
    let target = match fs::canonicalize(asked) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(asked).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(failure(
                    ErrorKind::NotFound,
                    format!("`{path}` is a link to something that does not exist"),
                ));
            }
            asked.to_path_buf()
        }
        Err(error) => return Err(error_at(asked, &error)),
    };
    let (Some(folder), Some(_)) = (target.parent(), target.file_name()) else {
        return Err(failure(ErrorKind::IsDirectory, format!("`{path}` does not name a file")));
    };
    if let Parents::Create = parents {
        fs::create_dir_all(folder).map_err(|e| error_at(folder, &e))?;
    }
    refuse_proc(folder, &fs::metadata(folder).map_err(|e| error_at(folder, &e))?)?;
    let existing = match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(failure(ErrorKind::IsDirectory, format!("`{path}` is a directory")));
        }
        Ok(metadata) if !metadata.is_file() => {
            return Err(failure(ErrorKind::NotAFile, format!("`{path}` is not a regular file")));
        }
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error_at(&target, &error)),
    };

    let (mut file, temporary) = create_temporary(folder)?;
    let mode = mode.or(existing.as_ref().map(MetadataExt::mode)).unwrap_or(0o644) & 0o777;
    let written = copy_input(input, bytes_total, &mut file)
        .and_then(|hash| file.set_permissions(fs::Permissions::from_mode(mode)).map(|()| hash))
        .map_err(|e| error_at(&target, &e))
        // Looked at last, so that what is replaced is what was expected up to a moment before.
        .and_then(|hash| check_expected(&target, expect).map(|()| hash))
        .and_then(|hash| fs::rename(&temporary, &target).map(|()| hash).map_err(|e| error_at(&target, &e)));
    match written {
        Ok(blake3) => Ok(Response::WriteDone { bytes: bytes_total, blake3, created: existing.is_none() }),
        Err(error) => {
            // The error that is reported is the one that mattered.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

fn create_temporary(folder: &Path) -> Result<(File, PathBuf), CallError> {
    let mut last = None;
    for attempt in 0..NAME_TRIES {
        let path = folder.join(format!(".greenroom-write-{}-{attempt}", sys::process_id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(error_at(folder, &error)),
        }
    }
    Err(error_at(folder, &last.expect("every attempt failed because the name was taken")))
}

fn copy_input(input: RawFd, bytes_total: u64, file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut left = bytes_total;
    while left > 0 {
        let wanted = left.min(CHUNK_BYTES as u64) as usize;
        match sys::read(input, &mut buffer[..wanted]) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content broke off")),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                file.write_all(&buffer[..length])?;
                left -= length as u64;
            }
            Err(error) if sys::is_retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn check_expected(target: &Path, expect: &Precondition) -> Result<(), CallError> {
    let mismatch = |what: &str| failure(ErrorKind::HashMismatch, format!("`{}` {what}", target.display()));
    match expect {
        Precondition::Any => Ok(()),
        Precondition::Absent => match fs::symlink_metadata(target) {
            Ok(_) => Err(failure(ErrorKind::AlreadyExists, format!("`{}` exists already", target.display()))),
            Err(_) => Ok(()),
        },
        Precondition::Blake3 { hex } => {
            let (file, _) = open_regular(target).map_err(|error| match error.kind {
                ErrorKind::NotFound => mismatch("does not exist any longer"),
                _ => error,
            })?;
            match hash(&file).map_err(|e| error_at(target, &e))? == *hex {
                true => Ok(()),
                false => Err(mismatch("has changed meanwhile")),
            }
        }
    }
}

pub(crate) fn hash(file: &File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

pub(crate) fn remove(path: &ByteString, depth: RemoveDepth) -> Result<Response, CallError> {
    let path = absolute(path)?;
    let metadata = fs::symlink_metadata(path).map_err(|e| error_at(path, &e))?;
    let removed = match (metadata.is_dir(), depth) {
        (false, _) => fs::remove_file(path),
        (true, RemoveDepth::One) => fs::remove_dir(path),
        (true, RemoveDepth::Tree) => fs::remove_dir_all(path),
    };
    removed.map_err(|e| error_at(path, &e))?;
    Ok(Response::Removed)
}

pub(crate) fn kind_of(metadata: &FsMetadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        debug_assert!(kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device());
        FileKind::Other
    }
}

pub(crate) fn describe(path: &Path, metadata: &FsMetadata) -> Metadata {
    Metadata {
        kind: kind_of(metadata),
        mode: metadata.mode() & 0o7777,
        size: metadata.size(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        target: link_target(path, metadata),
    }
}

pub(crate) fn link_target(path: &Path, metadata: &FsMetadata) -> Option<ByteString> {
    let target = metadata.is_symlink().then(|| fs::read_link(path).ok()).flatten()?;
    Some(ByteString::new(target.as_os_str().as_bytes()))
}

pub(crate) fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

pub(crate) fn failure(kind: ErrorKind, message: String) -> CallError {
    CallError { kind, message }
}

pub(crate) fn error_at(path: &Path, error: &io::Error) -> CallError {
    self::error(path.as_os_str().as_bytes(), error)
}

pub(crate) fn error(path: &[u8], error: &io::Error) -> CallError {
    let kind = match error.raw_os_error() {
        Some(libc::ENOENT) => ErrorKind::NotFound,
        Some(libc::ENOTDIR) => ErrorKind::NotADirectory,
        Some(libc::EISDIR) => ErrorKind::IsDirectory,
        Some(libc::ENXIO) => ErrorKind::NotAFile,
        Some(libc::EEXIST) => ErrorKind::AlreadyExists,
        Some(libc::ENOTEMPTY) => ErrorKind::NotEmpty,
        Some(libc::EACCES | libc::EPERM) => ErrorKind::Permission,
        Some(libc::EFBIG) => ErrorKind::TooLarge,
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::NoSpace,
        Some(libc::EROFS) => ErrorKind::ReadOnly,
        Some(libc::ENAMETOOLONG | libc::EINVAL) => ErrorKind::BadRequest,
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EAGAIN) => ErrorKind::Busy,
        Some(_) => ErrorKind::Io,
        None if error.kind() == io::ErrorKind::UnexpectedEof => ErrorKind::Interrupted,
        None => ErrorKind::Io,
    };
    CallError { kind, message: format!("`{}`: {error}", String::from_utf8_lossy(path)) }
}
