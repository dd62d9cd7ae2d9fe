//! mocha: the totals every text reporter ends with, marks of the spec reporter, and the numbered failures.

use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "mocha",
    kind: Kind::TestRunner,
    commands: &["mocha"],
    anchors: &[" passing (", "  ✔ "],
    reader: || Box::new(Mocha::default()),
    ..Tool::DEFAULT
};

const WAITING_MAX: usize = 50_000;
const BLOCK_LINES_MAX: usize = 200;

#[derive(Default)]
struct Mocha {
    tests: Vec<TestCase>,
    /// Below the totals: what failed, by number.
    failing: bool,
}

impl Reader for Mocha {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some(passed) = count(line, " passing (") {
            return self.totals(passed, lines, sink);
        }
        if self.failing {
            return self.failure(lines, sink);
        }
        // Node's own runner has the same mark and ends its lines with a time in brackets.
        let Some(title) = line.trim_start().strip_prefix("✔ ").filter(|t| !t.ends_with("ms)") || sink.expects("mocha"))
        else {
            return 0;
        };
        if !sink.expects(TOOL.name) || self.tests.len() >= WAITING_MAX {
            return 0;
        }
        self.tests.push(TestCase { id: title.to_owned(), status: TestStatus::Passed, ..TestCase::default() });
        1
    }

    fn is_open(&self) -> bool {
        self.failing
    }

    fn finish(&mut self, sink: &mut Sink) {
        for test in std::mem::take(&mut self.tests) {
            sink.test(test);
        }
    }
}

impl Mocha {
    fn totals(&mut self, passed: u64, lines: Lines<'_>, sink: &mut Sink) -> usize {
        sink.evidence(Evidence::RunStarted);
        sink.evidence(Evidence::RunEnded);
        let mut counts = PrintedCounts { passed: Some(passed), failed: Some(0), ..PrintedCounts::default() };
        let mut read = 1;
        while let Some(line) = lines.ahead(read) {
            if let Some(pending) = count(line, " pending") {
                counts.skipped = Some(pending);
            } else if let Some(failed) = count(line, " failing") {
                counts.failed = Some(failed);
                self.failing = failed > 0;
            } else {
                break;
            }
            read += 1;
        }
        // A blank line closes the totals; without it the count of failures may still have been to come.
        if lines.ahead(read).is_none_or(|line| !line.is_empty()) {
            sink.evidence(Evidence::BreaksOff);
        }
        sink.printed(&counts);
        self.finish(sink);
        read
    }

    /// `  1) calc`, then `       adds:`, the error and its frames.
    fn failure(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(suite) = numbered(lines.first()) else { return 0 };
        let mut path = vec![suite.trim_end_matches(':')];
        let mut read = 1;
        let mut titled = suite.ends_with(':');
        while !titled
            && read < BLOCK_LINES_MAX
            && let Some(line) = lines.ahead(read)
        {
            titled = line.ends_with(':');
            path.push(line.trim().trim_end_matches(':'));
            read += 1;
        }
        let mut case = TestCase { id: path.join(" > "), status: TestStatus::Failed, ..TestCase::default() };
        let mut message = Vec::new();
        while read < BLOCK_LINES_MAX
            && let Some(line) = lines.ahead(read).filter(|line| numbered(line).is_none())
        {
            match v8_stack::frame(line) {
                Some(frame) if case.line.is_none() => (case.file, case.line) = (frame.file, frame.line),
                Some(_) => {}
                None if case.line.is_some() => break,
                None if !line.trim().is_empty() => message.push(line.trim()),
                None => {}
            }
            read += 1;
        }
        case.message = Some(message.join("\n"));
        sink.test(case);
        read
    }
}

/// `  2 passing (8ms)`
fn count(line: &str, what: &str) -> Option<u64> {
    let (count, rest) = line.strip_prefix("  ")?.trim_start().split_once(what)?;
    let whole = rest.is_empty() || rest.ends_with(')');
    whole.then(|| count.parse::<u32>().ok().map(u64::from)).flatten()
}

/// `  1) calc`
fn numbered(line: &str) -> Option<&str> {
    let (number, title) = line.strip_prefix("  ")?.split_once(") ")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(title)
}
