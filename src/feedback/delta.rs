//! What changed since last time: each finding against the run before and against the baseline.

use std::collections::HashSet;

use greenroom_parsers::Report;

use super::findings::{findings, test_key};

/// How a finding relates to what was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    New,
    /// Was there last time too.
    Still,
    /// Was there before the agent touched anything.
    PreExisting,
    /// A test that was seen to fail and to pass with nothing changed in between.
    Unsteady,
}

impl Mark {
    pub fn word(self) -> &'static str {
        match self {
            Mark::New => "new",
            Mark::Still => "still failing",
            Mark::PreExisting => "pre-existing",
            Mark::Unsteady => "unsteady: fails and passes with nothing changed",
        }
    }
}

/// The keys of what was seen before.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    baseline: HashSet<String>,
    last: Option<HashSet<String>>,
    unsteady: HashSet<String>,
}

impl Delta {
    /// `last` is the newest run after the baseline, if there was one.
    pub fn new(baseline: &[&Report], last: Option<&[&Report]>) -> Self {
        Delta { baseline: keys(baseline), last: last.map(keys), unsteady: HashSet::new() }
    }

    /// With ids of tests that are known to be so.
    pub fn with_unsteady<'a>(mut self, ids: impl IntoIterator<Item = &'a String>) -> Self {
        self.unsteady.extend(ids.into_iter().map(|id| test_key(id)));
        self
    }

    pub fn mark(&self, key: &str) -> Mark {
        if self.unsteady.contains(key) {
            return Mark::Unsteady;
        }
        match &self.last {
            Some(last) if last.contains(key) => Mark::Still,
            Some(_) if self.baseline.contains(key) => Mark::PreExisting,
            Some(_) => Mark::New,
            None if self.baseline.contains(key) => Mark::PreExisting,
            None => Mark::New,
        }
    }

    /// Findings of the run before that are not in `now`; `None` on the first run.
    pub fn fixed(&self, now: &[&Report]) -> usize {
        let now = keys(now);
        self.last.as_ref().unwrap_or(&self.baseline).difference(&now).count()
    }
}

fn keys(reports: &[&Report]) -> HashSet<String> {
    reports.iter().flat_map(|report| findings(report)).map(|finding| finding.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_parsers::{TestCase, TestStatus};

    fn failing(ids: &[&str]) -> Report {
        let test = |id: &&str| TestCase { id: (*id).into(), status: TestStatus::Failed, ..TestCase::default() };
        Report { tests: ids.iter().map(test).collect(), ..Report::default() }
    }

    #[test]
    fn findings_are_told_apart_by_when_they_appeared() {
        let (baseline, last, now) = (failing(&["a", "b"]), failing(&["b", "c"]), failing(&["a", "c", "d"]));
        let delta = Delta::new(&[&baseline], Some(&[&last]));
        let marks: Vec<Mark> = findings(&now).iter().map(|finding| delta.mark(&finding.key)).collect();
        assert_eq!(marks, [Mark::PreExisting, Mark::Still, Mark::New]);
        assert_eq!(delta.fixed(&[&now]), 1, "b is gone");
        let delta = delta.with_unsteady(&["c".to_owned()]);
        assert_eq!(findings(&now).iter().filter(|finding| delta.mark(&finding.key) == Mark::Unsteady).count(), 1);
    }
}
