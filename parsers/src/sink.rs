//! Where tools put what they read: lists with caps, exact counts, and evidence for the verdict.

use crate::command::Command;
use crate::directory::Directories;
use crate::tools::Kind;
use crate::{
    Diagnostic, Event, Metric, PrintedCounts, Report, SCHEMA, Severity, Summary, TestCase, TestStatus, Trace,
    fingerprint,
};

const DIAGNOSTICS_MAX: usize = 2_000;
const TESTS_MAX: usize = 20_000;
const TRACES_MAX: usize = 200;
const METRICS_MAX: usize = 5_000;
const MISSING_LINES_MAX: usize = 1_000;
const MESSAGE_BYTES_MAX: usize = 16 << 10;
const RELATED_MAX: usize = 100;

/// What a tool saw that speaks for or against a pass, apart from the items themselves.
#[allow(dead_code, reason = "part of the contract with tools; not every variant has its tool yet")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// A test run began (`running 3 tests`); it must end too.
    RunStarted,
    /// A test run printed its closing summary.
    RunEnded,
    /// The tool says in words that all is well (`All checks passed!`, `Success: no issues found`).
    SaysPassed,
    /// The runner says in words that tests failed (`FAILED`, `test result: FAILED`).
    SaysFailed,
    /// It says that it could not do its work: compile error, collection error, bad configuration.
    SaysError,
    /// The process died: panic outside a test, abort, segmentation fault, out of memory.
    Crashed,
    /// The runner says that it found no test.
    SaysNoTests,
    /// Something was announced that did not come. Only an exit status of 0 outweighs it.
    BreaksOff,
}

/// What one reader is told about the command, and what it may add to.
pub(crate) struct Sink {
    report: Report,
    evidence: EvidenceSeen,
    command: Option<Command>,
    hint: Option<String>,
    directories: Directories,
    tool: &'static str,
    kind: Kind,
    live: Option<Watch>,
}

/// For who watches while the command runs.
#[derive(Default)]
struct Watch {
    events: Vec<Event>,
    /// Tools that told of their tests' ends before they added them.
    early_tools: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct EvidenceSeen {
    pub(crate) runs_started: u64,
    pub(crate) runs_ended: u64,
    pub(crate) says_passed: bool,
    pub(crate) says_failed: bool,
    pub(crate) says_error: bool,
    pub(crate) crashed: bool,
    pub(crate) says_no_tests: bool,
    pub(crate) breaks_off: bool,
    /// Diagnostics of severity error by tools that build, and by all others.
    pub(crate) build_errors: u64,
    pub(crate) check_errors: u64,
    /// By the generic reader.
    pub(crate) unknown_errors: u64,
    pub(crate) traces: u64,
    pub(crate) timeouts: u64,
    /// Some compiler or linter printed a finding, so it ran.
    pub(crate) checker_ran: bool,
}

impl Sink {
    pub(crate) fn new(hint: Option<&str>, command: Option<&str>) -> Self {
        let report = Report { schema: SCHEMA, ..Report::default() };
        Self {
            report,
            evidence: EvidenceSeen::default(),
            command: command.map(Command::parse),
            hint: hint.map(str::to_owned),
            directories: Directories::default(),
            tool: "",
            kind: Kind::Generic,
            live: None,
        }
    }

    /// For the engine: somebody watches.
    pub(crate) fn watch(&mut self) {
        self.live = Some(Watch::default());
    }

    /// For the engine: what was read since the last time.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.live.as_mut().map(|live| std::mem::take(&mut live.events)).unwrap_or_default()
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.report.summary
    }

    fn tell(&mut self, event: impl FnOnce() -> Event) {
        if let Some(live) = &mut self.live {
            live.events.push(event());
        }
    }

    /// For who watches: a test began. Changes nothing in the report.
    pub(crate) fn began(&mut self, id: &str) {
        self.tell(|| Event::TestStarted { id: id.to_owned() });
    }

    /// For who watches: tests whose results are known and that are added only later, when all is known of them. Changes
    /// nothing in the report.
    pub(crate) fn ended<'a>(&mut self, tests: impl IntoIterator<Item = (&'a str, TestStatus)>) {
        let Some(live) = &mut self.live else { return };
        for (id, status) in tests {
            if !live.early_tools.contains(&self.tool) {
                live.early_tools.push(self.tool);
            }
            live.events.push(Event::TestFinished { id: id.to_owned(), status });
        }
    }

    /// Adds a finding. `source` and `fingerprint` are filled in where the tool left them empty.
    pub(crate) fn diagnostic(&mut self, mut diagnostic: Diagnostic) {
        match diagnostic.severity {
            Some(Severity::Error) => {
                self.report.summary.diagnostic_errors += 1;
                match self.kind {
                    Kind::Compiler => self.evidence.build_errors += 1,
                    // It comes with its trace, which is what counts; a program may also print one and go on.
                    Kind::Runtime => {}
                    // Who knows who printed it: a test may, and pass.
                    Kind::Generic => self.evidence.unknown_errors += 1,
                    Kind::Linter | Kind::TestRunner => self.evidence.check_errors += 1,
                }
            }
            Some(Severity::Warning) => self.report.summary.diagnostic_warnings += 1,
            Some(Severity::Note | Severity::Info | Severity::Hint) | None => {}
        }
        self.evidence.checker_ran |= matches!(self.kind, Kind::Compiler | Kind::Linter);
        if self.report.diagnostics.len() < DIAGNOSTICS_MAX {
            self.complete(&mut diagnostic);
            self.tell(|| Event::Diagnostic(diagnostic.clone()));
            self.report.diagnostics.push(diagnostic);
        } else {
            self.report.unlisted += 1;
        }
    }

    fn complete(&self, diagnostic: &mut Diagnostic) {
        if diagnostic.source.is_empty() {
            diagnostic.source = self.tool.to_owned();
        }
        cut(&mut diagnostic.message);
        diagnostic.code.take_if(|code| code.is_empty());
        forget_end_before_start(diagnostic);
        if let Some(path) = diagnostic.file.as_deref().and_then(|file| self.directories.join(file)) {
            diagnostic.file = Some(path);
        }
        if diagnostic.fingerprint.is_empty() {
            diagnostic.fingerprint = fingerprint::of(diagnostic);
        }
        if diagnostic.related.is_empty() {
            return;
        }
        diagnostic.related.truncate(RELATED_MAX);
        let source = diagnostic.source.clone();
        for related in &mut diagnostic.related {
            if related.source.is_empty() {
                related.source.clone_from(&source);
            }
            self.complete(related);
        }
    }

    /// A build tool went into a directory: relative paths are its own from here on.
    pub(crate) fn enter(&mut self, directory: &str) {
        let change = self.command.as_ref().and_then(|command| command.option("-C"));
        self.directories.enter(directory, change);
    }

    pub(crate) fn leave(&mut self, directory: &str) {
        self.directories.leave(directory);
    }

    /// Adds one test's result; emit each test once, when all of it is known.
    pub(crate) fn test(&mut self, mut test: TestCase) {
        let summary = &mut self.report.summary;
        match test.status {
            TestStatus::Passed => summary.passed += 1,
            TestStatus::Failed => summary.failed += 1,
            TestStatus::Timeout => {
                summary.failed += 1;
                self.evidence.timeouts += 1;
            }
            TestStatus::Error => summary.errors += 1,
            TestStatus::Skipped => summary.skipped += 1,
            TestStatus::Xfailed => summary.xfailed += 1,
            TestStatus::Xpassed => summary.xpassed += 1,
            TestStatus::NotRun => {}
        }
        for text in [&mut test.message, &mut test.expected, &mut test.actual].into_iter().flatten() {
            cut(text);
        }
        test.duration_ms = test.duration_ms.map(|duration_ms| rounded(duration_ms, 1e6));
        if self.report.tests.len() < TESTS_MAX {
            self.tell_test(&test);
            self.report.tests.push(test);
        } else {
            self.report.unlisted += 1;
        }
    }

    /// Takes back the last test of this name that did not pass: it was run again, and that result counts. Costs a look
    /// at every test, so a caller does it a bounded number of times.
    pub(crate) fn take_back(&mut self, id: &str) {
        let tests = &mut self.report.tests;
        let Some(at) = tests.iter().rposition(|test| test.id == id && test.status == TestStatus::Failed) else {
            return;
        };
        tests.remove(at);
        self.report.summary.failed -= 1;
    }

    /// Whether the command line has the option `name` with `value`, in one word or two.
    pub(crate) fn has_option(&self, name: &str, value: &str) -> bool {
        self.command
            .as_ref()
            .is_some_and(|command| command.option(name) == Some(value) || command.has_word(&format!("{name}={value}")))
    }

    fn tell_test(&mut self, test: &TestCase) {
        let Some(live) = &mut self.live else { return };
        if test.status == TestStatus::NotRun {
            return;
        }
        if !live.early_tools.contains(&self.tool) {
            live.events.push(Event::TestFinished { id: test.id.clone(), status: test.status });
        }
        match test.status {
            TestStatus::Failed | TestStatus::Error | TestStatus::Timeout => {
                live.events.push(Event::Failure(test.clone()))
            }
            TestStatus::Passed
            | TestStatus::Skipped
            | TestStatus::Xfailed
            | TestStatus::Xpassed
            | TestStatus::NotRun => {}
        }
    }

    pub(crate) fn trace(&mut self, trace: Trace) {
        self.evidence.traces += 1;
        if self.report.traces.len() < TRACES_MAX {
            self.tell(|| Event::Trace(trace.clone()));
            self.report.traces.push(trace);
        } else {
            self.report.unlisted += 1;
        }
    }

    /// Adds how much was executed. `source` is filled in where the tool left it empty; `percent` from the counts.
    pub(crate) fn metric(&mut self, mut metric: Metric) {
        if metric.source.is_empty() {
            metric.source = self.tool.to_owned();
        }
        if let (None, Some(covered), Some(total)) = (metric.percent, metric.covered, metric.total)
            && total > 0
        {
            #[allow(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
            let share = covered as f64 / total as f64;
            metric.percent = Some((share * 10_000.0).round() / 100.0);
        }
        metric.percent = metric.percent.map(|percent| rounded(percent, 1e10));
        metric.missing_lines.truncate(MISSING_LINES_MAX);
        if self.report.metrics.len() < METRICS_MAX {
            self.report.metrics.push(metric);
        } else {
            self.report.unlisted += 1;
        }
    }

    /// Adds the totals one run printed; several runs add up.
    pub(crate) fn printed(&mut self, counts: &PrintedCounts) {
        let add = |total: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *total = Some(total.unwrap_or(0).saturating_add(more));
            }
        };
        let total = self.report.summary.printed.get_or_insert_default();
        add(&mut total.passed, counts.passed);
        add(&mut total.failed, counts.failed);
        add(&mut total.errors, counts.errors);
        add(&mut total.skipped, counts.skipped);
        add(&mut total.xfailed, counts.xfailed);
        add(&mut total.xpassed, counts.xpassed);
    }

    pub(crate) fn evidence(&mut self, evidence: Evidence) {
        let seen = &mut self.evidence;
        match evidence {
            Evidence::RunStarted => seen.runs_started += 1,
            Evidence::RunEnded => seen.runs_ended += 1,
            Evidence::SaysPassed => seen.says_passed = true,
            Evidence::SaysFailed => seen.says_failed = true,
            Evidence::SaysError => seen.says_error = true,
            Evidence::Crashed => seen.crashed = true,
            Evidence::SaysNoTests => seen.says_no_tests = true,
            Evidence::BreaksOff => seen.breaks_off = true,
        }
    }

    /// Whether the caller, the command line or earlier output says that `tool` is at work here: settles lines that
    /// many tools print (`error: …`).
    pub(crate) fn expects(&self, tool: &str) -> bool {
        self.hint.as_deref() == Some(tool)
            || self.report.tools.iter().any(|seen| seen == tool)
            || self.command.as_ref().is_some_and(|command| {
                crate::tools::named(tool).is_some_and(|spec| spec.commands.iter().any(|program| command.runs(program)))
            })
    }

    /// Whether the command line asks a build tool to run tests: `gradle check`, `sbt test`.
    pub(crate) fn expects_test(&self) -> bool {
        const TASKS: &[&str] = &["test", "check", "build", "verify"];
        self.command.as_ref().is_some_and(|command| TASKS.iter().any(|task| command.names(task)))
    }

    /// For the engine: whose turn it is.
    pub(crate) fn turn_of(&mut self, tool: &'static str, kind: Kind) {
        self.tool = tool;
        self.kind = kind;
    }

    /// For the engine: the tool whose turn it is claimed lines.
    pub(crate) fn claimed(&mut self) {
        if !self.report.tools.iter().any(|seen| seen == self.tool) {
            self.report.tools.push(self.tool.to_owned());
        }
    }

    /// For the engine: whether a line of a tool that was at work may begin with `text`.
    pub(crate) fn may_begin(&self, text: &str) -> bool {
        let seen = self.report.tools.iter().filter_map(|name| crate::tools::named(name));
        seen.flat_map(|tool| tool.anchors).any(|anchor| anchor.starts_with(text))
    }

    pub(crate) fn into_parts(self) -> (Report, EvidenceSeen, Option<Command>) {
        (self.report, self.evidence, self.command)
    }
}

impl EvidenceSeen {
    /// Tests counted here or by the runner, whichever is more.
    pub(crate) fn failed_tests(&self, summary: &Summary) -> u64 {
        summary.failed.max(summary.printed.as_ref().and_then(|p| p.failed).unwrap_or(0))
    }

    pub(crate) fn errored_tests(&self, summary: &Summary) -> u64 {
        summary.errors.max(summary.printed.as_ref().and_then(|p| p.errors).unwrap_or(0))
    }
}

/// A span that ends before it begins was damaged on its way: its start is what many tools agree on.
fn forget_end_before_start(diagnostic: &mut Diagnostic) {
    let Diagnostic { line, column, end_line, end_column, .. } = diagnostic;
    if line.zip(*end_line).is_some_and(|(line, end)| end < line) {
        (*end_line, *end_column) = (None, None);
    }
    let on_one_line = end_line.is_none() || line == end_line;
    if on_one_line && column.zip(*end_column).is_some_and(|(column, end)| end < column) {
        *end_column = None;
    }
}

/// So many steps to one, and no digits that mean nothing: a report that is written and read back is the same to the last
/// bit, which readers of JSON promise only for numbers of some fifteen digits.
fn rounded(value: f64, steps: f64) -> f64 {
    let rounded = (value * steps).round() / steps;
    if rounded.is_finite() { rounded } else { value }
}

/// Messages come from anywhere and may be a whole file.
fn cut(text: &mut String) {
    if text.len() > MESSAGE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_duration_is_read_back_to_the_last_bit() {
        let mut sink = Sink::new(None, None);
        for nanoseconds in (1..200_000_000u32).step_by(39_119) {
            let duration_ms = Some(f64::from(nanoseconds) / 1e9 * 1e3);
            sink.test(TestCase { duration_ms, ..TestCase::default() });
        }
        let (report, ..) = sink.into_parts();
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
