//! Looks at confinement from inside: a child goes through everything a command goes through and says what it has become.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use greenroom_supervisor::protocol::{Credentials, Hardening};

use crate::oom::OomCounter;
use crate::sys::{self, Fork, Reaped};
use crate::{spawn, spool};

const STATUS_BYTES_MAX: usize = 16 << 10;
/// cgroup v1 writes "no limit" as the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// Called once, before any command runs.
pub(crate) fn look(oom: &OomCounter) -> Hardening {
    let number = |paths: &[&str]| {
        let text = paths.iter().find_map(|path| fs::read_to_string(path).ok())?;
        text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
    };
    Hardening {
        command: parse_status(&status_of_a_command().unwrap_or_default()),
        supervisor: parse_status(&own_status().unwrap_or_default()),
        root_read_only: root_is_read_only().ok(),
        memory_bytes_max: number(&["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"])
            .or_else(|| all_there_is(&["MemTotal"])),
        memory_swap_bytes_max: memory_and_swap(&number).or_else(|| all_there_is(&["MemTotal", "SwapTotal"])),
        pids_max: number(&["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]),
        cpu_millis_max: cpu_millis(),
        interfaces: fs::read_to_string("/proc/net/dev").ok().map(|text| interfaces(&text)),
        spool_private: spool::is_open(),
        oom_counter: oom.works(),
    }
}

/// v1 counts memory and swap together, v2 swap alone.
fn memory_and_swap(number: &dyn Fn(&[&str]) -> Option<u64>) -> Option<u64> {
    number(&["/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"]).or_else(|| {
        let memory = number(&["/sys/fs/cgroup/memory.max"])?;
        Some(memory + number(&["/sys/fs/cgroup/memory.swap.max"])?)
    })
}

/// A kernel in user space may show no control groups, and limits as the size of its machine instead.
fn all_there_is(fields: &[&str]) -> Option<u64> {
    if fs::read_dir("/sys/fs/cgroup").is_ok_and(|mut groups| groups.any(|group| group.is_ok())) {
        return None;
    }
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    fields.iter().try_fold(0u64, |sum, field| Some(sum + memory_field(&text, field)?))
}

fn memory_field(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

fn cpu_millis() -> Option<u64> {
    let (quota, period) = match fs::read_to_string("/sys/fs/cgroup/cpu.max") {
        Ok(both) => both.trim().split_once(' ').map(|(quota, period)| (quota.to_owned(), period.to_owned()))?,
        Err(_) => (
            fs::read_to_string("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").ok()?,
            fs::read_to_string("/sys/fs/cgroup/cpu/cpu.cfs_period_us").ok()?,
        ),
    };
    // "max" and -1 are no limit, and no numbers either.
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    (quota * 1000).checked_div(period)
}

fn interfaces(text: &str) -> Vec<String> {
    text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

fn root_is_read_only() -> io::Result<bool> {
    let root = CString::new("/").expect("no NUL in it");
    // SAFETY: plain data that the call fills in.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a terminated string and room for the answer.
    match unsafe { libc::statvfs(root.as_ptr(), &mut facts) } {
        0 if facts.f_flag & libc::ST_RDONLY != 0 => Ok(true),
        0 => Ok(root_refuses_a_file()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Not every kernel shows it as a flag. PID 1 owns the root, so that nothing else would stop it.
fn root_refuses_a_file() -> bool {
    const PROBE: &str = "/.greenroom-probe";
    match File::options().write(true).create_new(true).open(PROBE) {
        Ok(_) => {
            let _ = fs::remove_file(PROBE);
            false
        }
        Err(error) => error.raw_os_error() == Some(libc::EROFS),
    }
}

/// `/proc/self/status`, and what a kernel leaves out of it that can be asked in other ways.
fn own_status() -> io::Result<String> {
    let mut text = fs::read_to_string("/proc/self/status")?;
    if !text.contains("\nNoNewPrivs:")
        && let Ok(set) = sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0)
    {
        text.push_str(&format!("NoNewPrivs:\t{set}\n"));
    }
    // A kernel that does not know the set at all has nothing in it.
    if !text.contains("\nCapAmb:") && sys::has_no_ambient_set() {
        text.push_str("CapAmb:\t0\n");
    }
    Ok(text)
}

/// `/proc/self/status` as a command would read it.
fn status_of_a_command() -> io::Result<String> {
    let (reader, writer) = sys::pipe()?;
    match sys::fork()? {
        Fork::Child => {
            let status = spawn::confine().and_then(|()| own_status());
            // One write: a pipe holds it whole.
            let _ = sys::write(writer.as_raw_fd(), status.unwrap_or_default().as_bytes());
            sys::exit_now(0)
        }
        Fork::Parent(_) => drop(writer),
    }
    let mut text = vec![0; STATUS_BYTES_MAX];
    let mut length = 0;
    while length < text.len() {
        match sys::read(reader.as_raw_fd(), &mut text[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if sys::is_retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
    while let Reaped::Child { .. } = sys::reap() {}
    text.truncate(length);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse_status(text: &str) -> Credentials {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let ids = |name| -> Vec<u32> {
        field(name)
            .map(|ids| ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect())
            .unwrap_or_default()
    };
    let mask = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    Credentials {
        uids: ids("Uid"),
        gids: ids("Gid"),
        groups: ids("Groups"),
        cap_inheritable: mask("CapInh"),
        cap_permitted: mask("CapPrm"),
        cap_effective: mask("CapEff"),
        cap_bounding: mask("CapBnd"),
        cap_ambient: mask("CapAmb"),
        no_new_privs: field("NoNewPrivs").map(|value| value == "1"),
        seccomp: field("Seccomp").and_then(|mode| mode.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_field_by_field() {
        let text = "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGroups:\t \nCapBnd:\t00000000000000c0\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let seen = parse_status(text);
        assert_eq!(seen.uids, [1000; 4]);
        assert_eq!((seen.cap_bounding, seen.no_new_privs, seen.seccomp), (Some(0xc0), Some(true), Some(2)));
        assert_eq!((seen.groups, seen.cap_effective), (vec![], None));
    }

    #[test]
    fn the_size_of_the_machine_is_read() {
        let text = "MemTotal:         262144 kB\nMemFree: 1 kB\nSwapTotal:             0 kB\n";
        assert_eq!(memory_field(text, "MemTotal"), Some(256 << 20));
        assert_eq!((memory_field(text, "SwapTotal"), memory_field(text, "Swap")), (Some(0), None));
    }

    #[test]
    fn interfaces_are_named() {
        let text = "Inter-| x\n face | y\n    lo: 0 0\n  eth0: 1 2\n";
        assert_eq!(interfaces(text), ["lo", "eth0"]);
    }
}
