//! mocha: the totals every text reporter ends with, marks of the spec reporter, and the numbered failures.

use super::{Kind, Reader, Tool, rule_tester, v8_stack};
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
const TITLE_LINES_MAX: usize = 200;

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
    /// Some test stood below its suites, not beside them.
    in_tree: bool,
    /// The last line is the title of a test that may go on in the next one.
    title: Option<Title>,
}

/// Where the title of the last test is kept.
#[derive(Clone, Copy)]
struct Title {
    failed: bool,
    indent: usize,
    lines: usize,
    /// Empty lines since: part of the title if it goes on behind them.
    blank: usize,
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
        if let Some(title) = self.title {
            let read = self.go_on(title, lines);
            if read > 0 {
                return read;
            }
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
        let (whole, read) = listed(&mark, lines);
        let (title, duration_ms) = timed(&whole);
        let suites: Vec<&str> = self.suites.iter().map(|(_, title)| title.as_str()).collect();
        self.in_tree |= !suites.is_empty();
        let is_code = suites.len() > 1 && suites.last().is_some_and(|suite| rule_tester::is_suite(suite));
        let mut case = TestCase { id: id(&suites, title), duration_ms, ..TestCase::default() };
        let failed = matches!(mark.kind, MarkKind::Failed(_));
        self.title =
            (is_code && duration_ms.is_none()).then_some(Title { failed, indent: mark.indent, lines: 1, blank: 0 });
        match mark.kind {
            MarkKind::Passed => case.status = TestStatus::Passed,
            MarkKind::Pending => case.status = TestStatus::Skipped,
            MarkKind::Failed(number) => {
                case.status = TestStatus::Failed;
                self.failures.push((number, case));
                return read;
            }
        }
        self.tests.push(case);
        read
    }

    fn is_open(&self) -> bool {
        self.open || self.failing
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.name();
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

    /// Code for a title goes on in every line that is neither a test's beside it nor the next suite's.
    fn go_on(&mut self, title: Title, lines: Lines<'_>) -> usize {
        let line = lines.first();
        let (text, indent) = (line.trim(), indent(line));
        let Some(id) = (match title.failed {
            true => self.failures.last_mut().map(|(_, test)| test),
            false => self.tests.last_mut(),
        }) else {
            return 0;
        };
        if text.is_empty() {
            self.title = Some(Title { blank: title.blank + 1, ..title });
            return 0;
        }
        let is_test = indent == title.indent && Mark::parse(line).is_some();
        let is_suite = indent + 2 == title.indent && rule_tester::is_suite(text);
        // `invalid` beside a suite `valid` is of the same rule, whatever stands between.
        let is_rule = || {
            let next = lines.ahead(1).unwrap_or("");
            let deeper = self::indent(next) == indent + 2;
            let sibling = next.trim() == "invalid"
                && self.suites.last().is_some_and(|(at, suite)| suite == "valid" && *at == self::indent(next));
            let begins = title.blank > 0 || rule_tester::is_suite(next.trim());
            indent + 2 < title.indent && deeper && begins && !sibling
        };
        let lines_so_far = title.lines + title.blank;
        if is_test || is_suite || indent > 0 && is_rule() || lines_so_far >= TITLE_LINES_MAX {
            self.title = None;
            return 0;
        }
        let (more, duration_ms) = timed(line);
        id.id.extend(std::iter::repeat_n('\n', title.blank + 1));
        id.id.push_str(more);
        id.duration_ms = duration_ms;
        self.title = duration_ms.is_none().then_some(Title { lines: lines_so_far + 1, blank: 0, ..title });
        1
    }

    /// The list reporter's titles, which hold the suites too, where it is known how these end.
    fn name(&mut self) {
        let failures = self.failures.iter_mut().map(|(_, test)| test);
        let mut tests: Vec<&mut TestCase> = self.tests.iter_mut().chain(failures).collect();
        if !self.in_tree {
            rule_tester::name(&mut tests);
        }
    }

    /// A suite's title: what is below stands one step further in.
    fn suite(&mut self, lines: Lines<'_>) -> usize {
        let line = lines.first();
        let indent = indent(line);
        let inside = lines.ahead(1).filter(|next| self::indent(next) == indent + 2);
        if line.trim().is_empty()
            || indent < 2
            || !indent.is_multiple_of(2)
            || inside.is_none()
            || self.suites.len() >= DEPTH_MAX
        {
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
        self.title = None;
        self.name();
        for test in self.tests.drain(..) {
            sink.test(test);
        }
        read
    }

    /// `  1) calc`, then `       adds:`, the error and its frames.
    fn failure(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((number, suite)) = numbered(lines.first()) else { return 0 };
        let known = self.failures.iter().position(|(known, _)| *known == number);
        let known = known.map(|at| self.failures.remove(at).1.id);
        let (path, mut read) = titles(suite, known.as_deref(), lines);
        let named = known.filter(|known| known.contains('\n') && known.contains(" > "));
        let of_path = || path.split_last().map(|(title, suites)| id(suites, title)).unwrap_or_default();
        let id = named.unwrap_or_else(of_path);
        let mut case = TestCase { id, status: TestStatus::Failed, ..TestCase::default() };
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
fn id<S: AsRef<str>>(suites: &[S], title: &str) -> String {
    let suites: Vec<&str> = suites.iter().map(AsRef::as_ref).collect();
    if suites.is_empty() { title.to_owned() } else { format!("{} > {title}", suites.join(" ")) }
}

/// Suites and test of a failure, one below the other, and how many lines that takes. Each stands two columns further in
/// than the one above; any other line belongs to the title before it.
fn titles(first: &str, known: Option<&str>, lines: Lines<'_>) -> (Vec<String>, usize) {
    let mut path = vec![first.to_owned()];
    let mut read = 1;
    let letters = |text: &str| text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'>').count();
    // What is known of the title tells where it ends, but for a colon.
    let wanted = known.filter(|known| known.contains('\n')).map(|known| letters(known) + 1);
    let mut seen = letters(first);
    let mut last = first;
    while read < BLOCK_LINES_MAX {
        let next = lines.ahead(read).unwrap_or("");
        let below = next.trim().is_empty() || matches!(indent(next), 5 | 6);
        if last.ends_with(':') && wanted.map_or(below, |wanted| seen >= wanted) {
            break;
        }
        let Some(line) = lines.ahead(read) else { break };
        let inside = 5 + 2 * path.len();
        match path.last_mut() {
            Some(title) if indent(line) != inside => {
                title.push('\n');
                title.push_str(line);
            }
            _ => path.push(line.trim_start().to_owned()),
        }
        seen += letters(line);
        last = line;
        read += 1;
    }
    if let Some(title) = path.last_mut()
        && title.ends_with(':')
    {
        title.pop();
    }
    (path, read)
}

/// The list reporter prints a title twice, before and behind the mark, and the time of a passed test last: of a title with
/// more lines than one, all but the last stand above the mark too.
fn listed(mark: &Mark<'_>, lines: Lines<'_>) -> (String, usize) {
    let alone = || (mark.title.to_owned(), 1);
    let passed = matches!(mark.kind, MarkKind::Passed);
    let above = |line: &str| line.strip_prefix("    ").is_some_and(|line| line == mark.title);
    if mark.indent != 2 || passed && timed(mark.title).1.is_some() {
        return alone();
    }
    let mut own = (1..=Lines::BACK_MAX).map_while(|n| lines.back(n).filter(|line| Mark::parse(line).is_none()));
    let Some(more) = own.position(above).map(|at| at + 1) else { return alone() };
    let mut whole = mark.title.to_owned();
    for n in 1..=more {
        let Some(line) = lines.ahead(n).filter(|line| n == more || lines.back(more - n) == Some(line)) else {
            return alone();
        };
        whole.push('\n');
        whole.push_str(line);
    }
    if passed && timed(&whole).1.is_none() { alone() } else { (whole, more + 1) }
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
