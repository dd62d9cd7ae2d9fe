//! The system calls the supervisor needs and std does not offer, each wrapped once.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

pub(crate) type Pid = libc::pid_t;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(crate) enum Fork {
    Parent(Pid),
    Child,
}

/// Forks. The supervisor has one thread, so the child may do whatever its parent could.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: single-threaded; no lock can be held by a thread that does not exist in the child.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Ends this process without running destructors that belong to the parent it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(code) }
}

pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors, which are ours from here on.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Two ends of a channel that keeps the boundaries of messages.
pub(crate) fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors, which are ours from here on.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with integer arguments; a bad descriptor is an error, not a fault.
    unsafe {
        let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
        check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Reads once; `Ok(0)` is the end of the stream.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is writable for its length.
    let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is readable for its length.
    let count = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// Whether an error only says "not now".
pub(crate) fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits until one of `fds` is ready; -1 waits for ever. An interruption counts as nothing being ready.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) }) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn duplicate_onto(fd: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: integers only; errors are reported.
    check(unsafe { libc::dup2(fd, target) })?;
    Ok(())
}

/// Closes every descriptor from 3 on but those in `keep`.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).collect();
    keep.sort_unstable();
    let mut from = 3u32;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > from {
            close_range(from, fd - 1);
        }
        from = from.max(fd.saturating_add(1));
    }
}

fn close_range(first: u32, last: u32) {
    // SAFETY: called in a freshly forked child that never drops the descriptors it inherited.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
        // An older kernel, or a filter that does not know the call. PID 1 itself never has this many open.
        for fd in first..=last.min(1024) {
            // SAFETY: as above.
            unsafe { libc::close(fd as RawFd) };
        }
    }
}

pub(crate) enum Reaped {
    Child { pid: Pid, status: i32 },
    NoneReady,
    NoChildren,
}

pub(crate) fn reap() -> Reaped {
    let mut status = 0;
    loop {
        // SAFETY: status is writable.
        match check(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) }) {
            Ok(0) => return Reaped::NoneReady,
            Ok(pid) => return Reaped::Child { pid, status },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Reaped::NoChildren,
        }
    }
}

pub(crate) fn kill(pid: Pid, signal: i32) {
    // SAFETY: integers only. That the process is gone already is what we want.
    unsafe { libc::kill(pid, signal) };
}

/// A number that processes forked from now on share with this one.
pub(crate) fn shared_counter() -> io::Result<&'static AtomicU64> {
    // SAFETY: a fresh, zeroed page that nothing else refers to and that is never unmapped; zero is a valid atomic.
    unsafe {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        match libc::mmap(ptr::null_mut(), size_of::<AtomicU64>(), protection, flags, -1, 0) {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            page => Ok(&*page.cast::<AtomicU64>()),
        }
    }
}

/// How large a file this process may write.
pub(crate) fn file_bytes_max() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is writable.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// Bytes and inodes that are free for ordinary users on the file system of a path.
pub(crate) fn free_space(path: &[u8]) -> Option<(u64, u64)> {
    let path = std::ffi::CString::new(path).ok()?;
    // SAFETY: plain data that the call fills in.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a terminated string and room for the answer.
    match unsafe { libc::statvfs(path.as_ptr(), &mut facts) } {
        0 => Some((facts.f_bfree.saturating_mul(facts.f_frsize), facts.f_ffree)),
        _ => None,
    }
}

/// Empties the variables this process was started with, where `/proc` would show them: not every kernel hides them.
pub(crate) fn wipe_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: one thread; the array ends with null, and its strings lie in this process's own writable stack. Nothing
    // of ours reads a variable afterwards.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            ptr::write_bytes(*next, 0, libc::strlen(*next));
            next = next.add(1);
        }
        environ = ptr::null_mut();
    }
}

pub(crate) fn process_id() -> Pid {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() }
}

pub(crate) fn new_session() {
    // SAFETY: no preconditions; fails only for a group leader, which a freshly forked child is not.
    unsafe { libc::setsid() };
}

pub(crate) fn set_umask(mask: libc::mode_t) {
    // SAFETY: no preconditions.
    unsafe { libc::umask(mask) };
}

pub(crate) fn prctl(option: i32, value: u64) -> io::Result<i32> {
    // SAFETY: only options that take integers are used with this.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) })
}

/// Lets a capability outlive `execve` in a process that is not root.
pub(crate) fn raise_ambient(capability: u64) -> io::Result<i32> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) })
}

/// Whether the kernel is one that never had ambient capabilities.
pub(crate) fn has_no_ambient_set() -> bool {
    // SAFETY: integers only.
    let asked = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, 0, 0, 0) };
    asked < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Blocks the signals the loops read from a descriptor, and opens that descriptor.
pub(crate) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before use; the descriptor is ours.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()))?;
        Ok(OwnedFd::from_raw_fd(check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// 0: from outside the container.
    pub(crate) sender: Pid,
}

/// Signals waiting on a descriptor made by [`signal_fd`].
pub(crate) fn pending_signals(fd: BorrowedFd<'_>) -> Vec<Signal> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut signals = Vec::new();
    let mut buffer = [0; SIZE];
    while let Ok(SIZE) = read(fd.as_raw_fd(), &mut buffer) {
        let field = |at: usize| i32::from_ne_bytes(buffer[at..at + 4].try_into().expect("four bytes"));
        // ssi_signo and ssi_pid.
        signals.push(Signal { number: field(0), sender: field(12) });
    }
    signals
}

/// Once, in PID 1: every signal means what it means by default, but for SIGPIPE, which would end us with a reader.
pub(crate) fn settle_signals() {
    for signal in 1..=64 {
        let meaning = if signal == libc::SIGPIPE { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: both are always valid; signals that cannot be changed answer with an error.
        unsafe { libc::signal(signal, meaning) };
    }
}

/// In a child of ours: signals as a program expects them at its start.
pub(crate) fn reset_signals() {
    // SAFETY: SIG_DFL is always valid; the set is initialised before use.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}

pub(crate) fn change_directory(path: &CStr) -> io::Result<()> {
    // SAFETY: a terminated string.
    check(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// Replaces this process; returns only if that failed. Both arrays end with a null pointer.
pub(crate) fn execve(program: &CStr, argv: &[*const libc::c_char], environment: &[*const libc::c_char]) -> io::Error {
    assert!(argv.last().is_some_and(|p| p.is_null()) && environment.last().is_some_and(|p| p.is_null()));
    // SAFETY: null-terminated arrays of terminated strings, which outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}
