//! How often the kernel has killed for want of memory in this container.
//!
//! Exit code 137 says nothing (a command may choose it, `kill -9` causes it), and the container's own flag stays false
//! when a child of PID 1 is killed. The memory cgroup's `oom_kill` counter says it exactly.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// cgroup v2, then v1. Inside a container both show the container's own cgroup.
const COUNTERS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

pub(crate) struct OomCounter {
    file: Option<File>,
}

impl OomCounter {
    pub(crate) fn open() -> Self {
        let readable = |path: &&str| File::open(path).ok().filter(|file| parse(&text_of(file)).is_some());
        Self { file: COUNTERS.iter().find_map(readable) }
    }

    pub(crate) fn works(&self) -> bool {
        self.file.is_some()
    }

    /// Kills so far; 0 for ever where there is no counter.
    pub(crate) fn kills(&self) -> u64 {
        self.file.as_ref().and_then(|file| parse(&text_of(file))).unwrap_or(0)
    }
}

fn text_of(file: &File) -> String {
    let mut buffer = [0; 1024];
    let length = file.read_at(&mut buffer, 0).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_kinds_of_cgroup_are_read() {
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), Some(4));
        assert_eq!(parse("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
