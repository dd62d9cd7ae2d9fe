//! What each dialect's attributes say of a test and of a suite.

use super::Totals;
use crate::TestStatus;
use crate::tools::xml::Tag;

/// The status from the test's own attributes; in plain JUnit the elements inside it decide.
pub(super) fn of_case(tag: Tag<'_>) -> TestStatus {
    let is = |name: &str, values: &[&str]| {
        tag.get(name).is_some_and(|value| values.iter().any(|wanted| value.eq_ignore_ascii_case(wanted)))
    };
    match tag.name {
        "UnitTestResult" => match tag.get("outcome").as_deref() {
            Some("Passed" | "PassedButRunAborted" | "Warning" | "Completed") => TestStatus::Passed,
            Some("Failed") => TestStatus::Failed,
            Some("Timeout") => TestStatus::Timeout,
            Some("NotExecuted" | "NotRunnable" | "Disconnected" | "Inconclusive" | "Pending") => TestStatus::Skipped,
            Some(_) | None => TestStatus::Error,
        },
        // NUnit and xUnit.net
        "test-case" | "test" => {
            if is("executed", &["false"])
                || is("result", &["skip", "skipped", "ignored", "inconclusive", "notrun", "notrunnable"])
            {
                TestStatus::Skipped
            } else if is("label", &["error"]) || is("result", &["error"]) {
                TestStatus::Error
            } else if is("success", &["false"]) || is("result", &["fail", "failed", "failure"]) {
                TestStatus::Failed
            } else {
                TestStatus::Passed
            }
        }
        _ if is("status", &["notrun", "skipped", "disabled", "ignored", "pending", "todo"])
            || is("result", &["skipped", "suppressed"]) =>
        {
            TestStatus::Skipped
        }
        _ if is("status", &["error"]) => TestStatus::Error,
        _ if is("status", &["failed", "fail", "failure"]) => TestStatus::Failed,
        _ => TestStatus::Passed,
    }
}

pub(super) fn class(tag: Tag<'_>) -> String {
    ["classname", "class", "type"].into_iter().find_map(|name| tag.get(name)).map(String::from).unwrap_or_default()
}

/// Seconds, or TRX's `00:00:00.0123456`.
pub(super) fn duration_ms(tag: Tag<'_>) -> Option<f64> {
    let value = tag.get("time").or_else(|| tag.get("duration"))?;
    let mut seconds = 0.0;
    // Some write thousands with a comma.
    for part in value.trim().replace(',', "").split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds * 1_000.0)
}

/// The totals a suite's own attributes give.
pub(super) fn totals(tag: Tag<'_>) -> Option<Totals> {
    let sum = |names: &[&str]| names.iter().filter_map(|name| tag.number(name)).fold(0, u64::saturating_add);
    let tests = tag.number("tests").or_else(|| tag.number("total"))?;
    Some(match tag.name {
        // NUnit 2 leaves tests that were not run out of its total in some versions and has them in it in others.
        "test-results" => Totals {
            tests,
            failed: sum(&["failures"]),
            errors: sum(&["errors"]),
            skipped: sum(&["not-run", "inconclusive"]).min(tests),
            ..Totals::default()
        },
        "test-run" | "assembly" => Totals {
            tests,
            failed: sum(&["failed"]),
            errors: sum(&["errors"]),
            skipped: sum(&["skipped", "inconclusive", "not-run"]),
            ..Totals::default()
        },
        _ => Totals {
            tests,
            failed: sum(&["failures"]),
            errors: sum(&["errors"]),
            skipped: sum(&["skipped", "skip", "disabled", "ignored"]),
            ..Totals::default()
        },
    })
}

/// TRX's `<Counters>`.
pub(super) fn trx_totals(tag: Tag<'_>) -> Option<Totals> {
    let count = |name: &str| tag.number(name).unwrap_or(0);
    let tests = tag.number("total")?;
    let failed = count("failed").saturating_add(count("timeout"));
    let errors = count("error").saturating_add(count("aborted"));
    let passed = count("passed").saturating_add(count("warning"));
    let skipped = tests.saturating_sub(failed).saturating_sub(errors).saturating_sub(passed);
    Some(Totals { tests, failed, errors, skipped, ..Totals::default() })
}

impl Totals {
    pub(super) fn add(&mut self, more: Self) {
        self.tests = self.tests.saturating_add(more.tests);
        self.failed = self.failed.saturating_add(more.failed);
        self.errors = self.errors.saturating_add(more.errors);
        self.skipped = self.skipped.saturating_add(more.skipped);
    }

    pub(super) fn count(&mut self, status: TestStatus) {
        self.tests += 1;
        match status {
            TestStatus::Failed | TestStatus::Timeout => self.failed += 1,
            TestStatus::Error => self.errors += 1,
            TestStatus::Skipped | TestStatus::NotRun => self.skipped += 1,
            TestStatus::Xfailed => self.xfailed += 1,
            TestStatus::Passed | TestStatus::Xpassed => {}
        }
    }

    pub(super) fn passed(&self) -> u64 {
        self.tests - self.failed - self.errors - self.skipped - self.xfailed
    }
}
