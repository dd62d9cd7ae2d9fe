//! Gradle: results of tests, what went wrong in the build, and whether it succeeded.

use super::maven::compared;
use super::place::number;
use super::{Kind, Reader, Tool, java_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "gradle",
    kind: Kind::TestRunner,
    commands: &["gradle", "gradlew"],
    anchors: &[
        " PASSED",
        " FAILED",
        " SKIPPED",
        " tests completed",
        " test completed",
        "* What went wrong:",
        "BUILD SUCCESSFUL in ",
        "BUILD FAILED in ",
        "est NO-SOURCE",
    ],
    reader: || Box::new(Gradle::default()),
    ..Tool::DEFAULT
};

const REASON_LINES_MAX: usize = 40;
const FRAMES_MAX: usize = 400;

#[derive(Default)]
struct Gradle {
    running: bool,
    failed: bool,
    tests: u64,
    /// A module's test task had nothing to do.
    no_source: bool,
}

impl Reader for Gradle {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(counts) = completed(line) {
            self.start(sink);
            self.failed |= counts.failed.is_some_and(|failed| failed > 0);
            self.end(sink);
            sink.printed(&counts);
            return 1;
        }
        if line == "* What went wrong:" {
            return self.went_wrong(lines, sink);
        }
        if line.starts_with("BUILD SUCCESSFUL in ") {
            if self.running {
                self.end(sink);
            }
            if self.no_source && self.tests == 0 && sink.expects_test() {
                sink.evidence(Evidence::SaysNoTests);
            } else if !self.failed {
                sink.evidence(Evidence::SaysPassed);
            }
            return 1;
        }
        if line.starts_with("BUILD FAILED in ") {
            if self.running {
                self.end(sink);
            }
            if !self.failed {
                sink.evidence(Evidence::SaysError);
            }
            return 1;
        }
        if let Some(task) = line.strip_suffix(" NO-SOURCE") {
            let own = is_task(task);
            self.no_source |= own;
            return usize::from(own);
        }
        let Some((mut test, took)) = result(line, lines) else { return 0 };
        self.start(sink);
        self.tests += 1;
        self.failed |= test.status == TestStatus::Failed;
        test.message = test.message.filter(|text| !text.is_empty());
        sink.test(test);
        took
    }
}

impl Gradle {
    fn start(&mut self, sink: &mut Sink) {
        if !std::mem::replace(&mut self.running, true) {
            sink.evidence(Evidence::RunStarted);
        }
    }

    fn end(&mut self, sink: &mut Sink) {
        self.running = false;
        sink.evidence(Evidence::RunEnded);
    }

    /// What failed tests and compilers said is told already; anything else is told here only.
    fn went_wrong(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let reason: Vec<&str> = (1..REASON_LINES_MAX)
            .map_while(|n| lines.ahead(n).filter(|line| !line.trim().is_empty() && !line.starts_with("* ")))
            .map(str::trim_end)
            .collect();
        let told =
            ["There were failing tests", "Compilation failed", "Compilation error", "finished with non-zero exit"];
        let text = reason.join("\n");
        if text.contains(told[0]) {
            self.failed = true;
            sink.evidence(Evidence::SaysFailed);
        } else if told.iter().any(|words| text.contains(words)) {
            sink.evidence(Evidence::SaysError);
        } else if !text.is_empty() {
            let place = (1..6).filter_map(|n| lines.back(n)).find_map(build_file);
            sink.evidence(Evidence::SaysError);
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                message: text,
                file: place.map(|(file, _)| file.to_owned()),
                line: place.map(|(_, line)| line),
                ..Diagnostic::default()
            });
        }
        1 + reason.len()
    }
}

/// `:test`, `> Task :app:test`
fn is_task(text: &str) -> bool {
    let name = text.strip_prefix("> Task ").unwrap_or(text);
    name.starts_with(':') && !name.contains(' ') && name.to_ascii_lowercase().ends_with("test")
}

/// `Build file '/w/build.gradle' line: 1`
fn build_file(line: &str) -> Option<(&str, u32)> {
    let (_, rest) = line.split_once(" file '")?;
    let (file, row) = rest.split_once("' line: ")?;
    Some((file, number(row.trim())?))
}

/// `4 tests completed, 2 failed, 1 skipped`
fn completed(line: &str) -> Option<PrintedCounts> {
    let mut parts = line.trim().split(", ");
    let (total, rest) = parts.next()?.split_once(' ')?;
    let total: u64 = total.parse().ok().filter(|_| matches!(rest, "tests completed" | "test completed"))?;
    let mut counts = PrintedCounts { failed: Some(0), ..PrintedCounts::default() };
    for part in parts {
        let (count, what) = part.split_once(' ')?;
        match what {
            "failed" => counts.failed = count.parse().ok(),
            "skipped" => counts.skipped = count.parse().ok(),
            _ => return None,
        }
    }
    let others = counts.failed.unwrap_or(0).checked_add(counts.skipped.unwrap_or(0))?;
    counts.passed = Some(total.checked_sub(others)?);
    Some(counts)
}

/// `shop.CalcTest > wrong FAILED`, then the exception, indented by four, and its frames, by eight.
fn result(line: &str, lines: Lines<'_>) -> Option<(TestCase, usize)> {
    let (head, status) =
        [(" PASSED", TestStatus::Passed), (" FAILED", TestStatus::Failed), (" SKIPPED", TestStatus::Skipped)]
            .into_iter()
            .find_map(|(word, status)| {
                // A time may follow: `CalcTest > adds() PASSED (12ms)`.
                let text =
                    line.rsplit_once(" (").filter(|(_, time)| time.ends_with("s)")).map_or(line, |(text, _)| text);
                Some((text.strip_suffix(word)?, status))
            })?;
    // The executor's names are no part of the test's.
    let mut names: Vec<&str> = head.split(" > ").collect();
    names.retain(|name| !name.starts_with("Gradle Test Run ") && !name.starts_with("Gradle Test Executor "));
    let class = *names.first()?;
    if names.len() < 2 || class.contains(' ') || class.starts_with(['>', ':']) || class.is_empty() {
        return None;
    }
    let mut test = TestCase { id: names.join(" > "), status, ..TestCase::default() };
    let mut read = 1;
    if status != TestStatus::Failed {
        return Some((test, read));
    }
    let mut message: Vec<&str> = Vec::new();
    let simple = class.rsplit(['.', '$']).next().unwrap_or(class);
    while let Some(line) = lines.ahead(read).filter(|line| line.starts_with("    ") && read < FRAMES_MAX) {
        let text = line.trim();
        if let Some(frame) = java_stack::frame(line) {
            // The innermost frame in the test's own class.
            let own = frame.function.as_deref().is_some_and(|function| function.contains(simple));
            if test.file.is_none() && own {
                (test.file, test.line) = (frame.file, frame.line);
            }
        } else if let Some((exception, (file, row))) =
            text.rsplit_once(" at ").and_then(|(text, place)| Some((text, place.rsplit_once(':')?)))
            && let Some(row) = number(row)
        {
            // `java.lang.AssertionError at CalcTest.java:6`
            (test.file, test.line) = (Some(file.to_owned()), Some(row));
            message.push(exception);
        } else if !text.starts_with("... ") && test.file.is_none() {
            message.push(text);
        }
        read += 1;
    }
    let text = message.join("\n");
    (test.expected, test.actual) = compared(&text).unzip();
    test.message = Some(text);
    Some((test, read))
}
