//! A report small enough for the journal: everything that failed, counts exact, the rest left to the blob.

use greenroom_parsers::{Report, Severity, TestStatus};

const DIAGNOSTICS_MAX: usize = 200;
const TESTS_MAX: usize = 500;
const TRACES_MAX: usize = 50;
const METRICS_MAX: usize = 200;

/// Keeps failing tests and errors before passing tests and warnings, each in its own order.
pub fn compact(report: &Report) -> Report {
    let mut small = report.clone();
    let listed = small.diagnostics.len() + small.tests.len() + small.traces.len() + small.metrics.len();
    keep(&mut small.diagnostics, DIAGNOSTICS_MAX, |diagnostic| {
        matches!(diagnostic.severity, Some(Severity::Error) | None)
    });
    keep(&mut small.tests, TESTS_MAX, |test| match test.status {
        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout | TestStatus::Xpassed => true,
        TestStatus::Passed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => false,
    });
    small.traces.truncate(TRACES_MAX);
    keep(&mut small.metrics, METRICS_MAX, |metric| metric.file.is_none());
    let kept = small.diagnostics.len() + small.tests.len() + small.traces.len() + small.metrics.len();
    small.unlisted += (listed - kept) as u64;
    small
}

/// Drops unimportant items first; order stays.
fn keep<T>(items: &mut Vec<T>, max: usize, important: impl Fn(&T) -> bool) {
    let mut room_for_others = max.saturating_sub(items.iter().filter(|item| important(item)).count());
    items.retain(|item| {
        important(item) || {
            let fits = room_for_others > 0;
            room_for_others = room_for_others.saturating_sub(1);
            fits
        }
    });
    items.truncate(max);
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_parsers::TestCase;

    #[test]
    fn a_failing_test_behind_a_thousand_passing_ones_is_kept() {
        let mut report = Report::default();
        for n in 0..1000 {
            report.tests.push(TestCase { id: n.to_string(), status: TestStatus::Passed, ..TestCase::default() });
        }
        report.tests.push(TestCase { id: "last".into(), status: TestStatus::Failed, ..TestCase::default() });
        let small = compact(&report);
        assert_eq!(small.tests.len(), TESTS_MAX);
        assert_eq!(small.tests.last().map(|test| test.id.as_str()), Some("last"));
        assert_eq!(small.unlisted, 501);
    }
}
