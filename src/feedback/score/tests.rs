#![allow(clippy::unwrap_used)]

use greenroom_parsers::{Diagnostic, MetricKind, Severity, TestCase, TestStatus, Verdict};
use proptest::prelude::*;

use super::*;
use crate::id::BlobId;
use crate::score::Forbidden;
use crate::task::{Check, Outcome};

fn check(report: Report, code: i32) -> CheckResult {
    CheckResult {
        check: Check { command: "pytest".into() },
        outcome: Outcome::Exited { code },
        duration_ms: 1,
        report,
        output: BlobId::of(b""),
        tail: String::new(),
    }
}

/// Tests by name, `+` passes, `-` fails, `~` is skipped.
fn ran(tests: &[&str]) -> CheckResult {
    let mut report = Report { tools: vec!["pytest".into()], verdict: Verdict::Passed, ..Report::default() };
    for test in tests {
        let (sign, id) = test.split_at(1);
        let status = match sign {
            "+" => TestStatus::Passed,
            "-" => TestStatus::Failed,
            _ => TestStatus::Skipped,
        };
        report.summary.passed += u64::from(status == TestStatus::Passed);
        report.summary.failed += u64::from(status == TestStatus::Failed);
        report.summary.skipped += u64::from(status == TestStatus::Skipped);
        report.tests.push(TestCase { id: id.into(), status, ..TestCase::default() });
    }
    let red = report.summary.failed > 0;
    report.verdict = if red { Verdict::Failed } else { Verdict::Passed };
    check(report, i32::from(red))
}

/// As `pytest -q` prints it: what passed has no names.
fn quiet(tests: &[&str]) -> CheckResult {
    let mut check = ran(tests);
    check.report.tests.retain(|test| test.status == TestStatus::Failed);
    check
}

struct Case {
    baseline: Vec<CheckResult>,
    checks: Vec<CheckResult>,
    files: Vec<ChangedFile>,
    coverage: Vec<Metric>,
    rules: StyleRules,
    last: Option<Score>,
}

fn case(baseline: CheckResult, now: CheckResult) -> Case {
    let (baseline, checks) = (vec![baseline], vec![now]);
    Case { baseline, checks, files: Vec::new(), coverage: Vec::new(), rules: StyleRules::default(), last: None }
}

impl Case {
    fn score(&self) -> Score {
        score(&Measured {
            checks: &self.checks,
            baseline: &self.baseline,
            files: &self.files,
            files_left_out: 0,
            coverage: &self.coverage,
            reports_seen: true,
            rules: &self.rules,
            last: self.last.as_ref(),
        })
    }

    fn part(&self, name: PartName) -> Part {
        self.score().part(name).unwrap().clone()
    }
}

fn tests_value(baseline: &[&str], now: &[&str]) -> Option<f64> {
    case(ran(baseline), ran(now)).part(PartName::Tests).value
}

fn file(path: &str, before: Option<&str>, after: Option<&str>) -> ChangedFile {
    let text = |text: Option<&str>| text.map(str::to_owned);
    ChangedFile { path: path.into(), before: text(before), after: text(after), ..ChangedFile::default() }
}

fn function(name: &str, cyclomatic: u32, cognitive: u32) -> Function {
    let hash = format!("{name}{cyclomatic}{cognitive}");
    Function { name: name.into(), line: 1, end_line: 9, cyclomatic, cognitive, hash }
}

fn with_functions(before: Vec<Function>, after: Vec<Function>) -> ChangedFile {
    let file = file("a.py", Some("x\n"), Some("y\n"));
    ChangedFile { functions_before: Some(before), functions_after: Some(after), ..file }
}

#[test]
fn tests_by_hand() {
    // 1 still fails (2 against), 1 passes: 1 of 3.
    assert_eq!(tests_value(&["+a", "-b"], &["+a", "-b"]), Some(33.3));
    // What was red and is green counts twice: all for it.
    assert_eq!(tests_value(&["+a", "-b"], &["+a", "+b"]), Some(100.0));
    // One fixed (2), one broken (3 against): 2 of 5.
    assert_eq!(tests_value(&["+a", "-b"], &["-a", "+b"]), Some(40.0));
    // A new test that fails counts once: 1 of 2.
    assert_eq!(tests_value(&["+a"], &["+a", "-new"]), Some(50.0));
    // Gone: 1 passes, 3 against.
    assert_eq!(tests_value(&["+a", "-b"], &["+a"]), Some(25.0));
    assert_eq!(tests_value(&["+a", "-b"], &["+a", "~b"]), Some(25.0), "skipping is no cure");
}

#[test]
fn a_deleted_test_is_worth_less_than_a_failing_one_and_new_ones_do_not_hide_it() {
    let honest = tests_value(&["+a", "-b"], &["+a", "-b"]).unwrap();
    assert!(tests_value(&["+a", "-b"], &["+a"]).unwrap() < honest);
    assert!(tests_value(&["+a", "-b"], &["+a", "+c"]).unwrap() < 100.0);
    let hidden = case(quiet(&["+a", "+b", "-c"]), quiet(&["+a", "+b"])).part(PartName::Tests);
    assert_eq!(hidden.value, Some(40.0), "2 pass, one of three is gone: {}", hidden.why);
}

#[test]
fn where_nothing_is_named_a_red_test_is_not_taken_for_new() {
    let part = case(quiet(&["+a", "+b"]), quiet(&["+a", "-b"])).part(PartName::Tests);
    assert_eq!((part.value, part.facts.len()), (Some(25.0), 1), "{part:?}");
    assert!(part.why.contains("1 broken"), "{}", part.why);
}

#[test]
fn no_tests_is_not_measured_and_none_any_more_is_nothing() {
    let silent = || check(Report::default(), 0);
    assert_eq!(case(silent(), silent()).part(PartName::Tests).value, None);
    let gone = case(ran(&["+a", "+b"]), silent()).part(PartName::Tests);
    assert_eq!((gone.value, gone.why.as_str()), (Some(0.0), "0 of 0 tests pass, 2 gone or skipped since the baseline"));
}

#[test]
fn a_red_check_holds_the_score_down_whatever_else_is_fine() {
    let green = case(ran(&["+a"]), ran(&["+a"])).score();
    assert_eq!((green.total, green.red), (Some(100.0), false));
    let mut red = case(ran(&["+a"]), ran(&["+a"]));
    red.checks[0].outcome = Outcome::Exited { code: 1 };
    let red = red.score();
    assert!(red.total.unwrap() <= RED_MAX && red.red, "{red:?}");
}

fn metric(file: Option<&str>, covered: u64, total: u64, missing: &[(u32, u32)]) -> Metric {
    Metric {
        source: "lcov".into(),
        kind: MetricKind::Lines,
        file: file.map(str::to_owned),
        percent: None,
        covered: Some(covered),
        total: Some(total),
        missing_lines: missing.to_vec(),
    }
}

#[test]
fn coverage_by_hand() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    assert_eq!(case.part(PartName::Coverage).value, None);
    // Lines 2, 3, 4 and 6 are new; 5 is a comment. 3 and 4 are not run: 2 of 4, and 80 % of everything.
    let after = "old = 1\na = 1\nb = 2\nc = 3\n# why\nd = 4\n";
    case.files = vec![file("pkg/a.py", Some("old = 1\n"), Some(after))];
    case.coverage = vec![metric(Some("/workspace/pkg/a.py"), 3, 5, &[(3, 4)]), metric(None, 8, 10, &[])];
    let part = case.part(PartName::Coverage);
    assert_eq!(part.value, Some(59.0), "0.7 × 50 + 0.3 × 80");
    assert_eq!(part.facts[0].line, Some(3));
    assert_eq!(part.facts[0].text, "changed lines 3 to 4: no test runs it");
    // A deleted file has no changed lines.
    case.files = vec![file("pkg/a.py", Some("old = 1\n"), None)];
    assert_eq!(case.part(PartName::Coverage).value, Some(80.0));
}

#[test]
fn a_coverage_that_is_not_measured_any_more_is_worth_nothing() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    case.coverage = vec![metric(None, 9, 10, &[])];
    case.last = Some(case.score());
    case.coverage.clear();
    let part = case.part(PartName::Coverage);
    assert_eq!(part.value, Some(0.0));
    assert!(part.why.starts_with("it was measured before"), "{}", part.why);
}

#[test]
fn complexity_by_hand() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    assert_eq!(case.part(PartName::Complexity).value, None);
    // Cognitive 3 → 13: growth 10, within the limits. 100 × 50 / 60.
    case.files = vec![with_functions(vec![function("f", 4, 3)], vec![function("f", 9, 13)])];
    let part = case.part(PartName::Complexity);
    assert_eq!((part.value, part.facts[0].text.as_str()), (Some(83.3), "`f` cyclomatic 4 → 9, cognitive 3 → 13"));
    // Beyond: cyclomatic 2 and cognitive 5 over, twice, and growth 17: 100 × 50 / (50 + 14 + 17).
    case.files = vec![with_functions(vec![function("f", 4, 3)], vec![function("f", 12, 20)])];
    assert_eq!(case.part(PartName::Complexity).value, Some(61.7));
    // A deleted file makes nothing harder.
    let gone = ChangedFile { functions_before: Some(vec![function("f", 9, 9)]), ..file("a.py", Some("x\n"), None) };
    case.files = vec![gone];
    assert_eq!(case.part(PartName::Complexity).value, Some(100.0));
}

#[test]
fn moving_complexity_gains_nothing() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    case.files = vec![with_functions(vec![], vec![function("f", 9, 14)])];
    let whole = case.part(PartName::Complexity).value;
    case.files = vec![with_functions(vec![], vec![function("f", 5, 7), function("g", 5, 7)])];
    assert_eq!(case.part(PartName::Complexity).value, whole, "into a new function");
    let (from, to) =
        (with_functions(vec![function("f", 9, 14)], vec![]), with_functions(vec![], vec![function("f", 9, 14)]));
    case.files = vec![from, to];
    assert_eq!(case.part(PartName::Complexity).value, Some(100.0), "into another file: as it was");
}

#[test]
fn style_by_hand() {
    let finding = |rule: &str, severity| Diagnostic {
        source: "ruff".into(),
        severity: Some(severity),
        code: Some(rule.into()),
        fingerprint: rule.into(),
        ..Diagnostic::default()
    };
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    assert_eq!(case.part(PartName::Style).value, None);
    for checks in [&mut case.baseline, &mut case.checks] {
        checks[0].report.tools.push("ruff".into());
        checks[0].report.diagnostics.push(finding("E1", Severity::Error));
    }
    assert_eq!(case.part(PartName::Style).value, Some(100.0), "what was there is not the patch's");
    // An error and a warning are new: 4 points. 100 × 10 / 14.
    case.checks[0].report.diagnostics.extend([finding("E2", Severity::Error), finding("W1", Severity::Warning)]);
    assert_eq!(case.part(PartName::Style).value, Some(71.4));
    // Silencing them instead costs more: two switches, 6 points.
    case.checks[0].report.diagnostics.truncate(1);
    case.files = vec![file("a.py", Some(""), Some("x = 1  # noqa\ny = 2  # type: ignore\n"))];
    let part = case.part(PartName::Style);
    assert_eq!((part.value, part.facts[0].line), (Some(62.5), Some(1)));
}

#[test]
fn the_users_rules_by_hand() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    case.rules = StyleRules {
        line_length_max: Some(10),
        function_lines_max: Some(5),
        function_names: Some("^[a-z_]+$".into()),
        forbid: vec![Forbidden { pattern: "^from db".into(), files: Some("ui/**".into()), message: None }],
    };
    let text = "from db import x\nok = 1\n";
    let functions = Some(vec![function("A.BadName", 1, 0)]);
    let inside = ChangedFile { functions_after: functions, ..file("ui/a.py", None, Some(text)) };
    case.files = vec![inside, file("db/b.py", None, Some("from db\n"))];
    let part = case.part(PartName::Style);
    // A long line, a forbidden import, a function of 9 lines, a bad name: 8 points.
    assert_eq!((part.value, part.facts.len()), (Some(55.6), 4), "{part:?}");
    assert!(check_rules(&StyleRules { function_names: Some("(".into()), ..StyleRules::default() }).is_err());
}

#[test]
fn size_by_hand() {
    let mut case = case(ran(&["+a"]), ran(&["+a"]));
    assert_eq!(case.part(PartName::Size).value, Some(100.0));
    case.files = vec![file("a", Some("1\n2\n"), Some("1\n3\n4\n")), file("b", Some("x\n"), None)];
    let part = case.part(PartName::Size);
    assert_eq!((part.value, part.why.as_str()), (Some(99.0), "2 files changed, +2 -2 lines"));
    case.files = vec![ChangedFile { opaque: true, ..file("c.png", None, None) }];
    assert_eq!(case.part(PartName::Size).value, Some(80.0));
}

#[test]
fn what_the_model_reads_has_file_line_and_change() {
    let mut case = case(ran(&["+a", "-b"]), ran(&["+a", "-b"]));
    case.last = Some(case.score());
    let last = case.last.clone();
    case.checks = vec![ran(&["+a", "+b"])];
    case.files = vec![with_functions(vec![function("f", 1, 0)], vec![function("f", 4, 6)])];
    insta::assert_snapshot!(render(&case.score(), last.as_ref()), @r"
    score: 97.8 of 100 (+76.0)
      tests 100.0 (+66.7): 2 of 2 tests pass, 1 fixed
      coverage not measured: no check printed a coverage or wrote a report that could be read
      complexity 89.3: 1 function changed or new, cognitive complexity of the changed files 0 → 6
        a.py:1: `f` cyclomatic 1 → 4, cognitive 0 → 6
      style not measured: no check runs a linter, and there are no rules of your own
      size 99.5 (-0.5): 1 file changed, +1 -1 lines
    ");
}

proptest! {
    /// Every part that gets better makes the whole better, or leaves it within a tenth.
    #[test]
    fn the_whole_rises_with_each_part(values in prop::collection::vec(prop::option::of(0.0..100.0f64), 5), which in 0usize..5, by in 0.0..50.0f64, red: bool) {
        let part = |(name, value): (&PartName, &Option<f64>)| Part { name: *name, value: *value, why: String::new(), facts: Vec::new() };
        let mut parts: Vec<Part> = PartName::ALL.iter().zip(&values).map(part).collect();
        let before = total(&parts, red);
        parts[which].value = parts[which].value.map(|value| (value + by).min(100.0));
        prop_assert!(total(&parts, red) >= before);
        prop_assert!(!red || before.is_none_or(|total| total <= RED_MAX));
    }

    /// A test that turns green never lowers the part, one that is deleted or skipped never raises it.
    #[test]
    fn tests_rise_with_each_test(baseline in prop::collection::vec(any::<bool>(), 1..12), now in prop::collection::vec(any::<bool>(), 12), at in 0usize..12) {
        let name = |n: usize, green: bool| format!("{}t{n}", if green { '+' } else { '-' });
        let names = |greens: &[bool]| greens.iter().enumerate().map(|(n, green)| name(n, *green)).collect::<Vec<_>>();
        let value = |now: &[String]| {
            let (before, now): (Vec<String>, Vec<&str>) = (names(&baseline), now.iter().map(String::as_str).collect());
            tests_value(&before.iter().map(String::as_str).collect::<Vec<_>>(), &now).unwrap()
        };
        let at = at % baseline.len();
        let mut tests = names(&now[..baseline.len()]);
        tests[at] = name(at, false);
        let red = value(&tests);
        tests[at] = name(at, true);
        prop_assert!(value(&tests) >= red);
        tests[at] = format!("~t{at}");
        prop_assert!(value(&tests) <= red);
        tests.remove(at);
        prop_assert!(value(&tests) <= red);
    }

    /// More penalty, less value; never 0 and never more than 100.
    #[test]
    fn penalties_only_lower(penalty in 0u32..1_000_000, more in 0u32..1_000, half in 1u32..1_000) {
        let value = |penalty: u32| falling(f64::from(penalty), f64::from(half));
        prop_assert!(value(penalty + more) <= value(penalty) && value(penalty) <= 100.0 && value(penalty) > 0.0);
    }

    /// A function that gets harder never raises the part; a line that is not run never raises coverage.
    #[test]
    fn harder_is_never_better(cyclomatic in 1u32..40, cognitive in 0u32..60, more in 0u32..20, missed in 0u32..10) {
        let mut case = case(ran(&["+a"]), ran(&["+a"]));
        let value = |case: &mut Case, cyclomatic, cognitive| {
            case.files = vec![with_functions(vec![function("f", 3, 3)], vec![function("f", cyclomatic, cognitive)])];
            case.part(PartName::Complexity).value.unwrap()
        };
        let before = value(&mut case, cyclomatic, cognitive);
        prop_assert!(value(&mut case, cyclomatic + more, cognitive) <= before);
        prop_assert!(value(&mut case, cyclomatic, cognitive + more) <= before);
        let text = "x = 1\n".repeat(12);
        case.files = vec![file("a.py", Some(""), Some(&text))];
        let mut covered = |missed: u32| {
            case.coverage = vec![metric(Some("a.py"), u64::from(12 - missed), 12, &[(1, missed.max(1))][..usize::from(missed > 0)])];
            case.part(PartName::Coverage).value.unwrap()
        };
        prop_assert!(covered(missed + 1) <= covered(missed));
    }
}
