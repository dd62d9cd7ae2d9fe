//! JUnit's own console: a tree with a mark at each test, failures with their stack, twelve totals in brackets.

use super::maven::compared;
use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "junit-console",
    kind: Kind::TestRunner,
    anchors: &["─ ", "+-- ", "'-- ", "    MethodSource [className = '", "Test run finished after ", " tests found "],
    reader: || Box::new(JunitConsole::default()),
    ..Tool::DEFAULT
};

const FRAMES_MAX: usize = 200;

#[derive(Default)]
struct JunitConsole {
    /// Names of the containers above, with how far each is indented.
    above: Vec<(usize, String)>,
    started: bool,
}

impl Reader for JunitConsole {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("    MethodSource [") {
            return self.failure(line, lines, sink);
        }
        if line.starts_with("Test run finished after ") {
            return 1;
        }
        if let Some((counts, read)) = totals(lines) {
            self.start(sink);
            sink.evidence(Evidence::RunEnded);
            if counts.passed == Some(0) && counts.failed == Some(0) && counts.skipped == Some(0) {
                sink.evidence(Evidence::SaysNoTests);
            }
            sink.printed(&counts);
            *self = Self::default();
            return read;
        }
        let Some(node) = Node::parse(line) else { return 0 };
        self.start(sink);
        self.above.retain(|(indent, _)| *indent < node.indent);
        let inside = lines.ahead(1).and_then(|next| Node::parse(next.trim_end())).map(|next| next.indent);
        // A leaf with brackets is a method; an engine without tests is a leaf too. Failures are told below.
        let is_test = inside.is_none_or(|inside| inside <= node.indent) && self.above.len() >= 2;
        if is_test && node.status != TestStatus::Failed {
            let container = self.above.iter().skip(1).map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(":");
            sink.test(TestCase {
                id: format!("{container}:{}", node.name),
                status: node.status,
                message: Some(node.reason.to_owned()).filter(|reason| !reason.is_empty()),
                ..TestCase::default()
            });
        }
        self.above.push((node.indent, node.name.to_owned()));
        1
    }
}

impl JunitConsole {
    fn start(&mut self, sink: &mut Sink) {
        if !std::mem::replace(&mut self.started, true) {
            sink.evidence(Evidence::RunStarted);
        }
    }

    /// `  JUnit Jupiter:CalcTest:wrong()` above it; below `    => Exception: message` and the frames.
    fn failure(&mut self, source: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(path) = lines.back(1).and_then(|line| line.strip_prefix("  ")?.split_once(':')) else { return 0 };
        let class = source.split('\'').nth(1).unwrap_or("");
        let mut test = TestCase { id: path.1.trim().to_owned(), status: TestStatus::Failed, ..TestCase::default() };
        let mut read = 1;
        let mut message: Vec<&str> = Vec::new();
        while let Some(line) = lines.ahead(read).filter(|line| line.starts_with("    ") && read < FRAMES_MAX) {
            let text = line.trim();
            if let Some(first) = text.strip_prefix("=> ") {
                message.push(first);
            } else if let Some((function, place)) = text.strip_suffix(')').and_then(|text| text.rsplit_once('('))
                && function.contains('.')
                && !function.contains(' ')
            {
                let at = Place::colons(place).filter(|_| function.starts_with(class) && !class.is_empty());
                if let Some(at) = at.filter(|_| test.file.is_none()) {
                    test.file = Some(at.file.to_owned());
                    test.line = Some(at.line);
                }
            } else if text != "[...]" && test.file.is_none() {
                message.push(text);
            }
            read += 1;
        }
        let text = message.join("\n");
        (test.expected, test.actual) = compared(&text).unzip();
        test.message = Some(text).filter(|text| !text.is_empty());
        self.start(sink);
        sink.test(test);
        read
    }
}

struct Node<'a> {
    indent: usize,
    name: &'a str,
    status: TestStatus,
    reason: &'a str,
}

impl<'a> Node<'a> {
    /// `│  ├─ wrong() ✘ reason`, or in ASCII `|   +-- wrong() [X] reason`
    fn parse(line: &'a str) -> Option<Self> {
        let (tree, rest) = ["├─ ", "└─ ", "+-- ", "'-- "].iter().find_map(|branch| line.split_once(branch))?;
        if !tree.chars().all(|c| matches!(c, '│' | '|' | ' ')) {
            return None;
        }
        const MARKS: &[(&str, TestStatus)] = &[
            (" ✔", TestStatus::Passed),
            (" [OK]", TestStatus::Passed),
            (" ✘", TestStatus::Failed),
            (" [X]", TestStatus::Failed),
            (" ↷", TestStatus::Skipped),
            (" [S]", TestStatus::Skipped),
            (" ■", TestStatus::Skipped),
            (" [A]", TestStatus::Skipped),
        ];
        let (at, mark, status) = MARKS
            .iter()
            .filter_map(|(mark, status)| Some((rest.find(mark)?, *mark, *status)))
            .min_by_key(|found| found.0)?;
        let reason = &rest[at + mark.len()..];
        if !reason.is_empty() && !reason.starts_with(' ') {
            return None;
        }
        Some(Self { indent: tree.chars().count(), name: &rest[..at], status, reason: reason.trim() })
    }
}

/// From `[         4 tests found           ]` on: skipped, started, aborted, successful, failed.
fn totals(lines: Lines<'_>) -> Option<(PrintedCounts, usize)> {
    let count = |n: usize, what: &str| {
        let text = lines.ahead(n)?.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
        text.strip_suffix(what)?.trim().parse::<u64>().ok()
    };
    count(0, "tests found")?;
    let (skipped, aborted) = (count(1, "tests skipped")?, count(3, "tests aborted")?);
    let counts = PrintedCounts {
        passed: Some(count(4, "tests successful")?),
        failed: Some(count(5, "tests failed")?),
        skipped: Some(skipped.saturating_add(aborted)),
        ..PrintedCounts::default()
    };
    Some((counts, 6))
}
