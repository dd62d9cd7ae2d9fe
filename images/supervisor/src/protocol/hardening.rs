//! What confinement looks like from inside, so that the host can compare it with what it asked for.

use serde::{Deserialize, Serialize};

/// Facts, not judgements: the host knows what it asked for. `None` means that it could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardening {
    /// Seen in a child prepared exactly as a command is.
    pub command: Credentials,
    /// Seen in PID 1 after it has dropped what it no longer needs.
    pub supervisor: Credentials,
    /// Whether the root file system refuses writes for everybody (mounted read-only).
    pub root_read_only: Option<bool>,
    /// Of the memory cgroup, in bytes; `None` where there is no limit or no cgroup to see.
    pub memory_bytes_max: Option<u64>,
    /// Memory and swap together.
    pub memory_swap_bytes_max: Option<u64>,
    pub pids_max: Option<u64>,
    /// CPU time per period of one: 1500 is one CPU and a half.
    pub cpu_millis_max: Option<u64>,
    /// Network interfaces by name, `lo` among them.
    pub interfaces: Option<Vec<String>>,
    /// Whether output can be kept in a volume that only the supervisor can look into.
    #[serde(default)]
    pub spool_private: bool,
    /// Whether out-of-memory kills can be counted here.
    pub oom_counter: bool,
}

/// As `/proc/self/status` shows them; capability sets as bit masks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Real, effective, saved, file system.
    pub uids: Vec<u32>,
    pub gids: Vec<u32>,
    pub groups: Vec<u32>,
    pub cap_inheritable: Option<u64>,
    pub cap_permitted: Option<u64>,
    pub cap_effective: Option<u64>,
    pub cap_bounding: Option<u64>,
    pub cap_ambient: Option<u64>,
    pub no_new_privs: Option<bool>,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
}
