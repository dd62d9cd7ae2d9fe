//! Catch2's console reporter: a rule, the test case and its sections, a place, then each failed assertion.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "catch2",
    kind: Kind::TestRunner,
    anchors: &[": FAILED:", ": FAILED", "test cases: ", "All tests passed (", "No tests ran"],
    reader: || Box::new(Catch2::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Catch2 {
    /// The last test that failed: its further failures belong to it.
    last: Option<TestCase>,
}

impl Reader for Catch2 {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(rest) = line.strip_prefix("All tests passed (") {
            // `1 assertion in 1 test case)`
            let cases = rest.split(" in ").nth(1).and_then(number).filter(|_| rest.contains("test case"));
            let Some(cases) = cases else { return 0 };
            end(PrintedCounts { passed: Some(cases), failed: Some(0), ..PrintedCounts::default() }, sink);
            return 1;
        }
        if line.starts_with("No tests ran") {
            sink.evidence(Evidence::SaysNoTests);
            return 1;
        }
        if let Some(counts) = line.strip_prefix("test cases: ").and_then(counts) {
            self.finish(sink);
            end(counts, sink);
            return 1;
        }
        self.failure(line, lines, sink)
    }

    fn finish(&mut self, sink: &mut Sink) {
        if let Some(test) = self.last.take() {
            sink.test(test);
        }
    }
}

fn end(counts: PrintedCounts, sink: &mut Sink) {
    sink.evidence(Evidence::RunStarted);
    sink.printed(&counts);
    sink.evidence(Evidence::RunEnded);
}

fn number(text: &str) -> Option<u64> {
    text.trim().split(' ').next()?.parse().ok()
}

/// `test cases: 4 | 2 passed | 1 failed | 1 failed as expected | 1 skipped`
fn counts(text: &str) -> Option<PrintedCounts> {
    let mut counts = PrintedCounts { passed: Some(0), failed: Some(0), ..PrintedCounts::default() };
    let mut parts = text.split('|').map(str::trim);
    parts.next()?.parse::<u64>().ok()?;
    for part in parts {
        let (count, what) = part.split_once(' ')?;
        let count = Some(count.parse().ok()?);
        match what.trim() {
            "passed" => counts.passed = count,
            "failed" => counts.failed = count,
            "failed as expected" => counts.xfailed = count,
            "skipped" => counts.skipped = count,
            _ => {}
        }
    }
    Some(counts)
}

impl Catch2 {
    /// `a.cc:6: FAILED:`, then the assertion and its expansion.
    fn failure(&mut self, line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(head) = line.strip_suffix(": FAILED:").or_else(|| line.strip_suffix(": FAILED")) else { return 0 };
        let Some(place) = Place::colons(head) else { return 0 };
        let mut read = 1;
        while lines.ahead(read).is_some_and(|line| !line.trim().is_empty()) && read < 40 {
            read += 1;
        }
        let rows: Vec<&str> = (1..read).filter_map(|n| lines.ahead(n)).map(str::trim).collect();
        // Sections of one test case fail together: it is what can be run again, and what is counted.
        let name = name(lines).filter(|name| self.last.as_ref().is_none_or(|last| last.id != *name));
        if let Some(name) = name {
            self.finish(sink);
            let expansion = rows.iter().position(|row| *row == "with expansion:").and_then(|at| rows.get(at + 1));
            let sides = expansion.and_then(|text| text.split_once(" == "));
            self.last = Some(TestCase {
                id: name,
                status: TestStatus::Failed,
                file: Some(place.file.to_owned()),
                line: Some(place.line),
                message: Some(rows.join("\n")),
                expected: sides.map(|(_, right)| right.to_owned()),
                actual: sides.map(|(left, _)| left.to_owned()),
                ..TestCase::default()
            });
        }
        read
    }
}

/// The test case above, between two rules of dashes; its sections stand below its name.
fn name(lines: Lines<'_>) -> Option<String> {
    let is_rule = |line: &str| line.len() > 60 && line.bytes().all(|b| b == b'-');
    let lower = (1..12).find(|n| lines.back(*n).is_some_and(is_rule))?;
    let upper = (lower + 1..lower + 20).find(|n| lines.back(*n).is_some_and(is_rule))?;
    lines.back(upper - 1).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty() && upper > lower + 1)
}
