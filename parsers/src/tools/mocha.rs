//! mocha: the totals every text reporter ends with, marks of the spec reporter, and the numbered failures.

use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "mocha",
    kind: Kind::TestRunner,
    commands: &["mocha"],
    anchors: &[" passing (", "  ✔ ", "  ✓ "],
    reader: || Box::new(Mocha::default()),
    ..Tool::DEFAULT
};

const WAITING_MAX: usize = 50_000;
const BLOCK_LINES_MAX: usize = 200;
const DEPTH_MAX: usize = 64;
const SEARCHES_MAX: u32 = 8;

#[derive(Default)]
struct Mocha {
    /// In the spec reporter's tree: suites are told from output by how far in they stand.
    open: bool,
    /// Searches for the totals below a mark: each costs a look at many lines, so there is an end to trying.
    searched: u32,
    suites: Vec<(usize, String)>,
    tests: Vec<TestCase>,
    /// Failures of the tree by number, until the list below the totals explains them.
    failures: Vec<(u32, TestCase)>,
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
        let Some(mark) = Mark::parse(line) else {
            return if self.open { self.suite(lines) } else { 0 };
        };
        if !self.open {
            if !matches!(mark.kind, MarkKind::Passed) || !self.is_own(&mark, lines, sink) {
                return 0;
            }
            self.open = true;
            self.suites = suites_above(lines, mark.indent);
        }
        if self.tests.len() + self.failures.len() >= WAITING_MAX {
            return 1;
        }
        self.suites.retain(|(depth, _)| *depth < mark.indent);
        let (title, duration_ms) = timed(mark.title);
        let suites: Vec<&str> = self.suites.iter().map(|(_, title)| title.as_str()).collect();
        let mut case = TestCase { id: id(&suites, title), duration_ms, ..TestCase::default() };
        match mark.kind {
            MarkKind::Passed => case.status = TestStatus::Passed,
            MarkKind::Pending => case.status = TestStatus::Skipped,
            MarkKind::Failed(number) => {
                case.status = TestStatus::Failed;
                self.failures.push((number, case));
                return 1;
            }
        }
        self.tests.push(case);
        1
    }

    fn is_open(&self) -> bool {
        self.open || self.failing
    }

    fn finish(&mut self, sink: &mut Sink) {
        let failures = std::mem::take(&mut self.failures).into_iter().map(|(_, test)| test);
        for test in std::mem::take(&mut self.tests).into_iter().chain(failures) {
            sink.test(test);
        }
    }
}

impl Mocha {
    /// Other runners have the same marks: Node's own, ava and jest.
    fn is_own(&mut self, mark: &Mark<'_>, lines: Lines<'_>, sink: &Sink) -> bool {
        let precise = timed(mark.title).1.is_some() && mark.title.ends_with("ms)") && mark.title.contains('.');
        if sink.expects(TOOL.name) {
            return true;
        }
        if precise || self.searched >= SEARCHES_MAX {
            return false;
        }
        self.searched += 1;
        (1..=Lines::AHEAD_MAX).map_while(|n| lines.ahead(n)).any(|line| count(line, " passing (").is_some())
    }

    /// A suite's title: what is below stands one step further in.
    fn suite(&mut self, lines: Lines<'_>) -> usize {
        let line = lines.first();
        let indent = indent(line);
        let inside = lines.ahead(1).filter(|next| self::indent(next) == indent + 2);
        if indent < 2 || !indent.is_multiple_of(2) || inside.is_none() || self.suites.len() >= DEPTH_MAX {
            return 0;
        }
        self.suites.retain(|(depth, _)| *depth < indent);
        self.suites.push((indent, line.trim().to_owned()));
        1
    }

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
        self.open = false;
        for test in self.tests.drain(..) {
            sink.test(test);
        }
        read
    }

    /// `  1) calc`, then `       adds:`, the error and its frames.
    fn failure(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((number, suite)) = numbered(lines.first()) else { return 0 };
        self.failures.retain(|(known, _)| *known != number);
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
        let (title, suites) = path.split_last().expect("the first title is always there");
        let mut case = TestCase { id: id(suites, title), status: TestStatus::Failed, ..TestCase::default() };
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

/// mocha's own full titles join suites with blanks.
fn id(suites: &[&str], title: &str) -> String {
    if suites.is_empty() { title.to_owned() } else { format!("{} > {title}", suites.join(" ")) }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Titles of the suites that a test stands in, from the lines above it.
fn suites_above(lines: Lines<'_>, mut below: usize) -> Vec<(usize, String)> {
    let mut suites = Vec::new();
    for line in (1..=Lines::BACK_MAX).map_while(|n| lines.back(n)) {
        let indent = indent(line);
        if below <= 2 || line.trim().is_empty() {
            break;
        }
        if indent >= 2 && indent + 2 == below {
            suites.push((indent, line.trim().to_owned()));
            below = indent;
        }
    }
    suites.reverse();
    suites
}

/// `title (45ms)`, for tests that are slow, or the list reporter's `title: 45ms`.
fn timed(title: &str) -> (&str, Option<f64>) {
    let bracket = title.strip_suffix("ms)").and_then(|title| title.rsplit_once(" ("));
    let time = bracket.or_else(|| title.strip_suffix("ms")?.rsplit_once(": "));
    match time.and_then(|(title, time)| Some((title, time.parse().ok()?))) {
        Some((title, time)) => (title, Some(time)),
        None => (title, None),
    }
}

struct Mark<'a> {
    kind: MarkKind,
    indent: usize,
    title: &'a str,
}

#[derive(Clone, Copy)]
enum MarkKind {
    Passed,
    Pending,
    Failed(u32),
}

impl<'a> Mark<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let indent = indent(line);
        let text = &line[indent..];
        if indent < 2 {
            return None;
        }
        let passed = text.strip_prefix("✔ ").or_else(|| text.strip_prefix("✓ "));
        if let Some(title) = passed {
            return Some(Self { kind: MarkKind::Passed, indent, title });
        }
        if let Some(title) = text.strip_prefix("- ") {
            return Some(Self { kind: MarkKind::Pending, indent, title });
        }
        let (number, title) = text.split_once(") ")?;
        let number = super::place::number(number)?;
        Some(Self { kind: MarkKind::Failed(number), indent, title })
    }
}

/// `  2 passing (8ms)`
fn count(line: &str, what: &str) -> Option<u64> {
    let (count, rest) = line.strip_prefix("  ")?.trim_start().split_once(what)?;
    let whole = rest.is_empty() || rest.ends_with(')');
    whole.then(|| count.parse::<u32>().ok().map(u64::from)).flatten()
}

/// `  1) calc`
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, title) = line.strip_prefix("  ")?.split_once(") ")?;
    Some((super::place::number(number)?, title))
}
