//! jest: files, tests by suite with their marks, failures with place and both values, the totals.

use super::{Kind, Reader, Tool, v8_stack};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "jest",
    kind: Kind::TestRunner,
    commands: &["jest"],
    anchors: &["PASS ", "FAIL ", "Tests:  ", "Test Suites: "],
    reader: || Box::new(Jest::default()),
    ..Tool::DEFAULT
};

const WAITING_MAX: usize = 50_000;
const BLOCK_LINES_MAX: usize = 400;

#[derive(Default)]
struct Jest {
    open: bool,
    file: Option<String>,
    /// Suite titles and how far in they stand.
    suites: Vec<(usize, String)>,
    tests: Vec<TestCase>,
}

impl Reader for Jest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some(file) = line.trim_start().strip_prefix("PASS ").or_else(|| line.trim_start().strip_prefix("FAIL "))
        {
            let name = file.split(" (").next().unwrap_or(file).trim();
            let is_file = name.contains('.') && !name.contains(' ');
            if !is_file || (!self.open && !sink.expects(TOOL.name) && !name.contains(['/', '\\'])) {
                return 0;
            }
            if !std::mem::replace(&mut self.open, true) {
                sink.evidence(Evidence::RunStarted);
            }
            self.file = Some(name.strip_prefix("./").unwrap_or(name).to_owned());
            self.suites.clear();
            return 1;
        }
        if let Some(counts) = line.strip_prefix("Tests:  ") {
            return self.totals(counts, sink);
        }
        if !self.open {
            return 0;
        }
        if let Some(title) = line.strip_prefix("  ● ") {
            return self.failure(title.trim(), lines);
        }
        if let Some(counts) = line.strip_prefix("Test Suites: ") {
            if counts.contains(" failed") {
                sink.evidence(Evidence::SaysFailed);
            }
            return 1;
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

impl Jest {
    fn emit(&mut self, sink: &mut Sink) {
        for test in std::mem::take(&mut self.tests) {
            sink.test(test);
        }
    }

    /// `3 failed, 1 skipped, 1 todo, 2 passed, 7 total`
    fn totals(&mut self, text: &str, sink: &mut Sink) -> usize {
        let mut counts = PrintedCounts { passed: Some(0), failed: Some(0), ..PrintedCounts::default() };
        for part in text.trim().split(", ") {
            let Some((count, what)) = part.split_once(' ') else { return 0 };
            let Ok(count) = count.parse::<u32>() else { return 0 };
            let count = u64::from(count);
            match what {
                "passed" => counts.passed = Some(count),
                "failed" => counts.failed = Some(count),
                "skipped" | "todo" => counts.skipped = Some(counts.skipped.unwrap_or(0) + count),
                "total" => {}
                _ => return 0,
            }
        }
        if !self.open {
            sink.evidence(Evidence::RunStarted);
        }
        self.emit(sink);
        self.open = false;
        sink.evidence(Evidence::RunEnded);
        sink.printed(&counts);
        1
    }

    /// `    ✓ title (3 ms)`, or a suite's title.
    fn mark(&mut self, line: &str, lines: Lines<'_>) -> usize {
        const MARKS: &[(&str, TestStatus)] = &[
            ("✓ ", TestStatus::Passed),
            ("✕ ", TestStatus::Failed),
            ("○ skipped ", TestStatus::Skipped),
            ("○ ", TestStatus::Skipped),
            ("✎ todo ", TestStatus::Skipped),
        ];
        let marked = |line: &str| {
            MARKS.iter().any(|(mark, _)| line.starts_with("  ") && line.trim_start_matches(' ').starts_with(mark))
        };
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        if indent < 2 || self.file.is_none() {
            return 0;
        }
        let Some((rest, status)) = MARKS.iter().find_map(|&(mark, s)| Some((text.strip_prefix(mark)?, s))) else {
            let next = lines.ahead(1).unwrap_or("");
            let deeper = next.len() - next.trim_start_matches(' ').len() > indent;
            if !deeper || text.is_empty() {
                return 0;
            }
            self.suites.retain(|(depth, _)| *depth < indent);
            self.suites.push((indent, text.to_owned()));
            return 1;
        };
        // A title may take several lines: up to the next mark or the end of the list.
        let mut title = rest.to_owned();
        let mut read = 1;
        while read < BLOCK_LINES_MAX && duration(&title).is_none() {
            let ends = (read..BLOCK_LINES_MAX)
                .map_while(|n| lines.ahead(n))
                .take_while(|line| !marked(line))
                .position(|line| duration(line).is_some());
            let is_more = |line: &&str| !marked(line) && (ends.is_some() || is_loose(line));
            let Some(more) = lines.ahead(read).filter(is_more) else { break };
            title.push('\n');
            title.push_str(more);
            read += 1;
        }
        self.suites.retain(|(depth, _)| *depth < indent);
        let (title, duration_ms) = match duration(&title) {
            Some((title, ms)) => (title.to_owned(), Some(ms)),
            None => (title, None),
        };
        let path = self.suites.iter().map(|(_, suite)| suite.as_str()).chain([title.as_str()]).collect::<Vec<_>>();
        if self.tests.len() < WAITING_MAX {
            let id = path.join(" > ");
            self.tests.push(TestCase { id, status, duration_ms, file: self.file.clone(), ..TestCase::default() });
        }
        read
    }

    /// A title may take several lines, as that of the next failure of the tree does, or else up to an empty one.
    fn whole_title(&self, first: &str, lines: Lines<'_>) -> (String, usize) {
        let unexplained = |test: &&TestCase| test.status == TestStatus::Failed && test.message.is_none();
        let known = self.tests.iter().find(unexplained).map(|test| test.id.replace(" > ", " › "));
        if let Some(known) = known.filter(|known| known.contains('\n')) {
            let mut known_lines = known.split('\n');
            let same = known_lines.next() == Some(first)
                && known_lines
                    .enumerate()
                    .all(|(n, line)| lines.ahead(n + 1).map(str::trim_end) == Some(line.trim_end()));
            if same {
                let read = 1 + known.bytes().filter(|b| *b == b'\n').count();
                return (known, read);
            }
        }
        let mut title = first.to_owned();
        let mut read = 1;
        while read < BLOCK_LINES_MAX
            && let Some(more) = lines.ahead(read).filter(|line| !line.trim().is_empty() && !line.starts_with("    "))
        {
            title.push('\n');
            title.push_str(more);
            read += 1;
        }
        (title, read)
    }

    /// `  ● suite › title`, down to the next one.
    fn failure(&mut self, title: &str, lines: Lines<'_>) -> usize {
        let mut case = TestCase { status: TestStatus::Failed, ..TestCase::default() };
        let (title, mut read) = self.whole_title(title, lines);
        let mut message = Vec::new();
        let mut snippet = false;
        while read < BLOCK_LINES_MAX
            && let Some(line) = lines.ahead(read).filter(|line| line.is_empty() || line.starts_with("    "))
        {
            let text = line.trim();
            snippet |= (text.contains(" | ") || text.ends_with(" |"))
                && text.trim_start_matches("> ").starts_with(|c: char| c.is_ascii_digit());
            if let Some(frame) = v8_stack::frame(line).filter(|frame| frame.line.is_some()) {
                let own = frame.file.as_deref().is_some_and(|file| !file.contains("node_modules"));
                if own && case.line.is_none() {
                    (case.file, case.line) = (frame.file, frame.line);
                }
            } else if let Some(value) = text.strip_prefix("Expected: ") {
                case.expected = Some(value.to_owned());
            } else if let Some(value) = text.strip_prefix("Received: ") {
                case.actual = Some(value.to_owned());
            } else if !snippet && !text.is_empty() {
                message.push(text);
            }
            read += 1;
        }
        case.message = Some(message.join("\n"));
        if title == "Test suite failed to run" {
            case.id = self.file.clone().unwrap_or_default();
            case.status = TestStatus::Error;
        } else {
            case.id = title.replace(" › ", " > ");
            // Of a title with many lines the tree may have told but the first.
            let is_title =
                |id: &str| case.id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'));
            let known = self
                .tests
                .iter_mut()
                .find(|test| test.status == TestStatus::Failed && test.message.is_none() && is_title(&test.id));
            if let Some(known) = known {
                case.duration_ms = known.duration_ms;
                *known = case;
                return read;
            }
        }
        if self.tests.len() < WAITING_MAX
            && !self.tests.iter().any(|test| test.id == case.id && test.message == case.message)
        {
            self.tests.push(case);
        }
        read
    }
}

/// A line that stands where no title of the tree can: it is the rest of the one above.
fn is_loose(line: &str) -> bool {
    const OTHERS: &[&str] = &["PASS ", "FAIL ", "RUNS ", "---", "Test Suites: ", "Tests: ", "Snapshots: "];
    let indent = line.len() - line.trim_start_matches(' ').len();
    !line.trim().is_empty() && (indent == 0 || indent % 2 == 1) && !OTHERS.iter().any(|start| line.starts_with(start))
}

/// `title (3 ms)`
fn duration(title: &str) -> Option<(&str, f64)> {
    let (title, time) = title.strip_suffix(')')?.rsplit_once(" (")?;
    let (value, unit) = time.split_once(' ')?;
    let factor = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        _ => return None,
    };
    Some((title, value.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use crate::{TestStatus, ToolOutput, parse};

    #[test]
    fn a_title_keeps_its_lines() {
        let text = b"FAIL ./a.test.js\n  calc\n    \xe2\x9c\x93 adds\nup\n    \xe2\x9c\x95 breaks\n  off\n\n  \xe2\x97\x8f calc \xe2\x80\xba breaks\n  off\n\n    no\n\n      at Object.<anonymous> (a.test.js:7:31)\n\nTest Suites: 1 failed, 1 total\nTests:       1 failed, 1 passed, 2 total\n";
        let report = parse(&ToolOutput { text, command: Some("jest"), ..ToolOutput::default() });
        let tests: Vec<_> = report.tests.iter().map(|test| (test.id.as_str(), test.status, test.line)).collect();
        assert_eq!(
            tests,
            [("calc > adds\nup", TestStatus::Passed, None), ("calc > breaks\n  off", TestStatus::Failed, Some(7))]
        );
    }
}
