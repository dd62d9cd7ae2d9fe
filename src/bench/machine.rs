//! What a figure was measured on: without it no figure can be judged.

use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// `release` or `debug`.
    pub build: &'static str,
    pub cpus: usize,
    /// Processes that ran or wanted to, over the last minute, as it was before the measurement.
    pub load: Option<f64>,
}

impl Machine {
    pub fn look() -> Self {
        Machine {
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load: load(),
        }
    }

    pub fn is_debug(&self) -> bool {
        self.build == "debug"
    }
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// Time a processor spent on this thread: what a busy machine does not change. `None` where the kernel does not tell.
pub(super) fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
}

/// The highest resident memory of this process since [`forget_peak`].
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Lets the peak begin anew. Where the kernel does not offer that, the peak of the whole process counts, which is no
/// less.
pub(super) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_waiting_takes_none() {
        // Kernels without scheduler statistics have the time on the clock instead.
        let Some(before) = thread_time() else { return };
        let mut sum = 0u64;
        while thread_time().is_some_and(|now| now < before + Duration::from_millis(20)) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn a_large_allocation_shows_in_the_peak() {
        forget_peak();
        let large = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak_memory_bytes().is_some_and(|bytes| bytes >= large.len() as u64));
    }
}
