//! GoogleTest: `[ RUN      ]` to `[       OK ]` or `[  FAILED  ]`, failures in between with their place.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "gtest",
    kind: Kind::TestRunner,
    anchors: &["[==========] ", "[ RUN      ] ", "[  FAILED  ] ", "[  PASSED  ] "],
    reader: || Box::new(Gtest::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 40;

#[derive(Default)]
struct Gtest {
    running: Option<TestCase>,
    failed: u64,
    started: bool,
    /// Between `ran.` and the totals.
    counts: Option<PrintedCounts>,
}

impl Reader for Gtest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        // A test's own output without a newline may stand before the tag.
        let tagged = |tag: &str| line.find(tag).map(|at| &line[at + tag.len()..]);
        if let Some(rest) = tagged("[==========] ") {
            if rest.starts_with("Running ") {
                self.close(sink);
                sink.evidence(Evidence::RunStarted);
                self.started = true;
            } else if rest.contains(" ran.") && self.started {
                self.counts = Some(PrintedCounts::default());
            }
            return 1;
        }
        if let Some(name) = tagged("[ RUN      ] ") {
            self.abort(sink);
            sink.began(name);
            self.running = Some(TestCase { id: name.to_owned(), ..TestCase::default() });
            return 1;
        }
        for (tag, status) in [
            ("[       OK ] ", TestStatus::Passed),
            ("[  FAILED  ] ", TestStatus::Failed),
            ("[  SKIPPED ] ", TestStatus::Skipped),
        ] {
            let Some(rest) = tagged(tag) else { continue };
            return self.result(rest, status, sink);
        }
        if let Some(count) = tagged("[  PASSED  ] ").and_then(first_number) {
            if let Some(counts) = &mut self.counts {
                counts.passed = Some(count);
            }
            return 1;
        }
        match &mut self.running {
            Some(test) => failure(line, lines, test),
            None => 0,
        }
    }

    fn is_open(&self) -> bool {
        self.running.is_some() || self.counts.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
    }
}

impl Gtest {
    fn result(&mut self, rest: &str, status: TestStatus, sink: &mut Sink) -> usize {
        if let Some(counts) = &mut self.counts {
            if let Some(count) = first_number(rest).filter(|_| rest.contains(" test")) {
                match status {
                    TestStatus::Failed => counts.failed = Some(count),
                    _ => counts.skipped = Some(count),
                }
            }
            return 1;
        }
        let (name, time) = rest.rsplit_once(" (").unwrap_or((rest, ""));
        let name = name.split(", where ").next().unwrap_or(name);
        let mut test = self.running.take().filter(|test| test.id == name).unwrap_or_default();
        test.id = name.to_owned();
        test.status = status;
        test.duration_ms = time.strip_suffix(" ms)").and_then(|ms| ms.parse().ok());
        self.failed += u64::from(status == TestStatus::Failed);
        sink.test(test);
        1
    }

    /// A test that began and has no result: the process died in it.
    fn abort(&mut self, sink: &mut Sink) {
        if let Some(test) = self.running.take() {
            let message = test.message.clone().or_else(|| Some("the test did not end".to_owned()));
            sink.test(TestCase { status: TestStatus::Error, message, ..test });
        }
    }

    fn close(&mut self, sink: &mut Sink) {
        self.abort(sink);
        if let Some(counts) = self.counts.take().filter(|counts| counts.passed.is_some()) {
            let counts = PrintedCounts { failed: counts.failed.or(Some(0)), ..counts };
            sink.printed(&counts);
            sink.evidence(Evidence::RunEnded);
        }
        self.started = false;
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// `a.cc:3: Failure` and the lines below it. Of several failures the first is the test's message.
fn failure(line: &str, lines: Lines<'_>, test: &mut TestCase) -> usize {
    let Some((head, word)) = line.rsplit_once(": ") else { return 0 };
    let visual_studio = head.ends_with(": error").then(|| head.trim_end_matches(": error"));
    let place = Place::colons(head).map(|place| (place.file, place.line)).or_else(|| {
        let (file, line) = visual_studio?.strip_suffix(')')?.rsplit_once('(')?;
        Some((file, line.parse().ok()?))
    });
    let Some((file, row)) = place.filter(|_| matches!(word, "Failure" | "Skipped" | "error")) else { return 0 };
    let mut read = 1;
    let mut message: Vec<&str> = Vec::new();
    while read < MESSAGE_LINES_MAX {
        let Some(line) = lines.ahead(read).filter(|line| !line.starts_with('[') && !line.ends_with(": Failure")) else {
            break;
        };
        if line.trim().is_empty() {
            break;
        }
        message.push(line.trim_end());
        read += 1;
    }
    if test.message.is_none() {
        test.file = Some(file.to_owned());
        test.line = Some(row);
        (test.expected, test.actual) = sides(&message);
        test.message = Some(message.join("\n")).filter(|message| !message.is_empty());
    }
    read
}

/// `Value of: x`, `  Actual: false`, `Expected: true`; for equality the two values, of which neither is "expected".
fn sides(message: &[&str]) -> (Option<String>, Option<String>) {
    let after =
        |word: &str| message.iter().find_map(|line| line.trim().strip_prefix(word)).map(|v| v.trim().to_owned());
    if message.first() != Some(&"Expected equality of these values:") {
        return after("Actual:").map_or((None, None), |actual| (after("Expected:"), Some(actual)));
    }
    let mut values: Vec<&str> = Vec::new();
    for line in &message[1..] {
        match line.trim().strip_prefix("Which is: ") {
            Some(value) if line.starts_with("    ") => {
                values.pop();
                values.push(value);
            }
            Some(_) | None if line.starts_with("  ") => values.push(line.trim()),
            Some(_) | None => {}
        }
    }
    match values.as_slice() {
        [left, right] => (Some((*right).to_owned()), Some((*left).to_owned())),
        _ => (None, None),
    }
}
