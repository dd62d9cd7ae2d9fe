//! The Test Anything Protocol, versions 12 to 14: plans, subtests, YAML blocks, Perl's failure comments, `Bail out!`.

use super::{Kind, Reader, Tool, rule_tester, v8_stack};
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
const WAITING_MAX: usize = 20_000;
const TITLE_LINES_MAX: usize = 200;
const THROWN_MAX: usize = 8;

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
    /// Groups in braces that are open: their own line comes first.
    groups: Vec<Group>,
    /// As long as every title is `RuleTester`'s, and until the run is over.
    rules: Vec<TestCase>,
    /// Some title was not.
    has_other_titles: bool,
}

#[derive(Default)]
struct Level {
    tests: Vec<TestCase>,
    /// From `# Subtest: name`, before the tests of that subtest.
    name: Option<String>,
}

/// `not ok 1 - name # time=1ms {`, up to its `}`.
struct Group {
    indent: usize,
    test: TestCase,
    /// It holds tests, whose sum it is.
    is_sum: bool,
    /// Of the same status as its own.
    agrees: bool,
}

/// `ok 1 - description # SKIP reason`
#[derive(Clone, Copy)]
struct Point<'a> {
    passed: bool,
    description: &'a str,
    directive: Option<(&'a str, &'a str)>,
    opens: bool,
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
        if text == "}" && self.groups.iter().any(|group| group.indent == indent) {
            self.close_groups(indent, sink);
            return 1;
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
        self.sink_waiting(sink);
        self.close_groups(0, sink);
        for test in std::mem::take(&mut self.levels).into_iter().flat_map(|level| level.tests) {
            self.add_top(test, sink);
        }
        rule_tester::name(&mut self.rules.iter_mut().collect::<Vec<_>>());
        self.rules.drain(..).for_each(|test| sink.test(test));
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
        self.sink_waiting(sink);
        if depth == 0 {
            self.top_level_seen += 1;
        }
        let (yaml, block) = Yaml::read(lines, indent);
        let opens = point.opens && opens_group(indent, lines);
        let whole;
        let point = match point.opens && !opens && point.directive.is_none() {
            true => {
                whole = format!("{} {{", point.description);
                &Point { description: &whole, ..*point }
            }
            false => point,
        };
        let code = depth == 0 && block == 1 && !self.has_other_titles && rule_tester::fits(point.description);
        let title_lines = if code { title_lines(point.passed, lines) } else { 1 };
        let block = block.max(title_lines);
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
        // Blanks at a line's end are of the title where it goes on below.
        let line = lines.first();
        let blanks = if title_lines > 1 { &line[line.trim_end().len()..] } else { "" };
        let more = (1..title_lines).filter_map(|n| lines.ahead(n));
        let mut test = TestCase {
            id: more.fold(format!("{}{blanks}", point.description), |id, line| id + "\n" + line),
            status: status(point),
            duration_ms: yaml.duration_ms,
            ..TestCase::default()
        };
        if opens {
            self.close_groups(indent, sink);
            let inside = self.groups.last().map(|group| group.test.id.as_str());
            if let Some(id) = inside.map(|outer| format!("{outer} > {}", test.id)) {
                test.id = id;
            }
            if self.groups.len() < DEPTH_MAX {
                self.groups.push(Group { indent, test, is_sum: false, agrees: false });
            }
            return block;
        }
        match test.status {
            TestStatus::Failed => {
                (test.file, test.line) = (yaml.file, yaml.line);
                (test.message, test.expected, test.actual) = (yaml.message, yaml.expected, yaml.actual);
                // Comments below a failing test tell more of it.
                if depth == 0 && block == title_lines {
                    thrown_below(&mut test, title_lines, lines);
                    self.waiting = Some(test);
                    return block;
                }
            }
            TestStatus::Skipped | TestStatus::Xfailed => {
                test.message = point.directive.map(|(_, reason)| reason.to_owned()).filter(|reason| !reason.is_empty());
            }
            _ => {}
        }
        if !self.groups.is_empty() {
            self.close_groups(indent, sink);
        }
        if let Some(group) = self.groups.last() {
            test.id = format!("{} > {}", group.test.id, test.id);
            self.add_grouped(test, sink);
            return block;
        }
        self.add(test, depth, sink);
        block
    }

    /// The outermost group may be a file, whose name is no part of an id.
    fn add_grouped(&mut self, mut test: TestCase, sink: &mut Sink) {
        for group in &mut self.groups {
            group.is_sum = true;
            group.agrees |= group.test.status == test.status;
        }
        let first = self.groups.first().map(|group| group.test.id.as_str()).filter(|name| is_file(name));
        if let Some(name) = first
            && let Some(rest) = test.id.strip_prefix(name).and_then(|rest| rest.strip_prefix(" > "))
        {
            test.file.get_or_insert_with(|| name.to_owned());
            test.id = rest.to_owned();
        }
        sink.test(test);
    }

    /// Closes the groups that stand at `indent` or further in. One without tests is a test, and one that failed though
    /// none of its tests did has failed itself.
    fn close_groups(&mut self, indent: usize, sink: &mut Sink) {
        while let Some(group) = self.groups.pop_if(|group| group.indent >= indent) {
            if !group.is_sum || group.test.status == TestStatus::Failed && !group.agrees {
                self.add_grouped(group.test, sink);
            }
        }
    }

    fn add(&mut self, test: TestCase, depth: usize, sink: &mut Sink) {
        if depth == 0 {
            self.add_top(test, sink);
            return;
        }
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Level::default);
        }
        self.levels[depth].tests.push(test);
    }

    fn add_top(&mut self, test: TestCase, sink: &mut Sink) {
        self.has_other_titles |= self.rules.len() >= WAITING_MAX || !rule_tester::fits(&test.id);
        if !self.has_other_titles {
            self.rules.push(test);
            return;
        }
        for mut test in self.rules.drain(..) {
            // What stood below the title was not part of it after all.
            test.id.truncate(test.id.find('\n').unwrap_or(test.id.len()));
            sink.test(test);
        }
        sink.test(test);
    }

    fn sink_waiting(&mut self, sink: &mut Sink) {
        if let Some(test) = self.waiting.take() {
            self.add_top(test, sink);
        }
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

/// How many lines a title of `RuleTester` takes, which is code: all up to the next point, or up to a failure's message. That
/// is known by the stack below it, which begins with the same words.
fn title_lines(passed: bool, lines: Lines<'_>) -> usize {
    let ends = |line: &str| point(line).is_some() || plan(line).is_some() || line.starts_with("# ");
    let Some(below) = (1..TITLE_LINES_MAX).find(|n| lines.ahead(*n).is_some_and(ends)) else { return 1 };
    if passed {
        return (1..below).rev().find(|n| lines.ahead(*n).is_some_and(|line| !line.is_empty())).map_or(1, |n| n + 1);
    }
    let inside = |n: usize| lines.ahead(n).and_then(|line| line.strip_prefix("  "));
    let thrown = |n: usize| {
        let (name, message) = inside(n)?.split_once(": ")?;
        let is_error = name.ends_with("Error") || name.ends_with(']') && name.contains("Error [");
        is_error.then_some(message)
    };
    let said = |message: &str| (1..below).find(|n| inside(*n) == Some(message));
    (1..below).filter_map(thrown).take(THROWN_MAX).find_map(said).unwrap_or(1)
}

/// What mocha prints further in below a failed test: its message, and the stack, which begins with the message again. The
/// lines themselves are left to who reads stacks.
fn thrown_below(test: &mut TestCase, from: usize, lines: Lines<'_>) {
    let inside = |n: usize| lines.ahead(n).and_then(|line| line.strip_prefix("  "));
    let below = || (from..from + TITLE_LINES_MAX).map_while(inside);
    let Some(frames_at) = below().position(|line| v8_stack::frame(line).is_some()) else { return };
    let message: Vec<&str> = below().take(frames_at).collect();
    let Some(first) = message.first() else { return };
    let again = message.iter().skip(1).position(|line| line.ends_with(first)).map_or(0, |at| at + 1);
    test.message = Some(message[again..].join("\n").trim_end().to_owned());
    let frames = || below().skip(frames_at).map_while(v8_stack::frame);
    let is_own = |file: &str| !file.contains("node_modules") && !file.starts_with("node:");
    let place = frames().find(|frame| frame.file.as_deref().is_some_and(is_own)).or_else(|| frames().next());
    (test.file, test.line) = place.map(|frame| (frame.file, frame.line)).unwrap_or_default();
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

/// Whether the next line is inside the braces that a test's line ends with.
fn opens_group(indent: usize, lines: Lines<'_>) -> bool {
    lines.ahead(1).is_some_and(|line| {
        let text = line.trim_start_matches(' ');
        line.len() - text.len() > indent && (plan(text).is_some() || point(text).is_some() || text.starts_with("# "))
    })
}

fn is_file(name: &str) -> bool {
    !name.contains(' ') && name.rsplit('/').next().is_some_and(|last| last.contains('.'))
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
    let after = after.strip_prefix("- ").unwrap_or(after);
    let opens = after.ends_with(" {");
    let after = after.trim_end_matches(" {");
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
    Some(Point { passed, description, directive, opens })
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

#[cfg(test)]
mod tests {
    use crate::{Report, ToolOutput, parse};

    fn read(text: &str) -> Report {
        parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() })
    }

    fn ids(report: &Report) -> Vec<&str> {
        report.tests.iter().map(|test| test.id.as_str()).collect()
    }

    #[test]
    fn a_group_in_braces_comes_before_its_tests() {
        let report = read(concat!(
            "TAP version 13\n1..1\nnot ok 1 - a.test.js # time=2.46ms {\n    1..2\n    not ok 1 - good # time=1.8ms {\n",
            "        1..2\n        ok 1 - one # time=0.5ms\n        not ok 2 - two\n    }\n    ok 2 - alone # time=0.05ms\n}\n",
        ));
        assert_eq!(ids(&report), ["good > one", "good > two", "alone"]);
        assert_eq!((report.summary.passed, report.summary.failed), (2, 1));
        assert_eq!(report.tests[0].file.as_deref(), Some("a.test.js"));
    }

    #[test]
    fn a_group_that_failed_by_itself_is_told() {
        let report = read("TAP version 13\nnot ok 1 - a.js {\n    ok 1 - one\n    1..1\n}\n1..1\n");
        assert_eq!((report.summary.passed, report.summary.failed), (1, 1));
    }

    #[test]
    fn code_for_a_title_has_many_lines_in_a_run_of_rules_only() {
        let rules = "ok 1 no-x valid if (a) {\n  b\n}\nok 2 no-x invalid c = \n  d\n1..2\n";
        assert_eq!(ids(&read(rules)), ["no-x valid > if (a) {\n  b\n}", "no-x invalid > c = \n  d"]);
        let others = "ok 1 email valid address\nhello\nok 2 it works\n1..2\n";
        assert_eq!(ids(&read(others)), ["email valid address", "it works"]);
    }
}
