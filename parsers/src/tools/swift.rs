//! Swift: the compiler, XCTest and Swift Testing, xcodebuild's last word, a fatal error.

use super::place::{Place, marks};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "swift",
    kind: Kind::Compiler,
    commands: &["swiftc", "swift build", "xcodebuild build"],
    anchors: &[
        ".swift:",
        "Test Case '",
        "Test Suite '",
        "** BUILD FAILED **",
        "** TEST FAILED **",
        "** BUILD SUCCEEDED **",
        "✔ Test ",
        "✘ Test ",
        "➜ Test ",
        "◇ Test run started.",
    ],
    reader: || Box::new(Swift::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Swift {
    /// Where a test failed, and with what, until its result comes.
    failures: Vec<TestCase>,
}

const FAILURES_MAX: usize = 1_000;

impl Reader for Swift {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        match line.trim() {
            "** BUILD FAILED **" => sink.evidence(Evidence::SaysError),
            "** TEST FAILED **" => sink.evidence(Evidence::SaysFailed),
            "** BUILD SUCCEEDED **" => sink.evidence(Evidence::SaysPassed),
            "◇ Test run started." => sink.evidence(Evidence::RunStarted),
            text if text.starts_with("Test Suite '") => return suite(text, lines, sink),
            text if text.starts_with("Test Case '") => return self.case(text, sink),
            text => {
                let marked =
                    ["✔ Test ", "✘ Test ", "➜ Test "].iter().find_map(|mark| Some((*mark, text.strip_prefix(mark)?)));
                return match marked {
                    Some((mark, rest)) => self.testing(mark, rest, sink),
                    None => self.placed(line, lines, sink),
                };
            }
        }
        1
    }
}

impl Swift {
    /// `Test Case 'ShopTests.testAdds' passed (0.001 seconds)`, on macOS `'-[ShopTests.Shop testAdds]'`
    fn case(&mut self, text: &str, sink: &mut Sink) -> usize {
        let Some((name, rest)) = text.strip_prefix("Test Case '").and_then(|rest| rest.split_once('\'')) else {
            return 0;
        };
        let id = plain(name);
        let (word, time) = rest.trim().split_once(" (").unwrap_or((rest.trim(), ""));
        let status = match word {
            "passed" => TestStatus::Passed,
            "failed" => TestStatus::Failed,
            "skipped" => TestStatus::Skipped,
            _ => return usize::from(word.starts_with("started")),
        };
        let seconds: Option<f64> = time.split(' ').next().and_then(|text| text.parse().ok());
        let told = self.failures.iter().position(|test| test.id == id).map(|at| self.failures.remove(at));
        let duration_ms = seconds.map(|seconds| seconds * 1_000.0);
        sink.test(TestCase { id, status, duration_ms, ..told.unwrap_or_default() });
        1
    }

    /// `adds() passed after 0.001 seconds.`, `wrong() recorded an issue at A.swift:8:5: message`, `run with 2 tests passed …`
    fn testing(&mut self, mark: &str, rest: &str, sink: &mut Sink) -> usize {
        if let Some(run) = rest.strip_prefix("run with ") {
            let tests: Option<u64> = run.split(' ').next().and_then(|count| count.parse().ok());
            let Some(tests) = tests else { return 0 };
            sink.evidence(Evidence::RunEnded);
            if run.contains(" failed after ") {
                sink.evidence(Evidence::SaysFailed);
            } else if tests == 0 {
                sink.evidence(Evidence::SaysNoTests);
            }
            return 1;
        }
        if let Some((name, issue)) = rest.split_once(" recorded an issue") {
            let place = issue.strip_prefix(" at ").and_then(|text| Place::before_text(text, ".swift"));
            if self.failures.len() < FAILURES_MAX {
                self.failures.push(TestCase {
                    id: name.trim_matches('"').to_owned(),
                    file: place.map(|(place, _)| place.file.to_owned()),
                    line: place.map(|(place, _)| place.line),
                    message: place.map(|(_, text)| text.trim().to_owned()),
                    ..TestCase::default()
                });
            }
            return 1;
        }
        let (name, status, after) = if let Some((name, after)) = rest.split_once(" passed after ") {
            (name, TestStatus::Passed, after)
        } else if let Some((name, after)) = rest.split_once(" failed after ") {
            (name, TestStatus::Failed, after)
        } else if let Some((name, after)) = rest.split_once(" skipped").filter(|_| mark.starts_with('➜')) {
            (name, TestStatus::Skipped, after)
        } else {
            return 0;
        };
        let id = name.trim_matches('"').to_owned();
        let told = self.failures.iter().position(|test| test.id == id).map(|at| self.failures.remove(at));
        let seconds: Option<f64> = after.split(' ').next().and_then(|text| text.parse().ok());
        sink.test(TestCase {
            id,
            status,
            duration_ms: seconds.map(|seconds| seconds * 1_000.0),
            ..told.unwrap_or_default()
        });
        1
    }

    /// `/w/main.swift:3:5: error: message`; of a test `/w/Tests.swift:8: error: Shop.testWrong : message`.
    fn placed(&mut self, line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((place, text)) = Place::before_text(line, ".swift").filter(|(place, _)| !place.file.contains(": "))
        else {
            return 0;
        };
        let Some((word, message)) = text.trim_start().split_once(": ") else { return 0 };
        let severity = match word {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            "note" => Severity::Note,
            "Fatal error" => {
                sink.evidence(Evidence::Crashed);
                Severity::Error
            }
            _ => return 0,
        };
        if let Some((name, message)) = message.split_once(" : ").filter(|_| place.column.is_none() && word == "error") {
            if self.failures.len() < FAILURES_MAX {
                self.failures.push(TestCase {
                    id: plain(name),
                    file: Some(place.file.to_owned()),
                    line: Some(place.line),
                    message: Some(message.trim_end_matches(" - ").to_owned()),
                    ..TestCase::default()
                });
            }
            return 1;
        }
        let mut found = Diagnostic { severity: Some(severity), message: message.to_owned(), ..place.diagnostic() };
        let caret = lines.ahead(2).and_then(marks).filter(|(column, _)| Some(*column) <= place.column);
        if let Some((column, width)) = caret.filter(|(column, width)| Some(*column) == place.column && *width > 1) {
            found.end_line = found.line;
            found.end_column = column.checked_add(width);
        }
        sink.diagnostic(found);
        if caret.is_some() { 3 } else { 1 }
    }
}

/// `-[ShopTests.Shop testAdds]` is `ShopTests.Shop.testAdds`.
fn plain(name: &str) -> String {
    let inner = name.strip_prefix("-[").and_then(|name| name.strip_suffix(']'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replacen(' ', ".", 1))
}

/// Suites stand in one another: only the outermost one's `Executed …` counts.
fn suite(text: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let Some((name, rest)) = text.strip_prefix("Test Suite '").and_then(|rest| rest.split_once('\'')) else { return 0 };
    if !matches!(name, "All tests" | "Selected tests") {
        return 1;
    }
    if rest.trim_start().starts_with("started") {
        sink.evidence(Evidence::RunStarted);
        return 1;
    }
    let Some(counts) = lines.ahead(1).and_then(|line| executed(line.trim())) else { return 1 };
    sink.evidence(Evidence::RunEnded);
    if rest.trim_start().starts_with("failed") {
        sink.evidence(Evidence::SaysFailed);
    }
    sink.printed(&counts);
    2
}

/// `Executed 3 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.005 (0.006) seconds`
fn executed(text: &str) -> Option<PrintedCounts> {
    let rest = text.strip_prefix("Executed ")?;
    let (total, rest) = rest.split_once(" test")?;
    let total: u64 = total.parse().ok()?;
    let before = |word: &str| -> Option<u64> { rest.split_once(word)?.0.rsplit(' ').next()?.parse().ok() };
    let (failures, skipped) = (before(" failure")?, before(" tests skipped").or_else(|| before(" test skipped")));
    // A test may fail several times: how many did not pass is told by the tests themselves.
    let passed = if failures == 0 { total.checked_sub(skipped.unwrap_or(0)) } else { None };
    Some(PrintedCounts { passed, skipped, ..PrintedCounts::default() })
}

#[cfg(test)]
mod tests {
    use crate::{Report, ToolOutput, Verdict, parse};

    fn read(text: &str) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() })
    }

    /// From Swift's documentation.
    #[test]
    fn the_compiler_names_a_place() {
        let report = read("/w/main.swift:3:5: error: cannot find 'nam' in scope\n    nam()\n    ^~~\n");
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!((error.line, error.column, error.end_column), (Some(3), Some(5), Some(8)));
        assert_eq!((error.source.as_str(), report.verdict), ("swift", Verdict::Error));
    }

    /// From XCTest's documentation.
    #[test]
    fn xctest_tells_a_failure_before_its_result() {
        let text = "Test Suite 'All tests' started at 2026-01-01 10:00:00.000\n\
            Test Case 'ShopTests.testWrong' started at 2026-01-01 10:00:00.000\n\
            /w/ShopTests.swift:8: error: ShopTests.testWrong : XCTAssertEqual failed: (\"3\") is not equal to (\"4\") - \n\
            Test Case 'ShopTests.testWrong' failed (0.002 seconds)\nTest Case 'ShopTests.testAdds' passed (0.001 seconds)\n\
            Test Suite 'All tests' failed at 2026-01-01 10:00:00.000\n\t Executed 2 tests, with 1 failure (0 unexpected) in 0.003 (0.003) seconds\n";
        let report = read(text);
        assert_eq!((report.summary.passed, report.summary.failed, report.verdict), (1, 1, Verdict::Failed));
        assert_eq!((report.tests[0].line, report.tests[0].id.as_str()), (Some(8), "ShopTests.testWrong"));
        for end in 0..text.len() {
            assert_ne!(read(&text[..end]).verdict, Verdict::Passed, "cut at {end}");
        }
    }

    /// From Swift Testing's documentation.
    #[test]
    fn swift_testing_closes_with_a_run() {
        let passed = "◇ Test run started.\n✔ Test adds() passed after 0.001 seconds.\n✔ Test run with 1 test passed after 0.001 seconds.\n";
        assert_eq!(read(passed).verdict, Verdict::Passed);
        let failed = "◇ Test run started.\n✘ Test wrong() recorded an issue at A.swift:8:5: Expectation failed: (3) == (4)\n\
            ✘ Test wrong() failed after 0.001 seconds with 1 issue.\n✘ Test run with 1 test failed after 0.001 seconds with 1 issue.\n";
        let report = read(failed);
        assert_eq!((report.verdict, report.tests[0].line), (Verdict::Failed, Some(8)));
    }
}
