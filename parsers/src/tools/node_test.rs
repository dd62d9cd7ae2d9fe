//! Node's own test runner: the spec reporter's tree and totals, and the failures that it and the dot reporter list.

use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "node-test",
    kind: Kind::TestRunner,
    anchors: &["✔ ", "✖ ", "﹣ ", "▶ ", "ℹ tests ", "Failed tests:", "......"],
    reader: || Box::new(NodeTest::default()),
    ..Tool::DEFAULT
};

const WAITING_MAX: usize = 50_000;
const BLOCK_LINES_MAX: usize = 400;
const DEPTH_MAX: usize = 64;

#[derive(Default)]
struct NodeTest {
    open: bool,
    /// Below the totals: the failures once more, with their place.
    failing: bool,
    /// Titles of the suites that are open, and how far in they stand.
    suites: Vec<(usize, String)>,
    tests: Vec<TestCase>,
    printed: PrintedCounts,
    /// `test at calc.test.js:3:1`
    place: Option<(String, u32)>,
    /// Whether all of the dot reporter's marks are dots. Suites have marks too, so they count no tests.
    dots: Option<bool>,
}

impl Reader for NodeTest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if self.failing {
            return self.failure(lines);
        }
        if is_dots(line) && (self.dots.is_some() || sink.has_option("--test-reporter", "dot")) {
            self.dots = Some(self.dots.unwrap_or(true) && !line.contains('X'));
            return 1;
        }
        if line == "Failed tests:" && is_dots(lines.back(2).unwrap_or("")) {
            self.start(sink);
            self.failing = true;
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let text = &line[indent..];
        if let Some(total) = text.strip_prefix("ℹ ") {
            return self.total(total, sink);
        }
        if let Some(suite) = text.strip_prefix("▶ ") {
            let next = lines.ahead(1).map(str::trim_start).unwrap_or("");
            if !self.open && !next.starts_with("▶ ") && Mark::parse(next).is_none() {
                return 0;
            }
            self.start(sink);
            self.suite(indent, suite);
            return 1;
        }
        let Some(mark) = Mark::parse(text).filter(|mark| self.open || mark.is_precise) else { return 0 };
        if mark.title == "failing tests:" {
            return 0;
        }
        self.start(sink);
        if self.suites.last().is_some_and(|(depth, title)| *depth == indent && title == mark.title) {
            self.suites.pop();
            return 1;
        }
        self.suites.retain(|(depth, _)| *depth < indent);
        let (case, read) = self.case(&mark, indent, lines);
        if self.tests.len() < WAITING_MAX {
            self.tests.push(case);
        }
        read
    }

    fn is_open(&self) -> bool {
        self.open || self.dots.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        // No total is printed: only the exit status says that the dots are all there are.
        match self.dots.take() {
            Some(true) => {
                sink.evidence(Evidence::SaysPassed);
                sink.evidence(Evidence::BreaksOff);
            }
            Some(false) => sink.evidence(Evidence::SaysFailed),
            None => {}
        }
        self.suites.clear();
        for test in self.tests.drain(..) {
            sink.test(test);
        }
    }
}

impl NodeTest {
    fn start(&mut self, sink: &mut Sink) {
        if !std::mem::replace(&mut self.open, true) {
            sink.evidence(Evidence::RunStarted);
        }
    }

    fn suite(&mut self, indent: usize, title: &str) {
        // Older versions close a suite with its title and the time it took.
        let timed = title.strip_suffix(')').and_then(|title| title.rsplit_once(" ("));
        let closes = timed.is_some_and(|(name, _)| {
            self.suites.iter().any(|(depth, suite)| *depth == indent && suite == name) && title.ends_with("ms)")
        });
        self.suites.retain(|(depth, _)| *depth < indent);
        if !closes && self.suites.len() < DEPTH_MAX {
            self.suites.push((indent, title.to_owned()));
        }
    }

    /// `tests 13`, `pass 8`, … `duration_ms 200.6`
    fn total(&mut self, text: &str, sink: &mut Sink) -> usize {
        let Some((word, number)) = text.split_once(' ') else { return 0 };
        let Ok(number) = number.trim().parse::<f64>() else { return 0 };
        let count = Some(number as u64);
        match word {
            "tests" => self.start(sink),
            _ if !self.open => return 0,
            "suites" => {}
            "pass" => self.printed.passed = count,
            "fail" => self.printed.failed = count,
            "skipped" => self.printed.skipped = count,
            "cancelled" | "todo" => {
                if word == "cancelled" && number > 0.0 {
                    sink.evidence(Evidence::SaysFailed);
                }
            }
            "duration_ms" if self.printed.passed.is_some() && self.printed.failed.is_some() => {
                sink.evidence(Evidence::RunEnded);
                sink.printed(&std::mem::take(&mut self.printed));
                // Only failures follow; without one the run is over.
                self.failing = self.tests.iter().any(|test| test.status == TestStatus::Failed);
                if !self.failing {
                    self.open = false;
                    self.finish(sink);
                }
            }
            _ => return 0,
        }
        1
    }

    fn case(&self, mark: &Mark<'_>, indent: usize, lines: Lines<'_>) -> (TestCase, usize) {
        let path = self.suites.iter().map(|(_, suite)| suite.as_str()).chain([mark.title]).collect::<Vec<_>>();
        let mut case = TestCase {
            id: path.join(" > "),
            status: mark.status,
            duration_ms: mark.duration_ms,
            message: mark.reason.map(str::to_owned),
            ..TestCase::default()
        };
        let mut read = 1;
        if case.status == TestStatus::Failed {
            read += explain(&mut case, indent, lines);
        }
        (case, read)
    }

    /// What the lists of failures add: where a test stands, and what was not printed with its mark.
    fn failure(&mut self, lines: Lines<'_>) -> usize {
        let line = lines.first();
        if line.is_empty() || line == "✖ failing tests:" {
            return 1;
        }
        if let Some(place) = line.strip_prefix("test at ").and_then(super::place::Place::colons) {
            self.place = Some((place.file.to_owned(), place.line));
            return 1;
        }
        let Some(mark) = line.strip_prefix("✖ ").and_then(|_| Mark::parse(line)) else {
            self.open = false;
            self.failing = false;
            return 0;
        };
        let (mut case, read) = (TestCase::default(), 1);
        let read = read + explain(&mut case, 0, lines);
        let place = self.place.take();
        let is_suite = case.message.as_deref().is_some_and(is_sum);
        let own = |test: &&mut TestCase| {
            test.status == TestStatus::Failed && test.duration_ms == mark.duration_ms && test.id.ends_with(mark.title)
        };
        if let Some(test) = self.tests.iter_mut().find(own) {
            test.message = test.message.take().or(case.message);
            test.expected = test.expected.take().or(case.expected);
            test.actual = test.actual.take().or(case.actual);
            if test.line.is_none() {
                (test.file, test.line) = match case.line {
                    Some(line) => (case.file, Some(line)),
                    None => place.map(|(file, line)| (Some(file), Some(line))).unwrap_or_default(),
                };
            }
        } else if !is_suite && self.tests.len() < WAITING_MAX {
            // The dot reporter prints no name but these.
            case.id = mark.title.to_owned();
            case.status = TestStatus::Failed;
            case.duration_ms = mark.duration_ms;
            self.tests.push(case);
        }
        read
    }
}

/// Reads the error below a failed test, which stands two columns further in, and answers how many lines it has.
fn explain(case: &mut TestCase, indent: usize, lines: Lines<'_>) -> usize {
    let mut message: Vec<&str> = Vec::new();
    let mut frames = false;
    let mut read = 0;
    while read < BLOCK_LINES_MAX
        && let Some(line) = lines.ahead(read + 1)
    {
        let inside = line.len() - line.trim_start_matches(' ').len() > indent + 1;
        // Blank lines are inside only where the error goes on behind them.
        let goes_on =
            || lines.ahead(read + 2).is_some_and(|next| next.starts_with("  ") && next.len() > indent + 2) && !frames;
        if !(inside && Mark::parse(line.trim_start()).is_none() || line.trim().is_empty() && goes_on()) {
            break;
        }
        read += 1;
        let text = line.trim();
        if let Some(frame) = v8_stack::frame(line) {
            frames = true;
            let own =
                frame.file.as_deref().is_some_and(|file| !file.starts_with("node:") && !file.contains("node_modules"));
            if own && case.line.is_none() {
                (case.file, case.line) = (frame.file, frame.line);
            }
        } else if let Some(value) = text.strip_prefix("expected: ").filter(|_| frames) {
            case.expected = Some(unquoted(value));
        } else if let Some(value) = text.strip_prefix("actual: ").filter(|_| frames) {
            case.actual = Some(unquoted(value));
        } else if !frames && !text.is_empty() {
            message.push(text);
        }
    }
    if !message.is_empty() {
        case.message = Some(message.join("\n"));
    }
    read
}

fn unquoted(value: &str) -> String {
    let value = value.trim_end_matches(',');
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value).to_owned()
}

/// `3 subtests failed`: what a suite says of itself.
fn is_sum(message: &str) -> bool {
    let text = message.trim_matches('\'');
    (text.ends_with(" subtest failed") || text.ends_with(" subtests failed"))
        && text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_dots(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| matches!(b, b'.' | b'X'))
}

/// `✔ title (1.2ms) # SKIP`
struct Mark<'a> {
    title: &'a str,
    status: TestStatus,
    duration_ms: Option<f64>,
    reason: Option<&'a str>,
    /// Fractions of a millisecond, which other runners with these marks do not print.
    is_precise: bool,
}

impl<'a> Mark<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        const MARKS: &[(&str, TestStatus)] = &[
            ("✔ ", TestStatus::Passed),
            ("✖ ", TestStatus::Failed),
            ("﹣ ", TestStatus::Skipped),
            ("⚠ ", TestStatus::Xfailed),
        ];
        let (rest, mut status) = MARKS.iter().find_map(|&(mark, status)| Some((text.strip_prefix(mark)?, status)))?;
        let (head, directive) = match rest.rsplit_once("ms) # ") {
            Some((head, directive)) => (&rest[..head.len() + 3], Some(directive)),
            None => (rest, None),
        };
        let timed = head.strip_suffix("ms)").and_then(|head| head.rsplit_once(" ("));
        let time = timed.filter(|(_, time)| time.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        let mut reason = None;
        if let Some(directive) = directive {
            let todo = directive == "TODO" || directive.starts_with("TODO ");
            status = match status {
                TestStatus::Passed if todo => TestStatus::Xpassed,
                TestStatus::Failed if todo => TestStatus::Xfailed,
                other => other,
            };
            reason = Some(directive).filter(|directive| !matches!(*directive, "SKIP" | "TODO"));
        }
        Some(Self {
            title: time.map_or(head, |(title, _)| title),
            status,
            duration_ms: time.and_then(|(_, time)| time.parse().ok()),
            reason,
            is_precise: time.is_some_and(|(_, time)| time.contains('.')),
        })
    }
}
