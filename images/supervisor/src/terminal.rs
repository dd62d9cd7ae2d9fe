//! A terminal for a command that wants one: nobody types on it, and its size is fixed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use greenroom_supervisor::protocol::SANDBOX_UID;

use crate::sys;

/// What a command that asks reads: an end, so many times, before it waits for a person who is not there.
const ENDS: [u8; 64] = [4; 64];

/// Our end and the command's. Output comes as it was written: no line ends are added to, and nothing is echoed.
pub(crate) fn open(rows: u16, columns: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    // The device belongs to whoever opens it, and a command may want to open it by its name.
    // SAFETY: integers only; uid 0 gets its own number back below.
    unsafe { libc::setfsuid(SANDBOX_UID) };
    // SAFETY: as above; the descriptor is ours from here on.
    let ours = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    // SAFETY: as above.
    unsafe { libc::setfsuid(0) };
    check(ours)?;
    // SAFETY: it was opened just now and belongs to nobody else.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: a descriptor of ours.
    check(unsafe { libc::unlockpt(ours.as_raw_fd()) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // Without its name, which a command could have put something else in the place of.
    // SAFETY: an ioctl that takes an integer and answers with a descriptor, ours from here on.
    let theirs = check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    // SAFETY: as above.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure lives through the call.
    check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })?;
    // SAFETY: plain data, filled by the call that follows.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives through both calls.
    unsafe {
        check(libc::tcgetattr(theirs.as_raw_fd(), &raw mut settings))?;
        settings.c_oflag &= !libc::OPOST;
        settings.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHOCTL);
        check(libc::tcsetattr(theirs.as_raw_fd(), libc::TCSANOW, &raw const settings))?;
    }
    sys::write(ours.as_raw_fd(), &ENDS)?;
    Ok((ours, theirs))
}

/// Makes `fd` the terminal of the session that this process has just begun.
pub(crate) fn take(fd: RawFd) -> io::Result<()> {
    // SAFETY: an ioctl that takes an integer.
    check(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }).map(drop)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
