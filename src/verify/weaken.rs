//! What was done to a test file: deleted, skipped, emptied of assertions, told to expect something else.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Differing, Line, differing};
use crate::judgement::{Finding, Rule, Weight};

/// Of one file; the first say enough.
const FINDINGS_MAX: usize = 12;

static TEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*(async\s+)?def\s+test|\b(it|test)\s*\(\s*['`\x22]|#\[(tokio::)?test\b|^func\s+Test|@(Parameterized)?Test\b|\bTEST(_F|_P)?\s*\(",
    )
});
static ASSERTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\bassert|\bexpect\s*\(|\bt\.(Error|Fatal|Fail)|\bshould\b|\b(EXPECT|ASSERT|CHECK|REQUIRE)_?\w*\s*\(|\braises\s*\(|\bensure!",
    )
});
static SKIP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"mark\.skip|unittest\.skip|pytest\.skip|\bskipTest\b|SkipTest|importorskip|\.skip\s*\(|\.skip\b|\bxit\s*\(|\bxdescribe\b|\.todo\s*\(|\.only\s*\(|#\[ignore|\bt\.Skip|@Disabled|@Ignore\b|GTEST_SKIP|DISABLED_|__test__\s*=\s*False|skip\s*:\s*true|collect_ignore",
    )
});
static EXPECTED_FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"xfail|expectedFailure|should_panic|test\.failing|it\.fails|\btodo\s*:\s*true|expected_failure|pytest\.raises|assertRaises|assertThrows",
    )
});
static TIMEOUT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)time_?out"));
static SUPPRESSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"#\s*noqa|type:\s*ignore|eslint-disable|@ts-ignore|@ts-nocheck|@ts-expect-error|#!?\[allow\(|@SuppressWarnings|//\s*nolint|NOLINT|pylint:\s*disable|clang-format off",
    )
});
static COVERAGE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"pragma:\s*no cover|istanbul ignore|c8 ignore|v8 ignore|LCOV_EXCL|coverage\(off\)|\bomit\s*=")
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a literal")
}

/// What the difference between the two texts does to the tests in them. Never empty where they differ.
pub(super) fn weakened(file: &str, before: &str, after: &str, weight: Weight) -> Vec<Finding> {
    let differs = differing(before, after);
    let finding = |rule, message: &str| Finding { weight, ..Finding::objection(rule, message) }.at(file, differs.first);
    let on = |line: &Line<'_>, rule, message: &str| finding(rule, message).at(file, line.number).quoting(line.text);
    let mut found = Vec::new();
    let tests = |text: &str| text.lines().filter(|line| TEST.is_match(line)).count();
    let (had, has) = (tests(before), tests(after));
    if has < had {
        let first = differs.removed.iter().find(|line| TEST.is_match(line.text));
        let message = format!("{} of {had} tests removed", had - has);
        found.extend(first.map(|line| on(line, Rule::TestDeleted, &message)));
    }
    for line in &differs.added {
        let text = line.text;
        if SKIP.is_match(text) {
            found.push(on(line, Rule::TestSkipped, "tests are skipped here now"));
        } else if EXPECTED_FAILURE.is_match(text) {
            found.push(on(line, Rule::ExpectedFailure, "a failure is expected here now"));
        } else if COVERAGE.is_match(text) {
            found.push(on(line, Rule::CoverageExclusion, "left out of the coverage now"));
        } else if TIMEOUT.is_match(text) {
            found.push(on(line, Rule::TimeoutChanged, "a timeout was changed"));
        }
    }
    found.extend(assertions(&differs, &on));
    if found.is_empty() {
        let quoted = differs.added.first().or(differs.removed.first()).map_or("", |line| line.text);
        found.push(finding(Rule::ProtectedChanged, "the test was changed").quoting(quoted));
    }
    found.truncate(FINDINGS_MAX);
    found
}

/// Pairs of assertions in their order were changed; what is left over was removed.
fn assertions(differs: &Differing<'_>, on: &impl Fn(&Line<'_>, Rule, &str) -> Finding) -> Vec<Finding> {
    let asserts = |lines: &[Line<'_>]| -> Vec<(u32, String)> {
        let some = lines.iter().filter(|line| ASSERTION.is_match(line.text));
        some.map(|line| (line.number, line.text.trim().to_owned())).collect()
    };
    let (removed, added) = (asserts(&differs.removed), asserts(&differs.added));
    let mut found = Vec::new();
    for (index, (number, text)) in removed.iter().enumerate() {
        found.push(match added.get(index) {
            Some((now, other)) => {
                let line = Line { number: *now, text: other };
                on(&line, Rule::ExpectedChanged, &format!("what is asserted was changed, from `{text}`"))
            }
            None => on(&Line { number: *number, text }, Rule::AssertionRemoved, "an assertion was removed"),
        });
    }
    found
}

/// Comments that switch a tool off where they stand: for the reader of a patch.
pub(super) fn suppressions(file: &str, before: &str, after: &str) -> Vec<Finding> {
    let added = differing(before, after).added;
    let found = added.iter().filter_map(|line| {
        let (rule, message) = match line.text {
            text if COVERAGE.is_match(text) => (Rule::CoverageExclusion, "left out of the coverage"),
            text if SUPPRESSION.is_match(text) => (Rule::Suppression, "a tool is told to look away"),
            _ => return None,
        };
        Some(Finding::note(rule, message).at(file, line.number).quoting(line.text))
    });
    found.take(FINDINGS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(before: &str, after: &str) -> Vec<(Rule, Option<u32>)> {
        let found = weakened("tests/test_a.py", before, after, Weight::Objection);
        found.into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    const TEST: &str = "def test_a():\n    assert add(2, 3) == 5\n    assert add(0, 0) == 0\n";

    #[test]
    fn each_way_of_weakening_a_test_has_its_name_and_line() {
        assert_eq!(
            rules(TEST, ""),
            [(Rule::TestDeleted, Some(1)), (Rule::AssertionRemoved, Some(2)), (Rule::AssertionRemoved, Some(3)),]
        );
        assert_eq!(rules(TEST, &TEST.replace("== 5", "== -1")), [(Rule::ExpectedChanged, Some(2))]);
        assert_eq!(rules(TEST, &format!("@pytest.mark.skip\n{TEST}")), [(Rule::TestSkipped, Some(1))]);
        assert_eq!(rules(TEST, &format!("@pytest.mark.xfail\n{TEST}")), [(Rule::ExpectedFailure, Some(1))]);
        assert_eq!(rules(TEST, "def test_a():\n    assert add(2, 3) == 5\n"), [(Rule::AssertionRemoved, Some(3))]);
        assert_eq!(rules("TIMEOUT = 1\n", "TIMEOUT = 900\n"), [(Rule::TimeoutChanged, Some(1))]);
        assert_eq!(rules(TEST, &format!("import calc\n{TEST}")), [(Rule::ProtectedChanged, Some(1))]);
    }

    #[test]
    fn a_tool_that_is_told_to_look_away_is_noted() {
        let found = suppressions("a.py", "x = 1\n", "x = 1  # noqa\ny = 2  # pragma: no cover\n");
        let rules: Vec<_> = found.iter().map(|finding| (finding.rule, finding.line)).collect();
        assert_eq!(rules, [(Rule::Suppression, Some(1)), (Rule::CoverageExclusion, Some(2))]);
    }
}
