//! PHPUnit: numbered failures and errors with their place last, totals.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "phpunit",
    kind: Kind::TestRunner,
    commands: &["phpunit", "vendor/bin/phpunit"],
    anchors: &[" by Sebastian Bergmann"],
    reader: || Box::new(Phpunit::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 80;

#[derive(Default)]
struct Phpunit {
    started: bool,
    /// What the numbered blocks are, from `There was 1 failure:`.
    listing: Option<TestStatus>,
}

impl Reader for Phpunit {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("PHPUnit ") && line.contains(" by Sebastian Bergmann") {
            sink.evidence(Evidence::RunStarted);
            self.started = true;
            return 1;
        }
        if !self.started {
            return 0;
        }
        if let Some(counts) = totals(line) {
            sink.printed(&counts);
            sink.evidence(Evidence::RunEnded);
            *self = Self::default();
            return 1;
        }
        if line == "No tests executed!" {
            sink.evidence(Evidence::SaysNoTests);
            sink.evidence(Evidence::RunEnded);
            *self = Self::default();
            return 1;
        }
        if let Some(what) = line.strip_prefix("There was ").or_else(|| line.strip_prefix("There were ")) {
            let what = what.trim_end_matches(':');
            self.listing = if what.contains(" failure") {
                Some(TestStatus::Failed)
            } else if what.contains(" error") {
                Some(TestStatus::Error)
            } else {
                None
            };
            return 1;
        }
        self.listing.map_or(0, |status| block(line, status, lines, sink))
    }

    fn is_open(&self) -> bool {
        self.started
    }
}

/// `1) SumTest::testFails`, the message, a blank line, `/path/SumTest.php:8`
fn block(line: &str, status: TestStatus, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let Some((number, name)) = line.split_once(") ") else { return 0 };
    if number.parse::<u32>().is_err() || !name.contains("::") {
        return 0;
    }
    let mut message: Vec<&str> = Vec::new();
    let mut place = None;
    let mut read = 1;
    while read < MESSAGE_LINES_MAX {
        let Some(line) = lines.ahead(read) else { break };
        let text = line.trim();
        let frame = Place::colons(text).filter(|at| at.file.ends_with(".php") && !at.file.contains(' '));
        if let Some(at) = frame {
            // The last one is the test's own.
            place = Some(at);
        } else if place.is_some() || text == "--" || text == "FAILURES!" || text == "ERRORS!" {
            break;
        } else if !text.is_empty() {
            message.push(text);
        }
        read += 1;
    }
    let value = |sign: &str, title: &str| {
        let at = message.iter().position(|row| *row == title)?;
        message[at..]
            .iter()
            .find_map(|row| row.strip_prefix(sign))
            .filter(|row| !row.starts_with("++ ") && !row.starts_with("-- "))
    };
    let (expected, actual) = (value("-", "@@ @@"), value("+", "@@ @@"));
    sink.test(TestCase {
        id: name.to_owned(),
        status,
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        message: Some(message.join("\n")),
        expected: expected.map(str::to_owned),
        actual: actual.map(str::to_owned),
        ..TestCase::default()
    });
    read
}

/// `OK (4 tests, 4 assertions)`, `Tests: 4, Assertions: 2, Errors: 1, Failures: 1, Skipped: 1.`
fn totals(line: &str) -> Option<PrintedCounts> {
    if let Some(rest) = line.strip_prefix("OK (") {
        let tests = rest.split(' ').next()?.parse().ok().filter(|_| rest.contains(" assertion"))?;
        return Some(PrintedCounts { passed: Some(tests), failed: Some(0), ..PrintedCounts::default() });
    }
    let rest = line.strip_prefix("Tests: ")?.trim_end_matches('.');
    let mut counts = PrintedCounts { failed: Some(0), errors: Some(0), ..PrintedCounts::default() };
    let mut parts = rest.split(", ");
    let tests: u64 = parts.next()?.parse().ok()?;
    let mut others = 0u64;
    for part in parts {
        let (what, count) = part.split_once(": ")?;
        let count: u64 = count.parse().ok()?;
        match what {
            "Failures" => counts.failed = Some(count),
            "Errors" => counts.errors = Some(count),
            "Skipped" | "Incomplete" => counts.skipped = Some(counts.skipped.unwrap_or(0).saturating_add(count)),
            _ => continue,
        }
        others = others.saturating_add(count);
    }
    counts.passed = Some(tests.saturating_sub(others));
    Some(counts)
}
