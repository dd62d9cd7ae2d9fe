//! cargo-nextest: one line a test, the output of those that failed, retries, the summary.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "nextest",
    kind: Kind::TestRunner,
    commands: &["cargo nextest run", "cargo nextest"],
    anchors: &[
        " Nextest run ID ",
        "s] ",
        "Summary [ ",
        "error: no tests to run",
        "error: test run failed",
        "Cancelling due to ",
    ],
    reader: || Box::new(Nextest::default()),
    ..Tool::DEFAULT
};

const OUTPUT_LINES_MAX: usize = 1_500;
const MESSAGE_LINES_MAX: usize = 60;

#[derive(Default)]
struct Nextest {
    /// Its summary closes with the failures once more.
    running: bool,
    ended: bool,
}

impl Reader for Nextest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.contains(" Nextest run ID ") {
            sink.evidence(Evidence::RunStarted);
            *self = Self { running: true, ended: false };
            return 1;
        }
        if !self.running && !self.ended {
            return 0;
        }
        match line.trim_start() {
            "error: no tests to run" => {
                sink.evidence(Evidence::SaysNoTests);
                return 1;
            }
            "error: test run failed" => {
                sink.evidence(Evidence::SaysFailed);
                return 1;
            }
            text if text.starts_with("Cancelling due to ") => return 1,
            _ => {}
        }
        if let Some(counts) = summary(line) {
            *self = Self { running: false, ended: true };
            sink.evidence(Evidence::RunEnded);
            // What a filter left out counts as skipped.
            let ran = [counts.passed, counts.failed].into_iter().flatten().any(|count| count > 0);
            sink.printed(&if ran { counts } else { PrintedCounts { skipped: None, ..counts } });
            return 1;
        }
        let Some(result) = Outcome::parse(line) else { return 0 };
        if self.ended || result.status == TestStatus::NotRun {
            return 1 + output(lines);
        }
        let mut test = TestCase {
            id: result.name.to_owned(),
            status: result.status,
            duration_ms: Some(result.seconds * 1_000.0),
            ..TestCase::default()
        };
        let read = output(lines);
        if result.status != TestStatus::Passed {
            blame(lines, read, &mut test);
            if test.message.is_none() && result.word.starts_with("SIG") {
                test.message = Some(format!("killed by {}", result.word));
            }
        }
        sink.test(test);
        1 + read
    }
}

struct Outcome<'a> {
    word: &'a str,
    status: TestStatus,
    seconds: f64,
    name: &'a str,
}

impl<'a> Outcome<'a> {
    /// `        FAIL [   0.338s] (3/3) shop tests::wrong`, `  TRY 1 FAIL [   0.298s] (───) shop tests::wrong`
    fn parse(line: &'a str) -> Option<Self> {
        let (head, rest) = line.split_once('[')?;
        let (time, name) = rest.split_once("s] ")?;
        let seconds: f64 = time.trim().trim_start_matches('>').trim().parse().ok()?;
        let head = head.trim();
        let (tried, word) = match head.strip_prefix("TRY ") {
            Some(rest) => (true, rest.split_once(' ')?.1),
            None => (false, head),
        };
        let word = word.split(" + ").next().unwrap_or(word);
        let name = match name.strip_prefix('(') {
            Some(rest) => rest.split_once(") ")?.1,
            None => name,
        };
        let status = match word {
            "PASS" | "LEAK" => TestStatus::Passed,
            _ if word.starts_with("FLAKY ") => TestStatus::Passed,
            "FAIL" | "LEAK-FAIL" | "FLKY-FL" => TestStatus::Failed,
            "TIMEOUT" | "TMT" => TestStatus::Timeout,
            "ABORT" | "XFAIL" => TestStatus::Error,
            "SLOW" | "TERMINATING" | "KILLING" | "RETRY" | "DELAY" => TestStatus::NotRun,
            _ if word.starts_with("SIG") => TestStatus::Failed,
            _ => return None,
        };
        // One try of several; the last one has its number among the tests.
        let again = tried && status != TestStatus::Passed && rest.contains("(───)");
        Some(Self { word, status: if again { TestStatus::NotRun } else { status }, seconds, name: name.trim() })
    }
}

/// Lines of output below a result: indented, between `stdout ───` and what comes next.
fn output(lines: Lines<'_>) -> usize {
    let is_title = |line: &str| {
        line.trim_end().ends_with("───")
            && (line.contains("stdout") || line.contains("stderr") || line.contains("output"))
    };
    if !lines.ahead(1).is_some_and(is_title) {
        return 0;
    }
    (1..OUTPUT_LINES_MAX)
        .take_while(|&n| {
            lines.ahead(n).is_some_and(|line| {
                line.trim().is_empty() || line.starts_with("    ") && Outcome::parse(line).is_none() || is_title(line)
            })
        })
        .count()
}

/// The panic in a test's output.
fn blame(lines: Lines<'_>, read: usize, test: &mut TestCase) {
    let Some((at, place)) = (1..=read).find_map(|n| Some((n, lines.ahead(n)?.split_once(" panicked at ")?.1))) else {
        let reason =
            (1..=read).filter_map(|n| lines.ahead(n)).find(|line| line.trim_start().starts_with("(test aborted"));
        test.message = reason.map(|line| line.trim().trim_matches(['(', ')']).to_owned());
        return;
    };
    if let Some(place) = Place::colons(place.trim().trim_end_matches(':')) {
        test.file = Some(place.file.to_owned());
        test.line = Some(place.line);
    }
    let mut message: Vec<&str> = Vec::new();
    for n in at + 1..=read.min(at + MESSAGE_LINES_MAX) {
        let text = lines.ahead(n).unwrap_or("").trim();
        if text.is_empty() || text == "stack backtrace:" || text.starts_with("note: run with `RUST_BACKTRACE") {
            break;
        }
        if let Some(value) = text.strip_prefix("left: ") {
            test.actual = Some(value.to_owned());
        } else if let Some(value) = text.strip_prefix("right: ") {
            test.expected = Some(value.to_owned());
        }
        message.push(text);
    }
    test.message = Some(message.join("\n")).filter(|text| !text.is_empty());
}

/// `     Summary [   0.079s] 2/3 tests run: 1 passed (1 flaky), 1 failed, 1 timed out, 1 skipped`
fn summary(line: &str) -> Option<PrintedCounts> {
    let rest = line.trim_start().strip_prefix("Summary [")?;
    let (_, rest) = rest.split_once("s] ")?;
    let (_, rest) = rest.split_once(" run: ")?;
    let mut counts = PrintedCounts { passed: Some(0), failed: Some(0), ..PrintedCounts::default() };
    // What stands in brackets is a part of the number before it.
    let plain: String = rest
        .split('(')
        .map(|part| part.split_once(") ").or_else(|| part.split_once(')')).map_or(part, |(_, rest)| rest))
        .collect();
    for part in plain.split(',') {
        let (count, what) = part.trim().split_once(' ')?;
        let count = number(count).map(u64::from)?;
        let add = |total: &mut Option<u64>| *total = Some(total.unwrap_or(0).saturating_add(count));
        match what.trim() {
            "passed" => add(&mut counts.passed),
            "failed" | "timed out" | "exec failed" => add(&mut counts.failed),
            "skipped" => add(&mut counts.skipped),
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_brackets_are_not_counted_twice() {
        let line = "     Summary [   0.7s] 9 tests run: 6 passed (1 slow, 2 flaky), 2 failed, 1 timed out, 3 skipped";
        let counts = summary(line).unwrap_or_default();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (Some(6), Some(3), Some(3)));
    }

    #[test]
    fn a_try_that_is_not_the_last_is_no_result() {
        let status = |line| Outcome::parse(line).map(|outcome| (outcome.status, outcome.name));
        assert_eq!(status("  TRY 1 FAIL [   0.298s] (───) shop tests::a"), Some((TestStatus::NotRun, "shop tests::a")));
        assert_eq!(status("  TRY 2 FAIL [   0.298s] (1/1) shop tests::a"), Some((TestStatus::Failed, "shop tests::a")));
        assert_eq!(status("  TRY 2 PASS [   0.298s] (1/1) shop tests::a"), Some((TestStatus::Passed, "shop tests::a")));
        assert_eq!(status("     TIMEOUT [  60.002s] shop tests::a"), Some((TestStatus::Timeout, "shop tests::a")));
    }
}
