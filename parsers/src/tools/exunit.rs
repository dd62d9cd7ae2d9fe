//! ExUnit: numbered failures with both sides, the tree of `--trace`, the closing count.

use super::place::Place;
use super::{Kind, Reader, Tool, elixir};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "exunit",
    kind: Kind::TestRunner,
    commands: &["mix test"],
    anchors: &[
        ") test ",
        ") doctest ",
        ") property ",
        ") feature ",
        " tests, ",
        "1 test, ",
        " doctests, ",
        "1 doctest, ",
        "Running ExUnit with seed: ",
        ") [L#",
        "All tests have been excluded.",
        "There are no tests to run",
        "did not match any directory/file: ",
    ],
    reader: || Box::new(Exunit::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 120;

#[derive(Default)]
struct Exunit {
    started: bool,
}

impl Reader for Exunit {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("Running ExUnit with seed: ") {
            self.start(sink);
            return 1;
        }
        if line.starts_with("There are no tests to run") || line == "All tests have been excluded." {
            sink.evidence(Evidence::SaysNoTests);
            return 1;
        }
        if line.starts_with("Paths given to \"mix test\" did not match any directory/file: ") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if let Some(counts) = totals(line) {
            self.start(sink);
            sink.evidence(Evidence::RunEnded);
            sink.printed(&counts);
            *self = Self::default();
            return 1;
        }
        if let Some(test) = traced(line) {
            self.start(sink);
            // A failure looks the same and is told below, with its reason.
            let fails = (1..=2).any(|n| {
                let told = lines.ahead(n).and_then(|line| line.trim_start().split_once(") "));
                told.is_some_and(|(number, rest)| {
                    number.parse::<u32>().is_ok()
                        && rest.strip_prefix(test.id.as_str()).is_some_and(|rest| rest.starts_with(" ("))
                })
            });
            if !fails {
                sink.test(test);
            }
            return 1;
        }
        let Some((test, read)) = failure(line, lines) else { return 0 };
        self.start(sink);
        sink.test(test);
        read
    }
}

impl Exunit {
    fn start(&mut self, sink: &mut Sink) {
        if !self.started {
            self.started = true;
            sink.evidence(Evidence::RunStarted);
        }
    }
}

/// `5 tests, 3 failures, 1 skipped`, `1 doctest, 2 tests, 0 failures (1 excluded)`
fn totals(line: &str) -> Option<PrintedCounts> {
    let (mut ran, mut failed, mut skipped, mut invalid) = (0u64, None, 0u64, 0u64);
    for part in line.trim().split(", ") {
        let mut words = part.split(' ');
        let count: u64 = words.next()?.parse().ok()?;
        match words.next()? {
            "test" | "tests" | "doctest" | "doctests" | "property" | "properties" | "feature" | "features" => {
                ran = ran.checked_add(count)?;
            }
            "failure" | "failures" => failed = Some(count),
            "skipped" | "excluded" => skipped = skipped.checked_add(count)?,
            "invalid" => invalid = count,
            _ => return None,
        }
        if failed.is_none() && words.next().is_some() {
            return None;
        }
    }
    let failed = failed.filter(|_| line.contains("test"))?;
    let passed = ran.checked_sub(failed)?.saturating_sub(skipped).saturating_sub(invalid);
    Some(PrintedCounts {
        passed: Some(passed),
        failed: Some(failed),
        errors: Some(invalid),
        skipped: Some(skipped),
        ..PrintedCounts::default()
    })
}

/// `  * test adds (1.0ms) [L#4]`
fn traced(line: &str) -> Option<TestCase> {
    let (rest, row) = line.strip_prefix("  * ")?.strip_suffix(']')?.rsplit_once(" [L#")?;
    let row = row.parse().ok()?;
    let (name, note) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let duration_ms = note.strip_suffix("ms").and_then(|time| time.parse().ok());
    let status = match note {
        "skipped" | "excluded" => TestStatus::Skipped,
        _ if duration_ms.is_some() => TestStatus::Passed,
        _ => return None,
    };
    Some(TestCase { id: name.to_owned(), status, line: Some(row), duration_ms, ..TestCase::default() })
}

/// `  1) test is wrong (ShopTest)`, `     test/shop_test.exs:8`, then what went wrong.
fn failure(line: &str, lines: Lines<'_>) -> Option<(TestCase, usize)> {
    let (number, name) = line.trim_start().split_once(") ")?;
    number.parse::<u32>().ok()?;
    let (name, module) = name.strip_suffix(')')?.rsplit_once(" (")?;
    let place = lines.ahead(1).and_then(|line| Place::colons(line.trim()));
    let place = place.filter(|place| place.file.ends_with(".exs") || place.file.ends_with(".ex"));
    place.filter(|_| module.starts_with(|c: char| c.is_ascii_uppercase()))?;
    let mut read = 2;
    let mut message: Vec<&str> = Vec::new();
    let mut in_stack = false;
    let (mut expected, mut actual) = (None, None);
    while let Some(line) = lines.ahead(read).filter(|_| read < MESSAGE_LINES_MAX) {
        let text = line.trim();
        if !text.is_empty() && !line.starts_with("     ") {
            break;
        }
        // What follows an empty line is the next test's, unless the message goes on.
        if text.is_empty() && (in_stack || lines.ahead(read + 1).is_none_or(|next| !next.starts_with("     "))) {
            break;
        }
        if text == "stacktrace:" {
            in_stack = true;
        } else if let Some(value) = text.strip_prefix("left: ") {
            actual = Some(value.trim().to_owned());
        } else if let Some(value) = text.strip_prefix("right: ") {
            expected = Some(value.trim().to_owned());
        } else if !in_stack && !text.is_empty() && elixir::frame(line).is_none() {
            message.push(text);
        }
        read += 1;
    }
    let test = TestCase {
        id: name.to_owned(),
        status: TestStatus::Failed,
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        message: Some(message.join("\n")),
        expected,
        actual,
        ..TestCase::default()
    };
    Some((test, read))
}
