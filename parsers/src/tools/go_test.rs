//! `go test`, with and without `-v`: packages, tests and subtests, what they logged, and the panic that ended them.

use super::go_panic::Panic;
use super::place::Place;
use super::{Kind, Reader, Tool, go_cover};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Metric, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "go-test",
    kind: Kind::TestRunner,
    commands: &["go test", "gotestsum"],
    anchors: &[
        "=== RUN",
        "--- FAIL: ",
        "--- PASS: ",
        "--- SKIP: ",
        "ok  ",
        "FAIL",
        "[no test files]",
        " ns/op",
        "pkg: ",
    ],
    reader: || Box::new(GoTest::default()),
    ..Tool::DEFAULT
};

/// Tests of one package that wait for its closing line.
const WAITING_MAX: usize = 50_000;
const LOG_LINES_MAX: usize = 200;

#[derive(Default)]
struct GoTest {
    run: Option<Run>,
    /// Some package had its closing line.
    closed: bool,
}

/// One package's tests.
#[derive(Default)]
struct Run {
    tests: Vec<Pending>,
    /// Whose log lines come now.
    current: Option<usize>,
    benchmarks: Vec<String>,
    /// `PASS` or `FAIL` alone on a line: all of a test binary's summary when it runs by itself.
    ended: bool,
    /// `FAIL` alone or `exit status 1`: only the package's closing line can say otherwise.
    failed: bool,
}

pub(super) struct Pending {
    pub(super) name: String,
    pub(super) status: Option<TestStatus>,
    pub(super) duration_ms: Option<f64>,
    pub(super) log: Log,
    paused: bool,
}

impl Reader for GoTest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some(package) = Package::parse(line) {
            if let Some(percent) = covered(line) {
                sink.metric(Metric { percent: Some(percent), ..go_cover::metric(Some(package.name)) });
            }
            self.close(&package, sink);
            return 1;
        }
        // The last line of a run of several packages.
        if self.closed && self.run.is_none() && line == "FAIL" {
            sink.evidence(Evidence::SaysFailed);
            return 1;
        }
        let starts = self.run.is_none();
        let read = self.run.get_or_insert_default().read(lines, sink);
        if starts {
            match read {
                0 => self.run = None,
                _ => sink.evidence(Evidence::RunStarted),
            }
        }
        read
    }

    fn is_open(&self) -> bool {
        self.run.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        let Some(run) = self.run.take() else { return };
        if run.ended {
            sink.evidence(Evidence::RunEnded);
            // `go test` would have closed the package with a line of its own.
            sink.evidence(Evidence::BreaksOff);
        }
        if run.failed {
            sink.evidence(Evidence::SaysFailed);
        }
        run.emit(None, sink);
    }
}

impl GoTest {
    fn close(&mut self, package: &Package<'_>, sink: &mut Sink) {
        let run = self.run.take();
        self.closed = true;
        if run.is_none() {
            sink.evidence(Evidence::RunStarted);
        }
        sink.evidence(Evidence::RunEnded);
        let mut listed = 0;
        if let Some(run) = run {
            listed = run.tests.len() + run.benchmarks.len();
            run.emit(Some(package.name), sink);
        }
        match package.outcome {
            Outcome::Ok if listed > 0 => {}
            // Without -v the package is all that is said to have passed; `go test` takes it as it takes a test.
            Outcome::Ok => sink.test(TestCase {
                id: package.name.to_owned(),
                status: TestStatus::Passed,
                duration_ms: package.duration_ms,
                ..TestCase::default()
            }),
            Outcome::NoTests => sink.evidence(Evidence::SaysNoTests),
            Outcome::Failed => sink.evidence(Evidence::SaysFailed),
            Outcome::NotBuilt(why) => sink.test(TestCase {
                id: format!("{}::[{why}]", package.name),
                status: TestStatus::Error,
                message: Some(why.to_owned()),
                ..TestCase::default()
            }),
        }
    }
}

impl Run {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some(event) = line.strip_prefix("=== ") {
            if let Some(name) = event.strip_prefix("RUN ") {
                sink.began(name.trim());
            }
            return self.event(event);
        }
        if let Some((name, status, duration_ms)) = result(line) {
            let index = self.test(name);
            if let Some(test) = self.tests.get_mut(index) {
                test.status = Some(status);
                test.duration_ms = duration_ms;
            }
            self.current = Some(index);
            sink.ended([(name, status)]);
            return 1;
        }
        if let Some(name) = benchmark(line) {
            if self.benchmarks.len() < WAITING_MAX {
                self.benchmarks.push(name.to_owned());
            }
            return 1;
        }
        if line.starts_with("pkg: ") || line.starts_with("goos: ") || line.starts_with("goarch: ") {
            return 1;
        }
        if line == "PASS" || line == "FAIL" {
            self.ended = !self.tests.is_empty() || !self.benchmarks.is_empty();
            self.failed |= self.ended && line == "FAIL";
            self.current = None;
            return usize::from(self.ended);
        }
        if self.tests.is_empty() {
            return 0;
        }
        if let Some(panic) = Panic::read(lines) {
            self.blame(&panic);
            let read = panic.lines;
            sink.trace(panic.trace);
            return read;
        }
        if let Some(status) = line.strip_prefix("exit status ") {
            self.failed |= status != "0";
            return 1;
        }
        if line.starts_with("coverage: ") || line == "testing: warning: no tests to run" {
            return 1;
        }
        let current = self.current.and_then(|index| self.tests.get_mut(index));
        usize::from(current.is_some_and(|test| test.log.read(line)))
    }

    /// `RUN   TestX`, `PAUSE TestX`, `CONT  TestX`, `NAME  TestX`
    fn event(&mut self, event: &str) -> usize {
        let (word, name) = event.split_once(' ').unwrap_or((event, ""));
        if !matches!(word, "RUN" | "PAUSE" | "CONT" | "NAME") {
            return 0;
        }
        let name = name.trim();
        if name.is_empty() {
            self.current = None;
            return 1;
        }
        let index = self.test(name);
        if let Some(test) = self.tests.get_mut(index) {
            test.paused = word == "PAUSE";
        }
        self.current = Some(index);
        1
    }

    fn test(&mut self, name: &str) -> usize {
        let known = self.tests.iter().rposition(|test| test.name == name && test.status.is_none());
        known.unwrap_or_else(|| {
            if self.tests.len() < WAITING_MAX {
                self.tests.push(Pending::new(name));
            }
            self.tests.len() - 1
        })
    }

    fn blame(&mut self, panic: &Panic) {
        for name in &panic.timed_out {
            if let Some(test) = self.tests.iter_mut().find(|test| test.name == *name && test.status.is_none()) {
                test.status = Some(TestStatus::Timeout);
            }
        }
        if !panic.timed_out.is_empty() {
            return;
        }
        let current = self.current.and_then(|index| self.tests.get_mut(index));
        if let Some(test) = current.filter(|test| test.status != Some(TestStatus::Passed)) {
            test.log.blame(panic);
        }
    }

    fn emit(self, package: Option<&str>, sink: &mut Sink) {
        let only_benchmarks = self.tests.is_empty();
        for test in self.tests {
            sink.test(test.into_case(package));
        }
        // Beside tests they are measurements; alone they are what ran.
        for name in self.benchmarks.into_iter().filter(|_| only_benchmarks) {
            sink.test(TestCase { id: id(package, &name), status: TestStatus::Passed, ..TestCase::default() });
        }
    }
}

impl Pending {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), status: None, duration_ms: None, log: Log::default(), paused: false }
    }

    pub(super) fn into_case(self, package: Option<&str>) -> TestCase {
        let unfinished = if self.paused { TestStatus::NotRun } else { TestStatus::Error };
        let status = self.status.unwrap_or(unfinished);
        let log = if matches!(status, TestStatus::Passed | TestStatus::NotRun) { Log::default() } else { self.log };
        TestCase {
            id: id(package, &self.name),
            status,
            file: log.file,
            line: log.line,
            duration_ms: self.duration_ms,
            message: (!log.text.is_empty()).then(|| log.text.join("\n").trim().to_owned()),
            expected: log.expected,
            actual: log.actual,
        }
    }
}

fn id(package: Option<&str>, test: &str) -> String {
    package.map_or_else(|| test.to_owned(), |package| format!("{package}::{test}"))
}

/// What a test logged: `    file_test.go:12: message`, going on with deeper lines.
#[derive(Default)]
pub(super) struct Log {
    file: Option<String>,
    line: Option<u32>,
    text: Vec<String>,
    expected: Option<String>,
    actual: Option<String>,
    /// Columns the last entry is indented by.
    indent: Option<usize>,
    example: Option<ExampleSide>,
}

/// An example prints what it got and what it should have.
#[derive(Clone, Copy)]
enum ExampleSide {
    Got,
    Want,
}

impl Log {
    /// Whether the line is part of the log.
    pub(super) fn read(&mut self, line: &str) -> bool {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let text = &line[indent..];
        if indent >= 4
            && let Some((place, message)) = Place::before_text(text, ".go")
            && place.column.is_none()
            && !place.file.contains(' ')
        {
            self.indent = Some(indent);
            // testing.go only says that something was detected elsewhere.
            if self.file.is_none() && place.file != "testing.go" {
                self.file = Some(place.file.to_owned());
                self.line = Some(place.line);
            }
            self.push(message.trim());
            return true;
        }
        if self.indent.is_some_and(|entry| indent >= entry + 4) || (self.indent.is_some() && text.starts_with('\t')) {
            self.compared(text.trim());
            self.push(text.trim());
            return true;
        }
        self.indent = None;
        self.example_line(line)
    }

    fn push(&mut self, text: &str) {
        if self.text.len() < LOG_LINES_MAX && !text.is_empty() {
            self.text.push(text.to_owned());
        }
    }

    /// testify's `expected: 1` and `actual  : 2`.
    fn compared(&mut self, text: &str) {
        let text = text.strip_prefix("Error:").map_or(text, str::trim);
        if let Some(value) = text.strip_prefix("expected: ") {
            self.expected.get_or_insert_with(|| value.to_owned());
        } else if let Some(value) = text.strip_prefix("actual  : ") {
            self.actual.get_or_insert_with(|| value.to_owned());
        }
    }

    fn example_line(&mut self, line: &str) -> bool {
        let side = match line {
            "got:" => Some(ExampleSide::Got),
            "want:" if self.example.is_some() => Some(ExampleSide::Want),
            _ => None,
        };
        if side.is_some() {
            self.example = side;
            return true;
        }
        let value = match self.example {
            Some(ExampleSide::Got) => self.actual.get_or_insert_default(),
            Some(ExampleSide::Want) => self.expected.get_or_insert_default(),
            None => return false,
        };
        if value.lines().count() < LOG_LINES_MAX {
            if !value.is_empty() {
                value.push('\n');
            }
            value.push_str(line);
        }
        true
    }

    pub(super) fn blame(&mut self, panic: &Panic) {
        let own = panic.trace.frames.iter().find(|frame| {
            let function = frame.function.as_deref().unwrap_or("");
            !function.starts_with("testing.") && !function.starts_with("runtime.") && function != "panic"
        });
        if self.file.is_none()
            && let Some(frame) = own
        {
            self.file.clone_from(&frame.file);
            self.line = frame.line;
        }
        if let Some(message) = panic.trace.message.as_deref() {
            self.push(&format!("{}: {message}", panic.trace.exception.as_deref().unwrap_or("panic")));
        }
    }
}

/// A package's closing line.
struct Package<'a> {
    name: &'a str,
    outcome: Outcome<'a>,
    duration_ms: Option<f64>,
}

enum Outcome<'a> {
    Ok,
    Failed,
    NotBuilt(&'a str),
    NoTests,
}

impl<'a> Package<'a> {
    /// `ok   pkg 0.1s`, `FAIL pkg [build failed]`, `?    pkg [no test files]`
    fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_at_checked(line.find(['\t', ' '])?)?;
        let rest = rest.strip_prefix('\t').or_else(|| rest.strip_prefix("  "))?.trim_start();
        let name = rest.split(['\t', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('['))?;
        let detail = rest[name.len()..].trim();
        let first = detail.split([' ', '\t']).next().unwrap_or("");
        let duration_ms = first.strip_suffix('s').and_then(|s| s.parse::<f64>().ok()).map(|s| s * 1_000.0);
        let outcome = match word {
            "ok" if detail.contains("[no tests to run]") => Outcome::NoTests,
            "ok" if duration_ms.is_some() || first == "(cached)" => Outcome::Ok,
            "FAIL" if duration_ms.is_some() || detail == "(cached)" => Outcome::Failed,
            "FAIL" => Outcome::NotBuilt(
                detail.strip_prefix('[').and_then(|d| d.strip_suffix(']')).filter(|why| why.ends_with(" failed"))?,
            ),
            "?" if detail == "[no test files]" => Outcome::NoTests,
            _ => return None,
        };
        Some(Self { name, outcome, duration_ms })
    }
}

/// `--- FAIL: TestX/sub (0.00s)`; a test's output without a newline may stand before it.
fn result(line: &str) -> Option<(&str, TestStatus, Option<f64>)> {
    const RESULTS: &[(&str, TestStatus)] =
        &[("--- FAIL: ", TestStatus::Failed), ("--- PASS: ", TestStatus::Passed), ("--- SKIP: ", TestStatus::Skipped)];
    let (at, mark, status) = RESULTS.iter().find_map(|&(mark, status)| Some((line.rfind(mark)?, mark, status)))?;
    let rest = line[at + mark.len()..].trim_end();
    let (name, time) = match rest.split_once(" (") {
        Some((name, time)) => (name, Some(time.strip_suffix(')')?)),
        None => (rest, None),
    };
    let seconds = time.map(|time| time.trim_end_matches(" seconds").trim_end_matches('s').parse::<f64>());
    let alone = line[..at].trim().is_empty();
    let duration_ms = match seconds {
        Some(Ok(seconds)) => Some(seconds * 1_000.0),
        Some(Err(_)) => return None,
        None if alone && name.starts_with("Benchmark") => None,
        None => return None,
    };
    (!name.is_empty() && !name.contains(' ')).then_some((name, status, duration_ms))
}

/// `BenchmarkOne-8    1000000000          0.2640 ns/op`
fn benchmark(line: &str) -> Option<&str> {
    if !line.starts_with("Benchmark") || !line.contains(" ns/op") {
        return None;
    }
    let name = line.split([' ', '\t']).next()?;
    match name.rsplit_once('-') {
        Some((base, cpus)) if cpus.bytes().all(|b| b.is_ascii_digit()) => Some(base),
        Some(_) | None => Some(name),
    }
}

/// `ok   shop 0.012s coverage: 66.7% of statements`
fn covered(line: &str) -> Option<f64> {
    line.split_once("\tcoverage: ")?.1.split_once("% of statements")?.0.parse().ok()
}
