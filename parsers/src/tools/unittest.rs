//! Python's `unittest` and the runners built on it, Django's too.

use std::collections::HashMap;

use super::python::{Traceback, compared, is_own};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "unittest",
    kind: Kind::TestRunner,
    // `python3 -m unittest` is `unittest` to the command line's reader.
    commands: &["unittest", "manage.py test", "python manage.py test", "python3 manage.py test", "django-admin test"],
    anchors: &[") ... ", "======================================================================", "Ran "],
    reader: || Box::new(Unittest::default()),
    ..Tool::DEFAULT
};

const RULE_LENGTH: usize = 70;
const TESTS_MAX: usize = 100_000;
/// Lines between a block's rule and the rule under its header: the name and a documentation line.
const HEADER_LINES_MAX: usize = 8;

#[derive(Default)]
struct Unittest {
    run: Option<Run>,
}

#[derive(Default)]
struct Run {
    tests: Vec<TestCase>,
    by_id: HashMap<String, usize>,
    /// Named, but its result has not come: a documentation line or its own output stands between.
    waiting: Option<String>,
}

impl Reader for Unittest {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some((counts, word, read)) = summary(lines) {
            self.run(sink);
            self.close(sink);
            sink.evidence(Evidence::RunEnded);
            sink.printed(&counts);
            match word {
                Word::Ok => {}
                Word::Failed => sink.evidence(Evidence::SaysFailed),
                Word::NoTests => sink.evidence(Evidence::SaysNoTests),
            }
            return read;
        }
        if let Some(block) = Block::read(lines) {
            let read = block.lines;
            block.report(self.run(sink), sink);
            return read;
        }
        if let Some((id, rest)) = named(line) {
            let run = self.run(sink);
            match status(rest) {
                Some(status) => run.add(&id, status, rest),
                None => run.waiting = Some(id),
            }
            return 1;
        }
        let Some(run) = &mut self.run else { return 0 };
        // `test_a (app.tests.A.test_a)` alone is followed by a documentation line with the result.
        if let Some((name, place)) = name_and_place(line) {
            run.waiting = Some(id(name, place));
            return 1;
        }
        if run.waiting.is_some() {
            let result = line.rsplit_once(" ... ").map_or(line, |(_, result)| result);
            if let Some(status) = status(result)
                && let Some(id) = run.waiting.take()
            {
                run.add(&id, status, result);
                return 1;
            }
        }
        usize::from(!line.is_empty() && line.bytes().all(|b| b".FEsxu".contains(&b)))
    }

    fn is_open(&self) -> bool {
        self.run.is_some()
    }

    fn finish(&mut self, sink: &mut Sink) {
        self.close(sink);
    }
}

impl Unittest {
    /// The run that is under way, or one that begins here.
    fn run(&mut self, sink: &mut Sink) -> &mut Run {
        if self.run.is_none() {
            sink.evidence(Evidence::RunStarted);
        }
        self.run.get_or_insert_default()
    }

    fn close(&mut self, sink: &mut Sink) {
        for test in self.run.take().into_iter().flat_map(|run| run.tests) {
            sink.test(test);
        }
    }
}

impl Run {
    fn add(&mut self, id: &str, status: TestStatus, result: &str) {
        if let Some(test) = self.test_mut(id) {
            // Of its parts, the one that went wrong tells.
            if !matches!(test.status, TestStatus::Failed | TestStatus::Error) {
                test.status = status;
            }
            if status == TestStatus::Skipped {
                test.message = result.strip_prefix("skipped ").map(|why| why.trim_matches(['\'', '"']).to_owned());
            }
        }
    }

    fn test_mut(&mut self, id: &str) -> Option<&mut TestCase> {
        let index = match self.by_id.get(id) {
            Some(&index) => index,
            None if self.tests.len() < TESTS_MAX => {
                self.tests.push(TestCase { id: id.to_owned(), ..TestCase::default() });
                self.by_id.insert(id.to_owned(), self.tests.len() - 1);
                self.tests.len() - 1
            }
            None => return None,
        };
        self.tests.get_mut(index)
    }
}

/// `ERROR: test_a (module.Class.test_a)` between rules, and its traceback.
struct Block<'a> {
    id: String,
    status: TestStatus,
    body: Vec<&'a str>,
    lines: usize,
}

impl<'a> Block<'a> {
    fn read(lines: Lines<'a>) -> Option<Self> {
        if !is_rule(lines.first(), b'=') {
            return None;
        }
        let header = lines.ahead(1)?;
        let (word, name) = header.split_once(": ")?;
        let status = match word {
            "ERROR" => TestStatus::Error,
            "FAIL" => TestStatus::Failed,
            "UNEXPECTED SUCCESS" => TestStatus::Xpassed,
            _ => return None,
        };
        let id = name_and_place(name).map_or_else(|| name.to_owned(), |(name, place)| id(name, place));
        let under = (2..HEADER_LINES_MAX).find(|&n| lines.ahead(n).is_some_and(|line| is_rule(line, b'-')))?;
        if status == TestStatus::Xpassed {
            // Nothing follows but the next block or the summary, whose rule it shares.
            return Some(Self { id, status, body: Vec::new(), lines: under });
        }
        let body: Vec<&str> = (under + 1..)
            .map_while(|n| lines.ahead(n))
            .take_while(|line| !is_rule(line, b'=') && !is_rule(line, b'-'))
            .collect();
        let lines = under + 1 + body.len();
        Some(Self { id, status, body, lines })
    }

    fn report(self, run: &mut Run, sink: &mut Sink) {
        let body = &self.body;
        let output = body.iter().position(|line| *line == "Stdout:" || *line == "Stderr:").unwrap_or(body.len());
        let body = &body[..output];
        let start = body.iter().position(|line| line.starts_with("Traceback (most recent call last):"));
        let mut failure = TestCase::default();
        match start.and_then(|at| Traceback::read(&|n| body.get(at + n).copied()).map(|found| (at, found))) {
            Some((at, mut traceback)) => {
                let more = body.get(at + traceback.lines..).unwrap_or(&[]).join("\n");
                let trace = &mut traceback.main.trace;
                if !more.trim().is_empty() {
                    let message = trace.message.get_or_insert_default();
                    message.push('\n');
                    message.push_str(more.trim_end());
                }
                let name = trace.exception.as_deref().unwrap_or("");
                let message = trace.message.as_deref().map_or(name.to_owned(), |text| format!("{name}: {text}"));
                let frame = trace.frames.iter().find(|frame| is_own(frame)).or(trace.frames.first());
                failure.file = frame.and_then(|frame| frame.file.clone());
                failure.line = frame.and_then(|frame| frame.line);
                (failure.actual, failure.expected) = compared(&message).unzip();
                failure.message = Some(message);
                let finding = traceback.main.finding();
                let advice = traceback.findings.into_iter().chain([finding]);
                for finding in advice.filter(|finding| !finding.suggestions.is_empty()) {
                    sink.diagnostic(finding);
                }
                sink.trace(traceback.main.trace);
            }
            None => failure.message = Some(body.join("\n").trim().to_owned()).filter(|text| !text.is_empty()),
        }
        run.add(&self.id, self.status, "");
        if let Some(test) = run.test_mut(&self.id)
            && test.message.is_none()
        {
            *test = TestCase { id: self.id, status: test.status, ..failure };
        }
    }
}

fn is_rule(line: &str, fill: u8) -> bool {
    line.len() == RULE_LENGTH && line.bytes().all(|b| b == fill)
}

/// `test_a (module.Class.test_a) ... ok`: the id and what follows the dots.
fn named(line: &str) -> Option<(String, &str)> {
    let (head, rest) = line.split_once(" ... ").or_else(|| Some((line.strip_suffix(" ...")?, "")))?;
    let (name, place) = name_and_place(head.trim_start())?;
    Some((id(name, place), rest.trim()))
}

/// Of `test_a (module.Class)`, with a subtest's values behind it or not.
fn name_and_place(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.trim_end().split_once(" (")?;
    let (place, values) = rest.split_once(')')?;
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.<>".contains(c));
    let is_part = values.is_empty() || values.starts_with(" (") || values.starts_with(" [");
    (is_name(name) && !name.contains('.') && is_name(place) && place.contains(['.', '_']) && is_part)
        .then_some((name, place))
}

/// As the runner accepts it: Python before 3.11 leaves the method out of the parentheses.
fn id(name: &str, place: &str) -> String {
    let place = place.strip_prefix("unittest.loader._FailedTest.").unwrap_or(place);
    let has_name = place == name || place.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    // The fixture of a class or module is not a test: the class or module is what can be run.
    let is_fixture = ["setUpClass", "tearDownClass", "setUpModule", "tearDownModule"].contains(&name);
    if has_name || is_fixture { place.to_owned() } else { format!("{place}.{name}") }
}

fn status(result: &str) -> Option<TestStatus> {
    match result.trim_end() {
        "ok" => Some(TestStatus::Passed),
        "FAIL" => Some(TestStatus::Failed),
        "ERROR" => Some(TestStatus::Error),
        "skipped" => Some(TestStatus::Skipped),
        "expected failure" => Some(TestStatus::Xfailed),
        "unexpected success" => Some(TestStatus::Xpassed),
        other => other.strip_prefix("skipped ").filter(|why| why.starts_with(['\'', '"'])).map(|_| TestStatus::Skipped),
    }
}

enum Word {
    Ok,
    Failed,
    NoTests,
}

/// `Ran 3 tests in 0.001s`, a blank line, `FAILED (failures=1)`.
fn summary(lines: Lines<'_>) -> Option<(PrintedCounts, Word, usize)> {
    let rest = lines.first().strip_prefix("Ran ")?;
    let (count, rest) = rest.split_once(' ')?;
    let ran: u64 = count.parse().ok()?;
    rest.strip_prefix("tests in ").or_else(|| rest.strip_prefix("test in "))?;
    let (at, line) =
        (1..4).find_map(|n| lines.ahead(n).filter(|line| !line.trim().is_empty()).map(|line| (n, line)))?;
    let (word, details) = line.trim_end().split_once(" (").unwrap_or((line.trim_end(), ""));
    let word = match word {
        "OK" if ran == 0 => Word::NoTests,
        "OK" => Word::Ok,
        "FAILED" => Word::Failed,
        "NO TESTS RAN" => Word::NoTests,
        _ => return None,
    };
    let mut counts = PrintedCounts::default();
    for part in details.trim_end_matches(')').split(", ") {
        let Some((what, count)) = part.split_once('=') else { continue };
        let Ok(count) = count.parse() else { continue };
        match what {
            "failures" => counts.failed = Some(count),
            "errors" => counts.errors = Some(count),
            "skipped" => counts.skipped = Some(count),
            "expected failures" => counts.xfailed = Some(count),
            "unexpected successes" => counts.xpassed = Some(count),
            _ => {}
        }
    }
    if matches!(word, Word::Ok) {
        // With failures it cannot be told: parts of a test fail one by one, and a class's fixture is not a test.
        let others = counts.skipped.unwrap_or(0).saturating_add(counts.xfailed.unwrap_or(0));
        counts.passed = Some(ran.saturating_sub(others));
    }
    Some((counts, word, at + 1))
}
