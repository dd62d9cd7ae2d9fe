//! `cargo test` and every other binary of Rust's built-in test harness, doctests included.

use super::rust_panic::Panic;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "libtest",
    kind: Kind::TestRunner,
    commands: &["cargo test", "cargo t", "cargo bench"],
    anchors: &["running ", "test result: ", "Doc-tests ", "Running unittests ", "Running tests/"],
    reader: || Box::new(Libtest::default()),
    ..Tool::DEFAULT
};

/// Tests of one run that wait for its summary, so that a failure can be told with its panic.
const WAITING_MAX: usize = 50_000;

#[derive(Default)]
struct Libtest {
    run: Option<Run>,
    /// cargo named the next binary, which has printed nothing yet.
    announced: bool,
}

#[derive(Default)]
struct Run {
    tests: Vec<TestCase>,
    /// `test name ... ` without a result yet: output of the test came between.
    unfinished: Option<String>,
    /// `---- name stdout ----`
    captured: Option<String>,
    listing_failures: bool,
}

impl Reader for Libtest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if is_start(line) {
            self.close(sink);
            self.announced = false;
            sink.evidence(Evidence::RunStarted);
            self.run = Some(Run::default());
            return 1;
        }
        let text = line.trim_start();
        if text.starts_with("Doc-tests ")
            || text.starts_with("Running unittests ")
            || text.starts_with("Running tests/")
        {
            self.announced = true;
            return 1;
        }
        if let Some((failed, counts)) = summary(line) {
            if self.run.is_none() {
                sink.evidence(Evidence::RunStarted);
            }
            self.close(sink);
            self.announced = false;
            sink.evidence(Evidence::RunEnded);
            sink.printed(&counts);
            if failed {
                sink.evidence(Evidence::SaysFailed);
            }
            return 1;
        }
        self.run.as_mut().map_or(0, |run| run.read(line, lines, sink))
    }

    fn is_open(&self) -> bool {
        self.run.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
        // A binary with a harness of its own may print anything, so an exit status settles it.
        if self.announced {
            sink.evidence(Evidence::BreaksOff);
        }
    }
}

impl Libtest {
    fn close(&mut self, sink: &mut Sink) {
        for test in self.run.take().into_iter().flat_map(|run| run.tests) {
            sink.test(test);
        }
    }
}

impl Run {
    fn read(&mut self, line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
        if line.contains(" panicked at ")
            && let Some(panic) = Panic::read(lines)
        {
            let read = panic.lines;
            self.blame(&panic);
            sink.trace(panic.into_trace());
            return read;
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.captured = Some(name.to_owned());
            self.listing_failures = false;
            return 1;
        }
        match line {
            "failures:" | "successes:" => {
                self.captured = None;
                self.listing_failures = true;
                return 1;
            }
            _ if self.listing_failures && line.starts_with("    ") => return 1,
            _ => {}
        }
        if let Some(captured) = &self.captured {
            // `Result::Err` returned from a test, and what a doctest says before rustc's own words.
            if let Some(error) = line.strip_prefix("Error: ") {
                let captured = captured.clone();
                if let Some(test) = self.test_mut(&captured) {
                    test.message.get_or_insert_with(|| error.to_owned());
                }
                return 1;
            }
            return usize::from(line.starts_with("note: run with `RUST_BACKTRACE"));
        }
        let known = self.tests.len();
        let read = self.result(line);
        sink.ended(self.tests[known..].iter().map(|test| (test.id.as_str(), test.status)));
        read
    }

    /// `test name ... ok`, or its halves where output of the test stands between them.
    fn result(&mut self, line: &str) -> usize {
        if let Some(rest) = line.strip_prefix("test ")
            && let Some((name, result)) = rest.rsplit_once(" ... ")
        {
            match status(result) {
                Some(status) => self.add(name, status, result),
                None => self.unfinished = Some(name.to_owned()),
            }
            return 1;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ...")) {
            self.unfinished = Some(name.to_owned());
            return 1;
        }
        if line.starts_with("test ") && line.contains(" has been running for over ") {
            return 1;
        }
        if self.unfinished.is_some()
            && let Some(status) = status(line)
            && let Some(name) = self.unfinished.take()
        {
            self.add(&name, status, line);
            return 1;
        }
        usize::from(is_quiet_progress(line))
    }

    fn add(&mut self, name: &str, status: TestStatus, result: &str) {
        let id = [" - should panic", " - compile fail", " - compile"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name)
            .trim_end();
        if self.tests.len() >= WAITING_MAX {
            return;
        }
        let (file, line) = doctest_place(id).unzip();
        self.tests.push(TestCase {
            id: id.to_owned(),
            status,
            file,
            line,
            duration_ms: duration_ms(result),
            message: result.strip_prefix("ignored, ").map(str::to_owned),
            ..TestCase::default()
        });
    }

    fn blame(&mut self, panic: &Panic) {
        // The harness runs each test in a thread of its name; with one thread it is called `main`.
        let name = self.captured.clone().unwrap_or_else(|| panic.thread.clone());
        if self.captured.is_none() && self.test_mut(&name).is_none() {
            return;
        }
        let Some(test) = self.test_mut(&name) else { return };
        if test.status != TestStatus::Failed || test.message.is_some() {
            return;
        }
        // A doctest panics in a generated file; its own place is in its name.
        if test.file.is_none() {
            test.file = Some(panic.file.clone());
            test.line = Some(panic.line);
        }
        test.message = Some(panic.message.clone());
        test.actual.clone_from(&panic.left);
        test.expected.clone_from(&panic.right);
    }

    /// The failing test of that name; in quiet runs its first mention is its captured output.
    fn test_mut(&mut self, name: &str) -> Option<&mut TestCase> {
        let known = self.tests.iter().rposition(|test| test.id == name);
        if known.is_none() && self.captured.as_deref() == Some(name) {
            self.add(name, TestStatus::Failed, "");
            return self.tests.last_mut();
        }
        self.tests.get_mut(known?)
    }
}

/// `running 3 tests`
fn is_start(line: &str) -> bool {
    line.strip_prefix("running ")
        .and_then(|rest| rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test")))
        .is_some_and(|count| count.parse::<u64>().is_ok())
}

/// `test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn summary(line: &str) -> Option<(bool, PrintedCounts)> {
    // A test's own output without a newline may stand before it.
    let (_, rest) = line.split_once("test result: ")?;
    let (word, rest) = rest.split_once(". ")?;
    let mut counts = PrintedCounts::default();
    for part in rest.split("; ") {
        let Some((count, what)) = part.trim().split_once(' ') else { continue };
        let Ok(count) = count.parse() else { continue };
        match what {
            "passed" => counts.passed = Some(count),
            "failed" => counts.failed = Some(count),
            "ignored" => counts.skipped = Some(count),
            _ => {}
        }
    }
    (counts.passed.is_some() && counts.failed.is_some()).then_some((word != "ok", counts))
}

fn status(result: &str) -> Option<TestStatus> {
    let word = result.split([' ', ',', '<']).next().unwrap_or("");
    match word {
        "ok" => Some(TestStatus::Passed),
        "FAILED" => Some(TestStatus::Failed),
        "ignored" => Some(TestStatus::Skipped),
        "bench:" => Some(TestStatus::Passed),
        _ => None,
    }
}

/// `ok <0.012s>`
fn duration_ms(result: &str) -> Option<f64> {
    let (_, time) = result.rsplit_once('<')?;
    time.strip_suffix("s>")?.parse::<f64>().ok().map(|seconds| seconds * 1_000.0)
}

/// `src/lib.rs - path::item (line 12)`
fn doctest_place(name: &str) -> Option<(String, u32)> {
    let (rest, line) = name.strip_suffix(')')?.rsplit_once(" (line ")?;
    let (file, _) = rest.split_once(" - ")?;
    Some((file.to_owned(), line.parse().ok()?))
}

/// `..F.i.. 88/200`
fn is_quiet_progress(line: &str) -> bool {
    let marks = line.split(' ').next().unwrap_or("");
    !marks.is_empty() && marks.bytes().all(|b| matches!(b, b'.' | b'F' | b'i'))
}
