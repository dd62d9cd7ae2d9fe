//! The last touches of a restored tree: what an engine's own unpacking cannot make, or not exactly.
//!
//! Done before the first command, so nothing moves below our hands.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use greenroom_supervisor::protocol::{ByteString, CallError, Order, Place, Response, Unsettled};

use super::beneath::{Root, as_path, open_roots, root_of, set_mode};

const TOLD_MAX: usize = 20;

pub(crate) fn settle(roots: &[ByteString], orders: &[Order]) -> Result<Response, CallError> {
    let roots = open_roots(roots)?;
    let mut unsettled = Vec::new();
    for (number, order) in orders.iter().enumerate() {
        if let Err(error) = carry_out(&roots, order)?
            && unsettled.len() < TOLD_MAX
        {
            unsettled.push(Unsettled { order: number as u64, message: error.to_string() });
        }
    }
    Ok(Response::Settled { unsettled })
}

fn carry_out(roots: &[Root], order: &Order) -> Result<io::Result<()>, CallError> {
    let full = |place: &Place| root_of(roots, place).map(|root| root.absolute(place.path.as_bytes()));
    Ok(match order {
        Order::Remove { place } => {
            let path = full(place)?;
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            }
        }
        Order::Dir { place } => fs::create_dir(full(place)?),
        Order::Symlink { place, target } => std::os::unix::fs::symlink(as_path(target.as_bytes()), full(place)?),
        Order::HardLink { place, existing } => fs::hard_link(full(existing)?, full(place)?),
        Order::Attributes { place, mode, mtime_s, mtime_ns } => {
            let path = full(place)?;
            let moded = mode.map_or(Ok(()), |mode| set_mode(&path, mode));
            moded.and_then(|()| set_mtime(&path, *mtime_s, *mtime_ns))
        }
    })
}

/// Of a link itself where it is one.
fn set_mtime(path: &Path, seconds: i64, nanoseconds: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let keep = libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
    let times = [keep, libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }];
    // SAFETY: a terminated string and two times.
    match unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
