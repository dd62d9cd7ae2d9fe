//! minitest and test-unit: `1) Failure:` blocks, verbose result lines, `4 runs, 2 assertions, …`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "minitest",
    kind: Kind::TestRunner,
    commands: &["rails test", "rake test"],
    anchors: &[") Failure:", ") Error:", ") Skipped:", " runs, ", " tests, ", " s = "],
    reader: || Box::new(Minitest::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 60;
const WAITING_MAX: usize = 20_000;

#[derive(Default)]
struct Minitest {
    /// Tests wait for the totals: a verbose result comes before its failure is told.
    tests: Vec<TestCase>,
}

impl Reader for Minitest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(counts) = totals(line) {
            self.finish(sink);
            sink.evidence(Evidence::RunStarted);
            sink.printed(&counts);
            sink.evidence(Evidence::RunEnded);
            return 1;
        }
        if let Some(test) = verbose(line) {
            if self.tests.len() < WAITING_MAX {
                self.tests.push(test);
            }
            return 1;
        }
        self.block(line, lines)
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.tests.drain(..).for_each(|test| sink.test(test));
    }
}

impl Minitest {
    /// `  1) Failure:`, then `SumTest#test_fails [t.rb:5]:` and the message.
    fn block(&mut self, line: &str, lines: Lines<'_>) -> usize {
        let Some((number, word)) = line.trim_start().split_once(") ") else { return 0 };
        let status = match word {
            "Failure:" => TestStatus::Failed,
            "Error:" => TestStatus::Error,
            "Skipped:" => TestStatus::Skipped,
            _ => return 0,
        };
        let Some(head) = lines.ahead(1).and_then(|head| head.strip_suffix(':')) else { return 0 };
        if number.parse::<u32>().is_err() {
            return 0;
        }
        let (name, place) = match head.strip_suffix(']').and_then(|head| head.rsplit_once(" [")) {
            Some((name, place)) => (name, Place::colons(place)),
            None => (head, None),
        };
        let mut test = TestCase { id: name.to_owned(), status, ..TestCase::default() };
        (test.file, test.line) = place.map(|place| (place.file.to_owned(), place.line)).unzip();
        let mut message: Vec<&str> = Vec::new();
        let mut read = 2;
        while read < MESSAGE_LINES_MAX {
            let Some(line) = lines.ahead(read).filter(|line| !line.trim().is_empty()) else { break };
            let text = line.trim();
            let frame = text.split(":in ").next().and_then(Place::colons).filter(|_| line.starts_with("    "));
            match frame {
                Some(place) if test.file.is_none() => {
                    test.file = Some(place.file.to_owned());
                    test.line = Some(place.line);
                }
                Some(_) => {}
                None => message.push(text),
            }
            let value = |name: &str| text.strip_prefix(name).map(|value| value.trim().to_owned());
            test.expected = test.expected.or_else(|| value("Expected: "));
            test.actual = test.actual.or_else(|| value("Actual: "));
            read += 1;
        }
        test.message = Some(message.join("\n"));
        match self.tests.iter().position(|known| known.id == test.id) {
            Some(at) => self.tests[at] = TestCase { duration_ms: self.tests[at].duration_ms, ..test },
            None if self.tests.len() < WAITING_MAX => self.tests.push(test),
            None => {}
        }
        read
    }
}

/// `SumTest#test_adds = 0.00 s = .`
fn verbose(line: &str) -> Option<TestCase> {
    let (rest, mark) = line.rsplit_once(" s = ")?;
    let (name, seconds) = rest.rsplit_once(" = ")?;
    let status = match mark {
        "." => TestStatus::Passed,
        "F" => TestStatus::Failed,
        "E" => TestStatus::Error,
        "S" => TestStatus::Skipped,
        _ => return None,
    };
    let seconds: f64 = seconds.trim().parse().ok()?;
    let named = name.contains('#') && !name.contains("  ");
    named.then(|| TestCase { id: name.to_owned(), status, duration_ms: Some(seconds * 1_000.0), ..TestCase::default() })
}

/// `4 runs, 2 assertions, 1 failures, 1 errors, 1 skips`; test-unit: `4 tests, 2 assertions, 1 failures, 1 errors, …`
fn totals(line: &str) -> Option<PrintedCounts> {
    let mut counts = PrintedCounts::default();
    let mut total = None;
    for part in line.split(", ") {
        let (count, what) = part.split_once(' ')?;
        let count: u64 = count.parse().ok()?;
        match what {
            "runs" | "tests" | "run" | "test" => total = Some(count),
            "failures" | "failure" => counts.failed = Some(count),
            "errors" | "error" => counts.errors = Some(count),
            "skips" | "skip" | "omissions" | "pendings" => {
                counts.skipped = Some(counts.skipped.unwrap_or(0).saturating_add(count));
            }
            "assertions" | "assertion" | "notifications" => {}
            _ => return None,
        }
    }
    let others = [counts.failed?, counts.errors?, counts.skipped.unwrap_or(0)].into_iter().fold(0, u64::saturating_add);
    counts.passed = Some(total?.saturating_sub(others));
    Some(counts)
}
