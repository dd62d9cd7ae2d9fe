//! TAP as Node's own runner and mocha print it: `ok 1 - title`, `not ok 2 - title` with its YAML block, the totals.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "tap",
    kind: Kind::TestRunner,
    commands: &["node --test", "tap", "tape", "prove"],
    anchors: &["ok ", "TAP version ", "# tests ", "ℹ tests "],
    reader: || Box::new(Tap::default()),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 200;
const TOTALS_MAX: usize = 8;

#[derive(Default)]
struct Tap {
    started: bool,
}

impl Reader for Tap {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.starts_with("TAP version ") {
            self.start(sink);
            return 1;
        }
        if let Some(read) = totals(lines, sink) {
            self.start(sink);
            self.started = false;
            sink.evidence(Evidence::RunEnded);
            return read;
        }
        let Some(mut test) = result(line) else { return 0 };
        self.start(sink);
        let mut read = 1;
        let mut suite = false;
        if lines.ahead(1).is_some_and(|line| line.trim() == "---") {
            read = 2;
            while read < BLOCK_LINES_MAX
                && let Some(line) = lines.ahead(read)
                && line.trim() != "..."
            {
                suite |= line.trim() == "type: 'suite'";
                detail(line.trim(), &mut test);
                read += 1;
            }
            read += 1;
        }
        if !suite {
            sink.test(test);
        }
        read
    }
}

impl Tap {
    fn start(&mut self, sink: &mut Sink) {
        if !std::mem::replace(&mut self.started, true) {
            sink.evidence(Evidence::RunStarted);
        }
    }
}

/// `ok 1 - title # SKIP why`
fn result(line: &str) -> Option<TestCase> {
    let text = line.trim_start();
    let (rest, status) = match text.strip_prefix("not ok ") {
        Some(rest) => (rest, TestStatus::Failed),
        None => (text.strip_prefix("ok ")?, TestStatus::Passed),
    };
    let (number, title) = rest.split_once(' ')?;
    super::place::number(number).filter(|_| !number.is_empty())?;
    let title = title.strip_prefix("- ").unwrap_or(title);
    let (title, status) = match title.split_once(" # ") {
        Some((title, why)) if why.starts_with("SKIP") || why.starts_with("TODO") => (title, TestStatus::Skipped),
        Some(_) | None => (title, status),
    };
    Some(TestCase { id: title.to_owned(), status, ..TestCase::default() })
}

fn detail(line: &str, test: &mut TestCase) {
    let Some((key, value)) = line.split_once(": ") else { return };
    let value = value.trim_matches(['\'', '"']);
    match key {
        "duration_ms" => test.duration_ms = value.parse().ok(),
        "location" => {
            if let Some(place) = Place::colons(value) {
                (test.file, test.line) = (Some(place.file.to_owned()), Some(place.line));
            }
        }
        "error" if !value.starts_with('|') => test.message = Some(value.to_owned()),
        "expected" => test.expected = Some(value.to_owned()),
        "actual" => test.actual = Some(value.to_owned()),
        _ => {}
    }
}

/// `# tests 8`, `# pass 2`, `# fail 4` …
fn totals(lines: Lines<'_>, sink: &mut Sink) -> Option<usize> {
    let total = |n: usize| {
        let (name, count) = lines.ahead(n)?.strip_prefix(['#', 'ℹ'])?.strip_prefix(' ')?.split_once(' ')?;
        Some((name, u64::from(count.split('.').next()?.parse::<u32>().ok()?)))
    };
    if total(0)?.0 != "tests" {
        return None;
    }
    let mut counts = PrintedCounts::default();
    let mut read = 1;
    while read < TOTALS_MAX
        && let Some((name, count)) = total(read)
    {
        match name {
            "pass" => counts.passed = Some(count),
            "fail" | "cancelled" => counts.failed = Some(counts.failed.unwrap_or(0) + count),
            "skipped" | "todo" => counts.skipped = Some(counts.skipped.unwrap_or(0) + count),
            _ => {}
        }
        read += 1;
    }
    counts.passed?;
    sink.printed(&counts);
    Some(read)
}
