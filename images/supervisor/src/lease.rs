//! The dead-man timer: who does not hear from its runner for a while ends, and takes the container with it.

use std::time::{Duration, Instant};

/// A lease nobody has taken yet: a container whose runner died between start and hello must go too.
const BEFORE_HELLO: Duration = Duration::from_secs(45);
const SHORTEST: Duration = Duration::from_millis(100);
/// Waking this much too late means that the container was paused or the machine asleep, not that the runner is silent.
const OVERSLEPT: Duration = Duration::from_secs(1);

pub(crate) struct Lease {
    length: Duration,
    ends: Instant,
}

impl Lease {
    pub(crate) fn new(now: Instant) -> Self {
        Self { length: BEFORE_HELLO, ends: now + BEFORE_HELLO }
    }

    pub(crate) fn take(&mut self, length_ms: u64, now: Instant) {
        self.length = Duration::from_millis(length_ms.min(u64::from(u32::MAX))).max(SHORTEST);
        self.renew(now);
    }

    pub(crate) fn renew(&mut self, now: Instant) {
        self.ends = now + self.length;
    }

    pub(crate) fn length_ms(&self) -> u64 {
        self.length.as_millis() as u64
    }

    pub(crate) fn ends(&self) -> Instant {
        self.ends
    }

    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        now >= self.ends
    }

    /// The loop meant to wake at `planned` and woke at `now`: time in which nothing here ran is not held against the
    /// runner, whose renewals may be waiting unread.
    pub(crate) fn account_for_sleep(&mut self, planned: Instant, now: Instant) {
        let late = now.saturating_duration_since(planned);
        if late > OVERSLEPT {
            self.ends += late;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_without_renewal_and_not_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lease = Lease::new(start);
        lease.take(1000, start);
        assert!(!lease.has_ended(at(999)));
        lease.renew(at(900));
        assert!(!lease.has_ended(at(1899)));
        assert!(lease.has_ended(at(1900)));
    }

    #[test]
    fn a_paused_container_does_not_lose_its_lease_by_the_pause() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lease = Lease::new(start);
        lease.take(1000, start);
        lease.account_for_sleep(at(500), at(60_500));
        assert!(!lease.has_ended(at(60_900)));
        assert!(lease.has_ended(at(61_000)));
    }
}
