//! How much of the machine a sandbox may take: memory, processes, CPU time, file size.

use bollard::models::{HostConfig, ResourcesUlimits};
use greenroom_supervisor::protocol::Hardening;

use super::{Confinement, Profile, Refusals};

const NANOS_PER_MILLI: i64 = 1_000_000;
/// Enough for a large build, and below what hosts whose engine may not raise limits were seen to have.
const OPEN_FILES_MAX: i64 = 16_384;

pub(super) fn ask(profile: &Profile, host: &mut HostConfig) {
    let limits = &profile.limits;
    let memory = signed(limits.memory_bytes);
    host.memory = Some(memory);
    // The same number: memory and swap together, so that there is no swap.
    host.memory_swap = Some(memory);
    host.pids_limit = Some(pids_asked(profile));
    host.nano_cpus = Some(i64::from(limits.cpu_millis) * NANOS_PER_MILLI);
    host.ulimits = Some(vec![
        ulimit("fsize", signed(limits.file_bytes)),
        ulimit("nofile", OPEN_FILES_MAX),
        // A core dump of a test would be a gigabyte nobody reads.
        ulimit("core", 0),
    ]);
    // Shared memory counts as memory; an eighth leaves room for who filled it.
    host.shm_size = Some((memory / 8).clamp(1 << 20, 64 << 20));
}

/// A runtime that was named and has a kernel of its own (gVisor) shows no limit inside, which the operator has to accept; the engine's then
/// counts that kernel's threads, several for a process, and a sandbox that meets it is lost as a whole.
fn pids_asked(profile: &Profile) -> i64 {
    const OWN_KERNEL: i64 = 512;
    const THREADS_A_PROCESS: i64 = 4;
    let pids = i64::from(profile.limits.pids);
    if profile.runtime.is_some() && profile.weaker.contains(&Confinement::Pids) {
        OWN_KERNEL + THREADS_A_PROCESS * pids
    } else {
        pids
    }
}

pub(super) fn stuck(profile: &Profile, host: &HostConfig, refusals: &mut Refusals) {
    let limits = &profile.limits;
    let memory = signed(limits.memory_bytes);
    refusals.unless(host.memory == Some(memory), "memory", || format!("asked for {memory}, got {:?}", host.memory));
    refusals.unless(host.memory_swap == Some(memory), "swap", || {
        format!("asked for {memory} with memory, got {:?}", host.memory_swap)
    });
    let pids = pids_asked(profile);
    refusals.unless(host.pids_limit == Some(pids), "pids", || format!("asked for {pids}, got {:?}", host.pids_limit));
    let asked = i64::from(limits.cpu_millis) * NANOS_PER_MILLI;
    // Podman says the same as a quota.
    let quota = match (host.cpu_quota, host.cpu_period) {
        (Some(quota), Some(period)) if quota > 0 && period > 0 => Some(quota * 1000 / period * NANOS_PER_MILLI),
        _ => None,
    };
    refusals.unless(host.nano_cpus == Some(asked) || quota == Some(asked), "cpus", || {
        format!("asked for {asked} billionths, got {:?}", host.nano_cpus)
    });
    for (field, name, most) in [("file size", "fsize", signed(limits.file_bytes)), ("core dumps", "core", 0)] {
        let seen = host.ulimits.iter().flatten().find(|limit| {
            limit.name.as_deref().is_some_and(|seen| seen.to_ascii_lowercase().trim_start_matches("rlimit_") == name)
        });
        refusals.unless(seen.and_then(|limit| limit.hard) == Some(most), field, || {
            format!("asked for a limit of {most}, got {:?}", seen.map(|limit| limit.hard))
        });
    }
}

pub(super) fn holds(profile: &Profile, seen: &Hardening, refusals: &mut Refusals) {
    let limits = &profile.limits;
    refusals.unless(seen.memory_bytes_max.is_some_and(|bytes| bytes <= limits.memory_bytes), "memory", || {
        format!("asked for {} bytes, inside there are {}", limits.memory_bytes, shown(seen.memory_bytes_max))
    });
    refusals.unless(seen.memory_swap_bytes_max.is_some_and(|bytes| bytes <= limits.memory_bytes), "swap", || {
        format!(
            "asked for {} bytes with memory, inside there are {} (does the kernel account swap?)",
            limits.memory_bytes,
            shown(seen.memory_swap_bytes_max)
        )
    });
    refusals.unless(seen.pids_max.is_some_and(|pids| pids <= u64::from(limits.pids)), "pids", || {
        format!("asked for {}, inside there are {}", limits.pids, shown(seen.pids_max))
    });
    refusals.unless(seen.cpu_millis_max.is_some_and(|millis| millis <= u64::from(limits.cpu_millis)), "cpus", || {
        format!("asked for {} thousandths, inside there are {}", limits.cpu_millis, shown(seen.cpu_millis_max))
    });
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none to be seen".to_owned(), |limit| limit.to_string())
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}
