//! Who runs as whom: PID 1 keeps two capabilities, commands none, file workers none and the user's file system identity.
//! In a set-up phase commands are root, with what installing packages takes and no more.

use std::io;
use std::sync::OnceLock;

use greenroom_supervisor::protocol::SANDBOX_UID;

use crate::sys;

const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_FOWNER: u32 = 3;
const CAP_FSETID: u32 = 4;
const CAP_KILL: u32 = 5;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// Package managers unpack files of other owners, and drop to users of their own for downloads and hooks, whom they have
/// to be able to end.
const SET_UP_MASK: u64 = 1 << CAP_CHOWN
    | 1 << CAP_DAC_OVERRIDE
    | 1 << CAP_FOWNER
    | 1 << CAP_FSETID
    | 1 << CAP_KILL
    | 1 << CAP_SETGID
    | 1 << CAP_SETUID;

/// What this container is for; settled by its command line, which nothing inside can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Commands are uid 1000 without capabilities.
    Run,
    /// Commands are root with [`SET_UP_MASK`]; connections may be carried to the host.
    SetUp,
}

static ROLE: OnceLock<Role> = OnceLock::new();

pub(crate) fn role() -> Role {
    *ROLE.get().unwrap_or(&Role::Run)
}

/// Once, in PID 1: nothing to inherit, nothing to be dumped, a bounding set that is empty for ever.
pub(crate) fn settle_supervisor(role: Role) -> io::Result<()> {
    let role = *ROLE.get_or_init(|| role);
    let keep = match role {
        Role::Run => 0,
        Role::SetUp => SET_UP_MASK,
    };
    sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    for capability in (0..64).filter(|capability| keep & (1 << capability) == 0) {
        // Without CAP_SETPCAP this fails, and what a command child shows in the hello says so.
        if sys::prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
    set_groups(&[])?;
    set_capabilities(keep | 1 << CAP_SETGID | 1 << CAP_SETUID)?;
    sys::set_umask(0o022);
    Ok(())
}

/// In a command's child, just before it becomes the command: uid 1000 for good, or root with little.
pub(crate) fn become_command() -> io::Result<()> {
    set_groups(&[])?;
    match role() {
        Role::Run => become_user(),
        Role::SetUp => {
            // What a program of root's may hold is what its parent held and the bounding set has.
            set_capabilities(SET_UP_MASK)?;
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
        }
    }
}

fn become_user() -> io::Result<()> {
    // SAFETY: integers only; a failure ends the child.
    unsafe {
        if libc::setresgid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID) != 0
            || libc::setresuid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    set_capabilities(0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// In a file worker: opens and creates as uid 1000, while its real uid keeps commands from sending it signals. It has no
/// capability left, and runs nothing but our own code.
pub(crate) fn become_file_worker() -> io::Result<()> {
    set_groups(&[])?;
    // SAFETY: integers only; what setfsuid answers is checked by asking it again.
    unsafe {
        if libc::setresgid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::setfsuid(SANDBOX_UID);
        if libc::setfsuid(SANDBOX_UID) as u32 != SANDBOX_UID {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
    }
    set_capabilities(0)?;
    // Changing the identity made the process dumpable at the administrator's discretion; it must not be.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// Runs `act` with the effective uid of commands, which is what it takes to send them signals without CAP_KILL. Real and
/// saved uid stay 0, so that they cannot send any back.
pub(crate) fn as_command_sender<T>(act: impl FnOnce() -> T) -> io::Result<T> {
    if role() == Role::SetUp {
        // Commands may be anybody here, and we hold CAP_KILL.
        return Ok(act());
    }
    set_effective_uid(SANDBOX_UID)?;
    let result = act();
    set_effective_uid(0).expect("the saved uid is 0");
    // A change of identity leaves dumpability to the administrator's setting.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map(|_| result)
}

fn set_effective_uid(uid: u32) -> io::Result<()> {
    // SAFETY: integers only. The raw call, because this process has one thread and needs no broadcast.
    match unsafe { libc::syscall(libc::SYS_setresuid, u32::MAX, uid, u32::MAX) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_groups(groups: &[libc::gid_t]) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    match unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes `mask` the permitted and effective set, and the inheritable set empty; ambient goes with it.
fn set_capabilities(mask: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let half = |mask: u32| Data { effective: mask, permitted: mask, inheritable: 0 };
    let header = Header { version: 0x2008_0522, pid: 0 };
    let data = [half(mask as u32), half((mask >> 32) as u32)];
    // SAFETY: the structures of version 3 of this call: one header, two data blocks.
    match unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
