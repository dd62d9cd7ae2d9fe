//! vitest: tests as `file > suite > title`, failures with their place, the totals.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "vitest",
    kind: Kind::TestRunner,
    commands: &["vitest"],
    anchors: &[" RUN  v", " DEV  v", " Test Files  ", "      Tests  "],
    reader: || Box::new(Vitest::default()),
    ..Tool::DEFAULT
};

const WAITING_MAX: usize = 50_000;
const BLOCK_LINES_MAX: usize = 200;

#[derive(Default)]
struct Vitest {
    open: bool,
    /// The file whose tests stand below its line, without its name.
    file: Option<String>,
    /// Of a tree: suites that are open, and how far in they stand.
    suites: Vec<(usize, String)>,
    tests: Vec<TestCase>,
}

impl Reader for Vitest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.trim_start().starts_with("RUN  v") || line.trim_start().starts_with("DEV  v") {
            self.emit(sink);
            self.open = true;
            sink.evidence(Evidence::RunStarted);
            return 1;
        }
        if !self.open {
            return 0;
        }
        let text = line.trim_start();
        if let Some(files) = text.strip_prefix("Test Files  ") {
            if files.contains(" failed") {
                sink.evidence(Evidence::SaysFailed);
            }
            return 1;
        }
        if let Some(counts) = text.strip_prefix("Tests  ").and_then(totals) {
            self.emit(sink);
            self.open = false;
            sink.evidence(Evidence::RunEnded);
            sink.printed(&counts);
            return 1;
        }
        if let Some(name) = text.strip_prefix("FAIL  ") {
            return self.failure(name, lines);
        }
        let known = self.tests.len();
        let read = self.mark(line, lines);
        sink.ended(self.tests[known..].iter().map(|test| (test.id.as_str(), test.status)));
        read
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.emit(sink);
    }
}

impl Vitest {
    fn emit(&mut self, sink: &mut Sink) {
        for test in std::mem::take(&mut self.tests) {
            sink.test(test);
        }
    }

    /// ` ✓ file.js > suite > title 3ms`; in short reports the file has a line of its own.
    fn mark(&mut self, line: &str, lines: Lines<'_>) -> usize {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(suite) = suite(line, indent, lines.ahead(1).unwrap_or("")).filter(|_| self.file.is_some()) {
            self.suites.retain(|(depth, _)| *depth < indent);
            self.suites.push((indent, suite.to_owned()));
            return 1;
        }
        let Some((rest, status)) = marked(line) else { return 0 };
        let (file, path) = match rest.split_once(" > ") {
            Some((file, path)) if !line.starts_with("   ") => (Some(file), path),
            _ if line.starts_with("   ") => (None, rest),
            _ => {
                self.file = rest.split(" (").next().map(str::to_owned);
                self.suites.clear();
                return 1;
            }
        };
        // A title may take several lines; the last one ends with the time.
        let mut title = path.to_owned();
        let mut read = 1;
        if duration(&title).is_none() && status != TestStatus::Skipped {
            let end = (1..BLOCK_LINES_MAX)
                .map_while(|n| lines.ahead(n).filter(|line| marked(line).is_none()))
                .position(|line| duration(line).is_some());
            for more in (1..=end.map_or(0, |end| end + 1)).filter_map(|n| lines.ahead(n)) {
                title.push('\n');
                title.push_str(more);
                read += 1;
            }
        }
        let (title, duration_ms) = match duration(&title) {
            Some((title, ms)) => (title.to_owned(), Some(ms)),
            None => (title, None),
        };
        if self.tests.len() < WAITING_MAX {
            let id = match file {
                Some(_) => title,
                None => {
                    self.suites.retain(|(depth, _)| *depth < indent);
                    let path = self.suites.iter().map(|(_, suite)| suite.as_str()).chain([title.as_str()]);
                    path.collect::<Vec<_>>().join(" > ")
                }
            };
            let file = file.map(str::to_owned).or_else(|| self.file.clone());
            self.tests.push(TestCase { id, status, duration_ms, file, ..TestCase::default() });
        }
        read
    }

    /// A title of several lines, where a failure that was listed has it.
    fn whole_title(&self, first: &str, lines: Lines<'_>) -> Option<String> {
        let rest = |test: &TestCase| {
            let (head, rest) = test.id.split_once('\n')?;
            let below = rest.split('\n').enumerate().all(|(n, line)| lines.ahead(n + 1) == Some(line));
            (is_title_of(head, first) && below).then(|| format!("{first}\n{rest}"))
        };
        self.tests.iter().filter(|test| is_unexplained(test)).find_map(rest)
    }

    /// ` FAIL  file.js > suite > title`, then the error and ` ❯ file.js:6:21`.
    fn failure(&mut self, name: &str, lines: Lines<'_>) -> usize {
        let (file, id) = name.split_once(" > ").map_or((name, None), |(file, id)| (file, Some(id)));
        let mut case = TestCase { file: Some(file.to_owned()), ..TestCase::default() };
        let mut message = Vec::new();
        let whole = id.and_then(|first| self.whole_title(first, lines));
        let mut read = whole.as_deref().map_or(1, |title| title.split('\n').count());
        let id = whole.as_deref().or(id);
        while read < BLOCK_LINES_MAX
            && let Some(line) = lines.ahead(read).filter(|line| !line.starts_with('⎯') && !line.starts_with(" FAIL  "))
        {
            let place = line.trim_start().strip_prefix("❯ ").and_then(|at| Place::colons(at.rsplit(' ').next()?));
            match place {
                Some(place) if case.line.is_none() => {
                    case.file = Some(place.file.to_owned());
                    case.line = Some(place.line);
                }
                Some(_) => {}
                None if case.line.is_none() && !line.trim().is_empty() => message.push(line.trim_end()),
                None => {}
            }
            read += 1;
        }
        let side = |mark: &str| {
            let found: Vec<&str> = message.iter().filter_map(|l| l.strip_prefix(mark)).map(str::trim).collect();
            // Of a larger value the diff shows only a part.
            let whole = !message.iter().any(|line| line.starts_with("  "));
            (found.len() == 2 && whole).then(|| found[1].to_owned())
        };
        (case.expected, case.actual) = (side("- "), side("+ "));
        case.message = Some(message.join("\n"));
        let Some(id) = id else {
            case.id = file.split(" [").next().unwrap_or(file).to_owned();
            case.status = TestStatus::Error;
            if self.tests.len() < WAITING_MAX {
                self.tests.push(case);
            }
            return read;
        };
        case.id = id.to_owned();
        case.status = TestStatus::Failed;
        let listed = |test: &TestCase| is_unexplained(test) && is_title_of(&test.id, id);
        match self.tests.iter().position(listed) {
            Some(at) => {
                case.duration_ms = self.tests[at].duration_ms;
                self.tests[at] = case;
            }
            None if self.tests.len() < WAITING_MAX => self.tests.push(case),
            None => {}
        }
        read
    }
}

fn is_unexplained(test: &TestCase) -> bool {
    test.status == TestStatus::Failed && test.message.is_none()
}

/// Whether a list's `title`, which may lack its suites, is the one that is told as `id`.
fn is_title_of(title: &str, id: &str) -> bool {
    id.strip_suffix(title).is_some_and(|suites| suites.is_empty() || suites.ends_with(" > "))
}

/// A tree's `   ❯ suite (13)`, with its tests further in.
fn suite<'a>(line: &'a str, indent: usize, next: &str) -> Option<&'a str> {
    let text = line.strip_prefix("   ")?.trim_start();
    let rest = ["✓ ", "× ", "↓ ", "❯ "].iter().find_map(|mark| text.strip_prefix(mark))?;
    let rest = duration(rest).map_or(rest, |(rest, _)| rest);
    let (name, count) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let deeper = next.len() - next.trim_start_matches(' ').len() > indent;
    (deeper && !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

fn marked(line: &str) -> Option<(&str, TestStatus)> {
    const MARKS: &[(&str, TestStatus)] = &[
        ("✓ ", TestStatus::Passed),
        ("× ", TestStatus::Failed),
        ("↓ ", TestStatus::Skipped),
        ("❯ ", TestStatus::NotRun),
    ];
    let text = line.strip_prefix(' ')?.trim_start();
    let (rest, status) = MARKS.iter().find_map(|&(mark, status)| Some((text.strip_prefix(mark)?, status)))?;
    // `❯` marks a file with failures; it is no test.
    (status != TestStatus::NotRun || rest.contains(" test")).then_some((rest, status))
}

/// `title 3ms`
fn duration(title: &str) -> Option<(&str, f64)> {
    let (title, time) = title.rsplit_once(' ')?;
    Some((title, time.strip_suffix("ms")?.parse().ok()?))
}

/// `3 failed | 2 passed | 1 skipped | 1 todo (7)`
fn totals(text: &str) -> Option<PrintedCounts> {
    let mut counts = PrintedCounts { passed: Some(0), failed: Some(0), ..PrintedCounts::default() };
    for part in text.split(" (").next()?.split(" | ") {
        let (count, what) = part.trim().split_once(' ')?;
        let count = u64::from(count.parse::<u32>().ok()?);
        match what {
            "passed" => counts.passed = Some(count),
            "failed" => counts.failed = Some(count),
            "skipped" | "todo" => counts.skipped = Some(counts.skipped.unwrap_or(0) + count),
            _ => return None,
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use crate::{TestStatus, ToolOutput, parse};

    #[test]
    fn a_tree_names_its_suites_above_their_tests() {
        let text = b" RUN  v4.1.12 /src\n\n \xe2\x9d\xaf a.test.js (3 tests | 1 failed) 5ms\n   \xe2\x9c\x93 good (2)\n     \xe2\x9c\x93 one 1ms\n     \xe2\x9c\x93 nested (1)\n       \xe2\x9c\x93 two 0ms\n   \xc3\x97 alone\nfails 0ms\n\n FAIL  a.test.js > alone\nfails\nError: no\n \xe2\x9d\xaf a.test.js:3:1\n\n Test Files  1 failed (1)\n      Tests  1 failed | 2 passed (3)\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let tests: Vec<_> = report.tests.iter().map(|test| (test.id.as_str(), test.status)).collect();
        assert_eq!(
            tests,
            [
                ("good > one", TestStatus::Passed),
                ("good > nested > two", TestStatus::Passed),
                ("alone\nfails", TestStatus::Failed)
            ]
        );
        assert_eq!(report.tests[2].line, Some(3));
    }

    #[test]
    fn a_list_without_suites_is_completed_by_what_failed() {
        let text = b" RUN  v4.1.12 /src\n\n \xe2\x9d\xaf a.test.js (1 test | 1 failed) 5ms\n     \xc3\x97 adds 1ms\n\n FAIL  a.test.js > calc > adds\nError: no\n\n      Tests  1 failed (1)\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        assert_eq!(report.tests.iter().map(|test| test.id.as_str()).collect::<Vec<_>>(), ["calc > adds"]);
    }
}
