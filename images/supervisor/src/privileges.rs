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

impl Role {
    pub(crate) fn of(arguments: &[String]) -> Self {
        match arguments.first().map(String::as_str) {
            Some("setup") => Self::SetUp,
            Some(_) | None => Self::Run,
        }
    }
}

static ROLE: OnceLock<Role> = OnceLock::new();

pub(crate) fn role() -> Role {
    *ROLE.get().unwrap_or(&Role::Run)
}

/// What the operator wants to see fail, told by PID 1's command line: nothing inside can change that.
static WITHOUT: OnceLock<Without> = OnceLock::new();

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Without {
    no_new_privileges: bool,
    capabilities: bool,
    uid: bool,
}

impl Without {
    /// Words that are not known leave everything as it is.
    pub(crate) fn of(arguments: &[String]) -> Self {
        let mut without = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--without-no-new-privileges" => without.no_new_privileges = true,
                "--without-capabilities" => without.capabilities = true,
                "--without-uid" => without.uid = true,
                _ => {}
            }
        }
        without
    }
}

fn without() -> Without {
    WITHOUT.get().copied().unwrap_or_default()
}

/// Once, in PID 1: nothing to inherit, nothing to be dumped, a bounding set that is empty for ever but for what set-up
/// needs.
pub(crate) fn settle_supervisor(role: Role, asked: Without) -> io::Result<()> {
    let role = *ROLE.get_or_init(|| role);
    let without = *WITHOUT.get_or_init(|| asked);
    let keep = match role {
        Role::Run => 0,
        Role::SetUp => SET_UP_MASK,
    };
    sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
    if !without.no_new_privileges {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    }
    sys::set_umask(0o022);
    if without.capabilities {
        return set_groups(&[]);
    }
    for capability in (0..64).filter(|capability| keep & (1 << capability) == 0) {
        // Without CAP_SETPCAP this fails, and what a command child shows in the hello says so.
        if sys::prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
    set_groups(&[])?;
    set_capabilities(keep | 1 << CAP_SETGID | 1 << CAP_SETUID)
}

/// In a command's child, just before it becomes the command: uid 1000 for good, or root with little.
pub(crate) fn become_command() -> io::Result<()> {
    set_groups(&[])?;
    match role() {
        Role::Run => become_user(without()),
        Role::SetUp => {
            // What a program of root's may hold is what its parent held and the bounding set has.
            set_capabilities(SET_UP_MASK)?;
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
        }
    }
}

fn become_user(without: Without) -> io::Result<()> {
    if without.capabilities {
        sys::prctl(libc::PR_SET_KEEPCAPS, 1)?;
    }
    let uid = if without.uid { 0 } else { SANDBOX_UID };
    // SAFETY: integers only; a failure ends the child.
    unsafe {
        if libc::setresgid(uid, uid, uid) != 0 || libc::setresuid(uid, uid, uid) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    match without.capabilities {
        true => hand_on_capabilities()?,
        false => set_capabilities(0)?,
    }
    if without.no_new_privileges {
        return Ok(());
    }
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Everything the container has, through the coming `execve`: permitted is made inheritable, then ambient.
fn hand_on_capabilities() -> io::Result<()> {
    let mask = permitted_capabilities()?;
    set_capability_sets(mask, mask)?;
    for capability in (0..64).filter(|capability| mask >> capability & 1 == 1) {
        sys::raise_ambient(capability)?;
    }
    Ok(())
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
            // Not every kernel knows the call. The effective uid does the same; real and saved uid stay.
            set_effective_uid(SANDBOX_UID)?;
        }
    }
    set_capabilities(0)?;
    // Changing the identity made the process dumpable at the administrator's discretion; it must not be.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// Who creates what is copied; what belongs to anybody else is given away.
pub(crate) const COPIER: (u32, u32) = (SANDBOX_UID, SANDBOX_UID);

/// In a container that only copies: the commands' user, whom neither modes nor owners of a tree stop.
pub(crate) fn become_copier() -> io::Result<()> {
    const MASK: u64 = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID;
    set_groups(&[])?;
    sys::prctl(libc::PR_SET_KEEPCAPS, 1)?;
    let (uid, gid) = COPIER;
    // SAFETY: integers only; this process has no other thread that matters yet, and libc changes all of them.
    unsafe {
        if libc::setresgid(gid, gid, gid) != 0 || libc::setresuid(uid, uid, uid) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    set_capabilities(MASK)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// In the disk watch: sees what commands see, which in a set-up phase is everything.
pub(crate) fn become_disk_watch() -> io::Result<()> {
    match role() {
        Role::Run => become_file_worker(),
        Role::SetUp => set_capabilities(SET_UP_MASK),
    }
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

/// The same with the real uid too, so that a signal to everybody reaches nobody of ours: helpers are of real uid 0, and a
/// sender's real uid counts as well. Saved uid stays 0. Commands may meanwhile signal PID 1, which heeds only who is
/// outside the container.
pub(crate) fn as_command_user<T>(act: impl FnOnce() -> T) -> io::Result<T> {
    set_uids(SANDBOX_UID, SANDBOX_UID)?;
    let result = act();
    set_uids(0, 0).expect("the saved uid is 0");
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map(|_| result)
}

fn set_effective_uid(uid: u32) -> io::Result<()> {
    set_uids(u32::MAX, uid)
}

/// Real and effective; the saved one stays.
fn set_uids(real: u32, effective: u32) -> io::Result<()> {
    // SAFETY: integers only. The raw call, because this process has one thread and needs no broadcast.
    match unsafe { libc::syscall(libc::SYS_setresuid, real, effective, u32::MAX) } {
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
    set_capability_sets(mask, 0)
}

/// What `capget` and `capset` take: version 3, which has two halves of 32 capabilities each.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

const HEADER: Header = Header { version: 0x2008_0522, pid: 0 };

#[repr(C)]
#[derive(Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn permitted_capabilities() -> io::Result<u64> {
    let mut data = [Data::default(), Data::default()];
    // SAFETY: the structures of version 3 of this call: one header, two data blocks.
    match unsafe { libc::syscall(libc::SYS_capget, &HEADER, data.as_mut_ptr()) } {
        0 => Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_capability_sets(mask: u64, inheritable: u64) -> io::Result<()> {
    let half = |shift| Data {
        effective: (mask >> shift) as u32,
        permitted: (mask >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: the structures of version 3 of this call: one header, two data blocks.
    match unsafe { libc::syscall(libc::SYS_capset, &HEADER, data.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
