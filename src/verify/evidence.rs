//! What the runner told, held against the baseline: an exit status of 0 is a claim, tests that were seen are evidence.

use greenroom_parsers::{TestStatus, Verdict};

use crate::feedback;
use crate::judgement::{Finding, Rule, TestsSeen, Weight, stands_for};
use crate::task::CheckResult;

/// Of tests of one check; the rest is counted.
const NAMED_MAX: usize = 5;

/// Whether a parser reads a test runner, which speaks of tests one by one or by number.
pub(super) fn is_runner(tool: &str) -> bool {
    const RUNNERS: [&str; 22] = [
        "pytest",
        "pytest-json",
        "unittest",
        "libtest",
        "libtest-json",
        "nextest",
        "go-test",
        "go-test-json",
        "jest",
        "vitest",
        "mocha",
        "node-test",
        "tap",
        "junit",
        "junit-console",
        "maven",
        "gradle",
        "ctest",
        "googletest",
        "rspec",
        "phpunit",
        "dotnet-test",
    ];
    RUNNERS.contains(&tool)
}

/// What is wrong with a check that exited with 0, or where a red one fails. `seen` is what its runner told in full.
pub(super) fn judge(
    result: &CheckResult,
    seen: &TestsSeen,
    before: Option<&TestsSeen>,
    tests_may_differ: bool,
) -> Vec<Finding> {
    let command = &result.check.command;
    if !result.passed() {
        let found = feedback::findings(&result.report);
        let first = found.iter().find(|finding| finding.file.is_some()).or(found.first());
        let message = format!("`{command}` fails: {}", result.outcome);
        let red = Finding::objection(Rule::CheckRed, message);
        return vec![match first {
            Some(first) => {
                let red = red.quoting(first.message.lines().next().unwrap_or_default());
                match &first.file {
                    Some(file) => red.at(file.trim_start_matches("/workspace/"), first.line),
                    None => red,
                }
            }
            None => red,
        }];
    }
    let ran_tests = |seen: &TestsSeen| seen.executed > 0 && seen.tools.iter().any(|tool| is_runner(tool));
    let mut found = Vec::new();
    let had_tests = before.is_some_and(ran_tests);
    if (had_tests || seen.tools.iter().any(|tool| is_runner(tool))) && result.report.verdict != Verdict::Passed {
        let message = format!("`{command}` exited with 0, but its test runner did not say that anything passed");
        found.push(Finding::objection(Rule::NoEvidence, message));
    }
    let Some(before) = before.filter(|before| ran_tests(before)) else { return found };
    let weight = if tests_may_differ { Weight::Note } else { Weight::Objection };
    let objection = |rule, message: String| Finding { weight, ..Finding::objection(rule, message) };
    if seen.executed < before.executed {
        let message = format!("`{command}` ran {} tests, {} before the run", seen.executed, before.executed);
        found.push(objection(Rule::TestMissing, message));
    }
    if seen.skipped > before.skipped {
        let message = format!("`{command}` skipped {} tests, {} before the run", seen.skipped, before.skipped);
        found.push(objection(Rule::TestSkipped, message));
    }
    found.extend(by_id(seen, before, &objection));
    found
}

/// Where the runner names those that pass, each that was there must be there again, and must have passed.
fn by_id(seen: &TestsSeen, before: &TestsSeen, objection: &impl Fn(Rule, String) -> Finding) -> Vec<Finding> {
    let names_passed = |seen: &TestsSeen| seen.listed.values().any(|status| *status == TestStatus::Passed);
    let ran = |status: TestStatus| !matches!(status, TestStatus::Skipped | TestStatus::NotRun);
    if !names_passed(seen) {
        return Vec::new();
    }
    let mut found = Vec::new();
    // A file that could not be collected has the name of no test.
    let are_tests = names_passed(before);
    for (id, status) in before.listed.iter().filter(|(id, status)| ran(**status) && !before.flaky.contains(*id)) {
        let in_passing_suite =
            || seen.listed.iter().any(|(suite, status)| *status == TestStatus::Passed && stands_for(suite, id));
        match seen.listed.get(id) {
            None if in_passing_suite() => {}
            None if are_tests && *status != TestStatus::Error => {
                found.push(objection(Rule::TestMissing, format!("the test `{id}` does not run any more")));
            }
            None => {}
            Some(TestStatus::Skipped | TestStatus::NotRun) => {
                found.push(objection(Rule::TestSkipped, format!("the test `{id}` is skipped now")));
            }
            Some(TestStatus::Xfailed) if *status != TestStatus::Xfailed => {
                found.push(objection(Rule::ExpectedFailure, format!("the test `{id}` is expected to fail now")));
            }
            Some(
                TestStatus::Passed
                | TestStatus::Failed
                | TestStatus::Error
                | TestStatus::Xfailed
                | TestStatus::Xpassed
                | TestStatus::Timeout,
            ) => {}
        }
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    found.truncate(NAMED_MAX);
    if more > 0 {
        found.push(objection(Rule::TestMissing, format!("and {more} tests more")));
    }
    found
}

/// Whether a red check fails only by tests that are known to be unsteady.
pub(super) fn only_flaky(seen: &TestsSeen, before: Option<&TestsSeen>) -> bool {
    let Some(before) = before else { return false };
    let failing = |status: &TestStatus| matches!(status, TestStatus::Failed | TestStatus::Error | TestStatus::Timeout);
    let mut failed = seen.listed.iter().filter(|(_, status)| failing(status)).peekable();
    failed.peek().is_some() && failed.all(|(id, _)| before.flaky.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::BlobId;
    use crate::task::{Check, Outcome};
    use greenroom_parsers::Report;

    fn result(verdict: Verdict) -> CheckResult {
        CheckResult {
            check: Check { command: "pytest".into() },
            outcome: Outcome::Exited { code: 0 },
            duration_ms: 1,
            report: Report { verdict, ..Report::default() },
            output: BlobId::of(b""),
            tail: String::new(),
        }
    }

    fn seen(tests: &[(&str, TestStatus)]) -> TestsSeen {
        let listed = tests.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect();
        let skipped = tests.iter().filter(|(_, status)| *status == TestStatus::Skipped).count() as u64;
        let executed = tests.len() as u64 - skipped;
        TestsSeen { tools: vec!["pytest".into()], listed, executed, skipped, ..TestsSeen::default() }
    }

    fn rules(verdict: Verdict, now: &TestsSeen, before: &TestsSeen) -> Vec<Rule> {
        judge(&result(verdict), now, Some(before), false).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn exit_0_alone_is_not_enough_where_a_runner_spoke_before() {
        let before = seen(&[("a", TestStatus::Failed)]);
        let silent = TestsSeen::default();
        assert_eq!(rules(Verdict::Unknown, &silent, &before), [Rule::NoEvidence, Rule::TestMissing]);
        assert_eq!(rules(Verdict::Unknown, &silent, &silent), [], "a script has nothing to say");
    }

    #[test]
    fn a_test_that_is_gone_or_skipped_is_missed() {
        let before = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Failed)]);
        let both = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Passed)]);
        assert_eq!(rules(Verdict::Passed, &both, &before), []);
        let other = seen(&[("a", TestStatus::Passed), ("c", TestStatus::Passed)]);
        assert_eq!(rules(Verdict::Passed, &other, &before), [Rule::TestMissing]);
        let skipped = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Skipped)]);
        assert_eq!(
            rules(Verdict::Passed, &skipped, &before),
            [Rule::TestMissing, Rule::TestSkipped, Rule::TestSkipped]
        );
    }

    #[test]
    fn a_test_of_a_package_that_passes_as_a_whole_is_not_missed() {
        let before = seen(&[("x.io/a", TestStatus::Passed), ("x.io/b::TestB", TestStatus::Failed)]);
        let after = seen(&[("x.io/a", TestStatus::Passed), ("x.io/b", TestStatus::Passed)]);
        assert_eq!(rules(Verdict::Passed, &after, &before), []);
        let other = seen(&[("x.io/a", TestStatus::Passed), ("x.io/bc", TestStatus::Passed)]);
        assert_eq!(rules(Verdict::Passed, &other, &before), [Rule::TestMissing]);
    }

    #[test]
    fn a_flaky_test_is_not_missed_and_its_failure_is_told_apart() {
        let mut before = seen(&[("a", TestStatus::Passed), ("b", TestStatus::Passed)]);
        before.flaky.insert("b".into());
        before.executed = 1;
        assert_eq!(rules(Verdict::Passed, &seen(&[("a", TestStatus::Passed)]), &before), []);
        assert!(only_flaky(&seen(&[("b", TestStatus::Failed)]), Some(&before)));
        assert!(!only_flaky(&seen(&[("a", TestStatus::Failed), ("b", TestStatus::Failed)]), Some(&before)));
        assert!(!only_flaky(&seen(&[]), Some(&before)));
    }
}
