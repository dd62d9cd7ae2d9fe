//! pytest's terminal report: progress, sections of failures, short summary, totals.
//!
//! Tested code prints too, and may print what looks like a result. Sections are told by their rules of exactly the
//! terminal's width, captured output is passed over, and the last totals printed are the ones that count.

mod failure;
mod line;
mod outcome;

use super::python::Traceback;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestStatus};
use line::Totals;
use outcome::Outcome;

pub(super) const TOOL: Tool = Tool {
    name: "pytest",
    kind: Kind::TestRunner,
    commands: &["pytest", "py.test"],
    anchors: &[
        " test session starts ",
        "= FAILURES =",
        "= ERRORS =",
        "short test summary info",
        "%]",
        " in 0.",
        "s ===",
        " passed in ",
        " passed, ",
        " failed in ",
        " failed, ",
        " error in ",
        " errors in ",
        " skipped in ",
        " skipped, ",
        " deselected in ",
        " xfailed in ",
        " xpassed in ",
        " warning in ",
        " warnings in ",
        "no tests ran in ",
        "no tests collected",
        "INTERNALERROR> ",
        "ERROR: ",
        "while loading conftest '",
    ],
    reader: || Box::new(Pytest::default()),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 5_000;
const CONFTEST_LINES_MAX: usize = 200;
const USAGE_LINES_MAX: usize = 12;

#[derive(Default)]
struct Pytest {
    run: Option<Run>,
}

/// One session, from its header or first sign to the next session's header.
struct Run {
    section: Section,
    /// The terminal's, as the first rule shows it.
    width: Option<usize>,
    /// A run that prints its header prints its totals in a rule too.
    has_header: bool,
    outcome: Outcome,
    totals: Option<Totals>,
    /// `path::test ` whose result has not come yet: its own output stands between.
    waiting: Option<String>,
    /// Tests by the letters of lines with a percentage; a very quiet run prints no totals.
    letters: PrintedCounts,
    /// The last such line ended with `[100%]`.
    is_complete: bool,
    /// The short summary has named a test.
    is_summarised: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Section {
    Progress,
    /// `ERRORS` and `FAILURES`; a block while one is read.
    Failures {
        is_error: bool,
        block: Option<Block>,
    },
    Durations,
    Summary,
    /// Warnings, output of passed tests, plugins' own.
    Other,
    Ended,
}

/// `____ title ____` and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    title: String,
    body: Vec<String>,
    /// From here on it is the test's own output.
    is_captured: bool,
}

impl Reader for Pytest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.starts_with("INTERNALERROR> ") {
            return internal_error(lines, sink);
        }
        if line.contains("Error while loading conftest '") {
            return conftest_error(lines, sink);
        }
        if let Some(run) = &self.run {
            let idle = match run.section {
                Section::Progress => {
                    !line::may_matter(line) && !line.starts_with("ERROR: ") && !line::is_live_log(line)
                }
                Section::Ended => !line.starts_with('=') && !line.starts_with("ERROR: "),
                Section::Failures { .. } | Section::Durations | Section::Summary | Section::Other => false,
            };
            if idle {
                return 0;
            }
        }
        if let Some(rule) = line::section(line, self.run.as_ref().and_then(|run| run.width)) {
            let run = match rule {
                "test session starts" => {
                    // Tests of test tools print whole sessions: inside a section one is only text.
                    if self.run.as_ref().is_some_and(|run| !run.may_end()) {
                        return 1;
                    }
                    self.close(sink);
                    sink.evidence(Evidence::RunStarted);
                    let fresh = Run { has_header: true, ..Run::new(Some(line.chars().count())) };
                    self.run.insert(fresh)
                }
                _ => match &mut self.run {
                    Some(run) => run,
                    // `-q` prints no header.
                    None if is_ours(rule) => {
                        sink.evidence(Evidence::RunStarted);
                        self.run.insert(Run::new(Some(line.chars().count())))
                    }
                    None => return 0,
                },
            };
            run.width.get_or_insert(line.chars().count());
            run.enter(rule);
            return 1;
        }
        if self.run.is_none() {
            let is_progress = line::progress(line).is_some() || line::result(line).is_some();
            if !is_progress && Totals::parse(line).is_none() {
                return usage_error(lines, sink);
            }
            sink.evidence(Evidence::RunStarted);
            self.run = Some(Run::new(None));
        }
        let Some(run) = &mut self.run else { return 0 };
        match run.read(line, sink) {
            0 => usage_error(lines, sink),
            claimed => claimed,
        }
    }

    fn is_open(&self) -> bool {
        self.run.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
    }
}

impl Pytest {
    fn close(&mut self, sink: &mut Sink) {
        let Some(mut run) = self.run.take() else { return };
        run.end_block();
        if run.totals.is_some() {
            sink.evidence(Evidence::RunEnded);
        } else if run.is_complete && !run.has_header {
            // `-qq`: the letters are all there is, and the exit status must say that they are.
            sink.evidence(Evidence::RunEnded);
            sink.evidence(Evidence::BreaksOff);
            run.totals = Some(Totals { counts: std::mem::take(&mut run.letters), is_empty: false });
        }
        run.outcome.report(run.totals, sink);
    }
}

fn is_ours(rule: &str) -> bool {
    matches!(rule, "FAILURES" | "ERRORS" | "short test summary info") || Totals::parse(rule).is_some()
}

impl Run {
    fn new(width: Option<usize>) -> Self {
        Self {
            section: Section::Progress,
            width,
            has_header: false,
            outcome: Outcome::default(),
            totals: None,
            waiting: None,
            letters: PrintedCounts::default(),
            is_complete: false,
            is_summarised: false,
        }
    }

    /// Whether a new session's header may be believed.
    fn may_end(&self) -> bool {
        match &self.section {
            Section::Progress | Section::Ended | Section::Summary => true,
            Section::Failures { .. } | Section::Durations | Section::Other => false,
        }
    }

    /// `=== rule ===`
    fn enter(&mut self, rule: &str) {
        self.end_block();
        if let Some(totals) = Totals::parse(rule) {
            self.totals = Some(totals);
            self.section = Section::Ended;
            return;
        }
        self.section = match rule {
            "test session starts" => Section::Progress,
            "ERRORS" => Section::Failures { is_error: true, block: None },
            "FAILURES" => Section::Failures { is_error: false, block: None },
            "short test summary info" => Section::Summary,
            _ if rule.starts_with("slowest ") => Section::Durations,
            _ => Section::Other,
        };
    }

    fn read(&mut self, line: &str, sink: &mut Sink) -> usize {
        // A quiet run's totals have no rule around them.
        if !self.has_header
            && !matches!(self.section, Section::Failures { .. } | Section::Ended)
            && let Some(totals) = Totals::parse(line)
        {
            self.enter(line);
            self.totals = Some(totals);
            return 1;
        }
        match &mut self.section {
            Section::Progress => self.read_progress(line, sink),
            Section::Failures { is_error, block } => {
                if let Some(title) = line::block_title(line, self.width) {
                    let is_error = *is_error;
                    let fresh = Block { title: title.to_owned(), body: Vec::new(), is_captured: false };
                    if let Some(done) = block.replace(fresh) {
                        self.outcome.block(is_error, &done.title, &done.body);
                    }
                } else if line::quiet_end(line) {
                    // With `-q` and no short summary the totals follow the last block.
                    if let Some(totals) = Totals::parse(line) {
                        self.totals = Some(totals);
                    }
                } else if let Some(block) = block {
                    block.is_captured |= line::is_dashed_rule(line, self.width);
                    if !block.is_captured && block.body.len() < BLOCK_LINES_MAX {
                        block.body.push(line.to_owned());
                    }
                } else if !line.trim().is_empty() {
                    self.outcome.one_line(line);
                }
                1
            }
            Section::Durations => {
                if let Some((id, milliseconds)) = line::duration(line) {
                    self.outcome.duration(id, milliseconds);
                }
                1
            }
            Section::Summary => self.read_summary(line, sink),
            Section::Other => {
                if line.starts_with("!!!") {
                    interruption(line, sink);
                }
                1
            }
            Section::Ended => 0,
        }
    }

    fn read_progress(&mut self, line: &str, sink: &mut Sink) -> usize {
        if let Some((id, status)) = line::result(line) {
            self.waiting = None;
            self.outcome.result(id, status, None);
            sink.ended([(id, status)]);
            return 1;
        }
        if let Some(waiting) = &self.waiting
            && let Some(status) = line::late_result(line)
        {
            sink.ended([(waiting.as_str(), status)]);
            self.outcome.result(&waiting.clone(), status, None);
            self.waiting = None;
            return 1;
        }
        if let Some(id) = line::started(line) {
            self.waiting = Some(id.to_owned());
            return 1;
        }
        if let Some(letters) = line::progress(line) {
            if letters.contains(['F', 'E']) {
                sink.evidence(Evidence::SaysFailed);
            }
            line::count(letters, &mut self.letters);
            self.is_complete = line::is_last(line);
            return 1;
        }
        if line.starts_with("!!!") {
            return interruption(line, sink);
        }
        usize::from(line::is_preamble(line) || line::is_live_log(line))
    }

    fn read_summary(&mut self, line: &str, sink: &mut Sink) -> usize {
        if let Some((id, status, message)) = line::summary(line) {
            self.outcome.summary(id, status, message);
            self.is_summarised = true;
            return 1;
        }
        if line.starts_with("!!!") {
            return interruption(line, sink);
        }
        // With `-vv` a message has all its lines; the totals close them.
        let goes_on = self.is_summarised && self.has_header && !line.is_empty();
        usize::from(goes_on || line.starts_with("SKIPPED [") || line.starts_with("RERUN "))
    }

    fn end_block(&mut self) {
        if let Section::Failures { is_error, block } = &mut self.section
            && let Some(done) = block.take()
        {
            self.outcome.block(*is_error, &done.title, &done.body);
        }
    }
}

/// `!!!! Interrupted: 1 error during collection !!!!`; that it stopped after failures is not an error of its own.
fn interruption(line: &str, sink: &mut Sink) -> usize {
    let says = line.trim_matches(['!', ' ']);
    if !says.starts_with("stopping after ") && !says.starts_with("xdist.dsession.Interrupted: stopping after ") {
        sink.evidence(Evidence::SaysError);
    }
    1
}

fn internal_error(lines: Lines<'_>, sink: &mut Sink) -> usize {
    sink.evidence(Evidence::SaysError);
    let Some(traceback) = Traceback::read_in_log(&|n| lines.ahead(n)) else { return 1 };
    let mut finding = traceback.main.finding();
    finding.message = format!("internal error: {}", finding.message);
    sink.diagnostic(finding);
    sink.trace(traceback.main.trace);
    traceback.lines
}

/// `ImportError while loading conftest '/src/conftest.py'.` and its traceback in the short style.
fn conftest_error(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let body: Vec<String> = (0..CONFTEST_LINES_MAX)
        .map_while(|n| lines.ahead(n))
        .take_while(|line| !line.trim().is_empty() && !line.starts_with("==="))
        .map(str::to_owned)
        .collect();
    let failure = failure::Failure::read(&body);
    sink.evidence(Evidence::SaysError);
    sink.diagnostic(failure.finding());
    let read = body.len();
    if let Some(trace) = failure.into_trace() {
        sink.trace(trace);
    }
    read
}

/// `ERROR: file or directory not found: nope.py`
fn usage_error(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let Some(mut message) = lines.first().strip_prefix("ERROR: ") else { return 0 };
    if !sink.expects(TOOL.name) {
        return 0;
    }
    let mut read = 1;
    if message.starts_with("usage: ")
        && let Some((at, error)) =
            (1..USAGE_LINES_MAX).find_map(|n| Some((n, lines.ahead(n)?.split_once(": error: ")?.1)))
    {
        message = error;
        read = at + 1;
    }
    sink.evidence(Evidence::SaysError);
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        message: message.to_owned(),
        ..Diagnostic::default()
    });
    read
}

/// The worse of two results of one test: its teardown may fail after it passed.
fn worse(known: TestStatus, new: TestStatus) -> TestStatus {
    let rank = |status: TestStatus| match status {
        TestStatus::Failed | TestStatus::Timeout => 3,
        TestStatus::Error => 2,
        TestStatus::Xpassed | TestStatus::Xfailed | TestStatus::Skipped | TestStatus::Passed => 1,
        TestStatus::NotRun => 0,
    };
    if rank(new) >= rank(known) { new } else { known }
}
