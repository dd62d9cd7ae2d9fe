//! The Test Anything Protocol, versions 12 to 14: plans, subtests, YAML blocks, Perl's failure comments, `Bail out!`.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "tap",
    kind: Kind::TestRunner,
    anchors: &["TAP version ", "not ok ", "ok 1", "Bail out!", "1.."],
    reader: || Box::new(Tap::default()),
    ..Tool::DEFAULT
};

const DEPTH_MAX: usize = 32;
const YAML_LINES_MAX: usize = 400;

#[derive(Default)]
struct Tap {
    /// Tests of subtests that wait for their parent's line, by depth.
    levels: Vec<Level>,
    open: bool,
    plan: Option<u64>,
    top_level_seen: u64,
    /// Counts from node's closing comments.
    printed: PrintedCounts,
    /// The last failing test waits for the comments that tell its place.
    waiting: Option<TestCase>,
}

#[derive(Default)]
struct Level {
    tests: Vec<TestCase>,
    /// From `# Subtest: name`, before the tests of that subtest.
    name: Option<String>,
}

/// `ok 1 - description # SKIP reason`
struct Point<'a> {
    passed: bool,
    description: &'a str,
    directive: Option<(&'a str, &'a str)>,
}

impl Reader for Tap {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let depth = (indent / 4).min(DEPTH_MAX);
        if indent == 0 && text.starts_with("TAP version ") {
            self.close(sink);
            self.start(sink);
            return 1;
        }
        if indent == 0 && text.starts_with("Bail out!") {
            self.start(sink);
            sink.evidence(Evidence::SaysError);
            sink.diagnostic(Diagnostic {
                severity: Some(Severity::Error),
                message: text.to_owned(),
                ..Diagnostic::default()
            });
            return 1;
        }
        if let Some(count) = plan(text).filter(|_| indent.is_multiple_of(4) && (indent == 0 || self.open)) {
            if !self.open && !next_is_tap(lines) && self.top_level_seen == 0 && count > 0 {
                return 0;
            }
            if indent == 0 {
                self.start(sink);
                self.plan = Some(self.plan.unwrap_or(0).saturating_add(count));
            }
            return 1;
        }
        if let Some(point) = point(text).filter(|_| self.open || indent == 0) {
            self.start(sink);
            return self.point(&point, depth, indent, lines, sink);
        }
        if self.open { self.comment(text, depth) } else { 0 }
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
    }
}

impl Tap {
    fn start(&mut self, sink: &mut Sink) {
        if !self.open {
            self.open = true;
            sink.evidence(Evidence::RunStarted);
        }
    }

    fn close(&mut self, sink: &mut Sink) {
        if !self.open {
            return;
        }
        sink_waiting(&mut self.waiting, sink);
        for level in self.levels.drain(..) {
            level.tests.into_iter().for_each(|test| sink.test(test));
        }
        // Without a plan, or short of it, nothing says that the run came to its end.
        match self.plan {
            Some(0) => {
                sink.evidence(Evidence::SaysNoTests);
                sink.evidence(Evidence::RunEnded);
            }
            Some(plan) if self.top_level_seen >= plan => {
                if self.printed != PrintedCounts::default() {
                    sink.printed(&self.printed);
                }
                sink.evidence(Evidence::RunEnded);
            }
            Some(_) => sink.evidence(Evidence::SaysError),
            None => {}
        }
        *self = Self::default();
    }

    fn point(&mut self, point: &Point<'_>, depth: usize, indent: usize, lines: Lines<'_>, sink: &mut Sink) -> usize {
        sink_waiting(&mut self.waiting, sink);
        if depth == 0 {
            self.top_level_seen += 1;
        }
        let (yaml, block) = Yaml::read(lines, indent);
        let children = if self.levels.len() > depth + 1 { self.levels.drain(depth + 1..).next() } else { None };
        let is_suite = yaml.kind.as_deref() == Some("suite");
        if let Some(children) = children.filter(|children| !children.tests.is_empty()) {
            // The parent sums its children up; a failure of its own would be lost if all of them passed.
            let own_failure = !point.passed && children.tests.iter().all(|test| test.status != TestStatus::Failed);
            for mut test in children.tests {
                test.id = format!("{} > {}", point.description, test.id);
                self.add(test, depth, sink);
            }
            if !own_failure || point.directive.is_some() {
                return block;
            }
        } else if is_suite && point.passed {
            return block;
        }
        let mut test = TestCase {
            id: point.description.to_owned(),
            status: status(point),
            duration_ms: yaml.duration_ms,
            ..TestCase::default()
        };
        match test.status {
            TestStatus::Failed => {
                (test.file, test.line) = (yaml.file, yaml.line);
                (test.message, test.expected, test.actual) = (yaml.message, yaml.expected, yaml.actual);
                // Comments below a failing test tell more of it.
                if depth == 0 && block == 1 {
                    self.waiting = Some(test);
                    return block;
                }
            }
            TestStatus::Skipped | TestStatus::Xfailed => {
                test.message = point.directive.map(|(_, reason)| reason.to_owned()).filter(|reason| !reason.is_empty());
            }
            _ => {}
        }
        self.add(test, depth, sink);
        block
    }

    fn add(&mut self, test: TestCase, depth: usize, sink: &mut Sink) {
        if depth == 0 {
            sink.test(test);
            return;
        }
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Level::default);
        }
        self.levels[depth].tests.push(test);
    }

    fn comment(&mut self, text: &str, depth: usize) -> usize {
        let Some(comment) = text.strip_prefix('#') else { return 0 };
        let comment = comment.trim();
        if let Some(name) = comment.strip_prefix("Subtest: ") {
            if self.levels.len() <= depth + 1 {
                self.levels.resize_with((depth + 2).min(DEPTH_MAX + 2), Level::default);
            }
            if let Some(level) = self.levels.get_mut(depth + 1) {
                level.name = Some(name.to_owned());
            }
            return 1;
        }
        if depth == 0
            && let Some((word, count)) = comment.split_once(' ')
            && let Ok(count) = count.trim().parse::<u64>()
        {
            match word {
                "pass" => self.printed.passed = Some(count),
                "fail" => self.printed.failed = Some(count),
                "skipped" | "skip" => self.printed.skipped = Some(count),
                _ => {}
            }
            return 1;
        }
        if let Some(test) = &mut self.waiting {
            perl_comment(comment, test);
        }
        1
    }
}

fn sink_waiting(waiting: &mut Option<TestCase>, sink: &mut Sink) {
    if let Some(test) = waiting.take() {
        sink.test(test);
    }
}

/// `Failed test 'x'`, `at t/a.t line 5.`, `got: '1'`, `expected: '2'`
fn perl_comment(comment: &str, test: &mut TestCase) {
    if let Some((file, line)) = super::bats::place(comment) {
        (test.file, test.line) = (Some(file.to_owned()), Some(line));
        return;
    }
    let place = comment.rsplit_once("at ").and_then(|(_, place)| {
        let (file, line) = place.trim_end_matches('.').split_once(" line ")?;
        Some((file.to_owned(), line.parse().ok()?))
    });
    if let Some((file, line)) = place {
        test.file.get_or_insert(file);
        test.line = test.line.or(Some(line));
    } else if let Some(got) = comment.strip_prefix("got: ") {
        test.actual.get_or_insert_with(|| unquoted(got).to_owned());
    } else if let Some(expected) = comment.strip_prefix("expected: ") {
        test.expected.get_or_insert_with(|| unquoted(expected).to_owned());
    } else if !comment.is_empty() && !comment.starts_with("Failed test") && !comment.starts_with("Looks like") {
        test.message.get_or_insert_with(|| comment.to_owned());
    }
}

/// `1..4`, with a reason after `#` where there is none.
fn plan(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("1..")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest[digits..].trim();
    (after.is_empty() || after.starts_with('#')).then(|| rest[..digits].parse().ok())?
}

/// Whether one of the next lines is a test: `1..4` alone could be anything.
fn next_is_tap(lines: Lines<'_>) -> bool {
    (1..=20).filter_map(|n| lines.ahead(n)).any(|line| point(line.trim_start()).is_some())
}

fn point(text: &str) -> Option<Point<'_>> {
    let (passed, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = &rest[digits..];
    // A number is optional, but `ok` alone begins many sentences.
    if digits == 0 || !(after.is_empty() || after.starts_with(' ')) {
        return None;
    }
    let after = after.trim();
    let after = after.strip_prefix("- ").unwrap_or(after).trim_end_matches(" {");
    let (description, directive) = match after.rsplit_once('#') {
        Some((description, directive)) if !description.ends_with('\\') => {
            let directive = directive.trim();
            let end = directive.find(|c: char| c.is_whitespace() || c == ':').unwrap_or(directive.len());
            let (word, reason) = directive.split_at(end);
            let known = ["skip", "skipped", "todo", "time"].iter().any(|known| word.eq_ignore_ascii_case(known))
                || word.split_once('=').is_some_and(|(name, _)| name == "time");
            if known {
                (description.trim_end(), Some((word, reason.trim_start_matches([':', ' ']))))
            } else {
                (after, None)
            }
        }
        Some(_) | None => (after, None),
    };
    Some(Point { passed, description, directive })
}

fn status(point: &Point<'_>) -> TestStatus {
    let is =
        |word: &str| point.directive.is_some_and(|(directive, _)| directive.to_ascii_lowercase().starts_with(word));
    match point.passed {
        _ if is("skip") => TestStatus::Skipped,
        true if is("todo") => TestStatus::Xpassed,
        false if is("todo") => TestStatus::Xfailed,
        true => TestStatus::Passed,
        false => TestStatus::Failed,
    }
}

/// What the YAML block below a test tells, in the keys that runners agree on.
#[derive(Default)]
struct Yaml {
    message: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    duration_ms: Option<f64>,
    kind: Option<String>,
}

impl Yaml {
    /// Reads the block and answers how many lines the test has with it.
    fn read(lines: Lines<'_>, indent: usize) -> (Self, usize) {
        let mut found = Self::default();
        if lines.ahead(1).is_none_or(|line| line.trim() != "---" || line.len() < indent + 4) {
            return (found, 1);
        }
        let mut at = 2;
        while let Some(line) = lines.ahead(at) {
            at += 1;
            if line.trim() == "..." || at > YAML_LINES_MAX {
                break;
            }
            let Some((key, value)) = line.trim().split_once(':') else { continue };
            let block = matches!(value.trim(), "|-" | "|" | ">-" | ">");
            let value = if block { lines.ahead(at).unwrap_or("").trim() } else { unquoted(value.trim()) };
            if value.is_empty() {
                continue;
            }
            match key.trim_matches('\'') {
                "message" | "error" => found.message = found.message.take().or_else(|| Some(value.to_owned())),
                "expected" | "wanted" => found.expected = Some(value.to_owned()),
                "actual" | "found" | "got" => found.actual = Some(value.to_owned()),
                "duration_ms" => found.duration_ms = value.parse().ok(),
                "type" => found.kind = Some(value.to_owned()),
                "file" | "fileName" => found.file = Some(value.to_owned()),
                "line" | "lineNumber" => found.line = value.parse().ok(),
                "location" | "at" => {
                    let place = value.rsplit_once(" (").map_or(value, |(_, place)| place.trim_end_matches(')'));
                    if let Some(place) = super::place::Place::colons(place) {
                        found.file = Some(place.file.trim_start_matches("file://").to_owned());
                        found.line = Some(place.line);
                    }
                }
                _ => {}
            }
        }
        (found, at)
    }
}

fn unquoted(text: &str) -> &str {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}
