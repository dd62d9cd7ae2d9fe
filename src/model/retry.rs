//! How often and how long to wait before asking again: one budget a request, full-jitter backoff, and the server's own
//! wish where it states one.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::failure::Failure;

#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// All tries of one request together, whatever made them necessary.
    pub attempts_max: u32,
    /// The first wait is drawn from zero to this; the range doubles with each attempt.
    pub delay_base: Duration,
    pub delay_max: Duration,
    /// A server may ask for at most this long.
    pub retry_after_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts_max: 5,
            delay_base: Duration::from_secs(1),
            delay_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(120),
        }
    }
}

/// What is left of a request's tries and time.
pub(crate) struct Budget {
    policy: RetryPolicy,
    attempts: u32,
    pub(crate) deadline: Instant,
}

impl Budget {
    pub(crate) fn new(policy: &RetryPolicy, total: Duration) -> Self {
        Budget { policy: policy.clone(), attempts: 0, deadline: Instant::now() + total }
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts a failed attempt; the wait before the next, or `None` when there is none.
    pub(crate) fn after(&mut self, failure: &Failure) -> Option<Duration> {
        self.attempts += 1;
        if !failure.is_retryable() || self.attempts >= self.policy.attempts_max {
            return None;
        }
        let asked = failure.retry_after.unwrap_or_default().min(self.policy.retry_after_max);
        let wait = asked.max(self.policy.backoff(self.attempts, random_fraction()));
        // Waiting past the deadline helps nobody; waiting less than asked would anger the server.
        (Instant::now() + wait < self.deadline).then_some(wait)
    }
}

impl RetryPolicy {
    /// Full jitter: anywhere between nothing and the doubled base, so that many clients do not return together.
    fn backoff(&self, attempt: u32, fraction: f64) -> Duration {
        let doubled = self.delay_base.saturating_mul(1 << (attempt - 1).min(16));
        doubled.min(self.delay_max).mul_f64(fraction)
    }
}

/// The standard library seeds each `RandomState` anew; jitter needs no more than that.
fn random_fraction() -> f64 {
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}

/// `retry-after-ms`, or `Retry-After` in seconds or as a date (against the server's own `Date`, so that a wrong clock
/// here does no harm).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    if let Some(millis) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)).filter(|_| seconds >= 0.0);
    }
    let date = |name: &str| Some(jiff::fmt::rfc2822::parse(text(name)?).ok()?.timestamp());
    let (until, now) = (date("retry-after")?, date("date")?);
    Duration::try_from(until.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::failure::Class;
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn retry_after_in_all_its_spellings() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(&headers(&[("retry-after-ms", "250"), ("retry-after", "7")])),
            Some(Duration::from_millis(250))
        );
        let dated =
            headers(&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), ("date", "Wed, 21 Oct 2026 07:28:00 GMT")]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "-3")])), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "1e300")])), Some(Duration::MAX));
    }

    #[tokio::test]
    async fn the_budget_ends_and_an_absurd_wish_is_clipped() {
        let policy = RetryPolicy { attempts_max: 3, ..RetryPolicy::default() };
        let mut budget = Budget::new(&policy, Duration::from_secs(600));
        let absurd = Failure { retry_after: Some(Duration::MAX), ..Failure::new(Class::RateLimited, "") };
        assert_eq!(budget.after(&absurd), Some(policy.retry_after_max));
        assert!(budget.after(&Failure::transient("")).is_some_and(|wait| wait <= 2 * policy.delay_base));
        assert_eq!(budget.after(&Failure::transient("")), None);
    }

    #[tokio::test]
    async fn no_wait_beyond_the_deadline_and_none_for_final_failures() {
        let mut budget = Budget::new(&RetryPolicy::default(), Duration::from_secs(5));
        let patient = Failure { retry_after: Some(Duration::from_secs(60)), ..Failure::new(Class::RateLimited, "") };
        assert_eq!(budget.after(&patient), None);
        assert_eq!(budget.after(&Failure::new(Class::Authentication, "")), None);
    }

    #[test]
    fn backoff_doubles_up_to_its_maximum() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.backoff(1, 1.0), Duration::from_secs(1));
        assert_eq!(policy.backoff(3, 0.5), Duration::from_secs(2));
        assert_eq!(policy.backoff(40, 1.0), policy.delay_max);
    }
}
