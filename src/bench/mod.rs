//! Measurements on the user's own machine, beside the alternatives found there.
//!
//! What is compared runs in turns within one run: on a busy machine only ratios mean something.

mod calls;
pub mod endurance;
mod flood;
mod forks;
pub mod loops;
mod machine;
pub mod mini_swe_agent;
mod parallel;
pub mod parsers;
mod peers;
mod rivals;
pub mod sandbox;
mod starts;
pub mod steps;
pub mod table;

use std::time::Duration;

use serde::Serialize;

pub use machine::Machine;

/// Takes a line about the part that is being measured now.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// How long something took, over and over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    fn spread(mut self) -> Option<Spread> {
        self.0.sort_unstable();
        let at = |share: f64| {
            let index = ((self.0.len() as f64 * share).ceil() as usize).max(1) - 1;
            self.0.get(index).map(|sample| round(sample.as_secs_f64() * 1000.0, 3))
        };
        Some(Spread { n: self.0.len(), median_ms: at(0.5)?, p99_ms: at(0.99)? })
    }
}

/// The middle and the slow end of some samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub n: usize,
    pub median_ms: f64,
    pub p99_ms: f64,
}

/// One of the project's promises, and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Promise {
    pub what: &'static str,
    pub limit: f64,
    pub measured: f64,
    pub kept: bool,
}

impl Promise {
    fn at_most(what: &'static str, limit: f64, measured: f64) -> Self {
        Promise { what, limit, measured, kept: measured <= limit }
    }

    fn at_least(what: &'static str, limit: f64, measured: f64) -> Self {
        Promise { what, limit, measured, kept: measured >= limit }
    }
}

/// To as many decimals as a figure deserves.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_slow_end_are_samples_that_occurred() {
        let mut samples = Samples::default();
        (1..=200).rev().for_each(|ms| samples.push(Duration::from_millis(ms)));
        assert_eq!(samples.spread(), Some(Spread { n: 200, median_ms: 100.0, p99_ms: 198.0 }));
        assert_eq!(Samples::default().spread(), None);
    }

    #[test]
    fn a_promise_is_kept_up_to_its_limit() {
        assert!(Promise::at_most("a", 2.0, 2.0).kept && !Promise::at_most("a", 2.0, 2.1).kept);
        assert!(Promise::at_least("a", 0.5, 0.5).kept && !Promise::at_least("a", 0.5, 0.4).kept);
    }
}
