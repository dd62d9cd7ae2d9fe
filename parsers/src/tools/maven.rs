//! Maven: what its compiler plugin says (`[ERROR] File.java:[12,34] message`) and surefire's test results.

use super::place::number;
use super::{Kind, Reader, Tool, java_stack, javac};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, PrintedCounts, Severity, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "maven",
    kind: Kind::TestRunner,
    commands: &["mvn", "mvnw", "mvnd"],
    anchors: &[
        ":[",
        "Tests run: ",
        "<<< FAILURE!",
        "<<< ERROR!",
        "] BUILD ",
        "] Running ",
        "[ERROR]   ",
        "Tests are skipped.",
        "No tests to run.",
        "Failed to execute goal ",
        "] COMPILATION ERROR",
    ],
    reader: || Box::new(Maven::default()),
    ..Tool::DEFAULT
};

const DETAILS_MAX: usize = 40;
/// Findings are printed twice; this many are remembered.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Default)]
struct Maven {
    /// Compiler findings by place and message.
    told: std::collections::HashSet<(String, u32, u32, String)>,
    /// Failed tests by `Class.method`, to know them again in the closing list.
    failed: std::collections::HashSet<String>,
    running: bool,
    compile_errors: bool,
}

impl Reader for Maven {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let text = without_level(line);
        if let Some(found) = compiler_message(line) {
            return self.compiler(found, lines, sink);
        }
        if let Some(counts) = text.strip_prefix("Tests run: ").and_then(Counts::parse) {
            return self.counts(&counts, sink);
        }
        if let Some(test) = FailedTest::parse(text) {
            return self.failed_test(&test, lines, sink);
        }
        if text.starts_with("Running ") && line.starts_with('[') {
            if !std::mem::replace(&mut self.running, true) {
                sink.evidence(Evidence::RunStarted);
            }
            return 1;
        }
        if let Some(rest) = line.strip_prefix("[ERROR]   ") {
            return self.listed(rest, sink);
        }
        match text {
            "BUILD SUCCESS" => sink.evidence(Evidence::SaysPassed),
            "BUILD FAILURE" if self.compile_errors || !self.failed.is_empty() => {}
            "BUILD FAILURE" => sink.evidence(Evidence::SaysError),
            "Tests are skipped." | "No tests to run." => sink.evidence(Evidence::SaysNoTests),
            _ if text.starts_with("COMPILATION ERROR") => {}
            _ if text.starts_with("Failed to execute goal ") && line.starts_with("[ERROR]") => {
                // Compiler findings and failed tests say it better.
                if !self.compile_errors && self.failed.is_empty() {
                    sink.diagnostic(Diagnostic {
                        severity: Some(Severity::Error),
                        message: text.to_owned(),
                        ..Diagnostic::default()
                    });
                }
            }
            _ => return 0,
        }
        1
    }
}

impl Maven {
    fn compiler(&mut self, mut found: Diagnostic, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let mut read = 1;
        if found.message.trim().is_empty()
            && let Some((message, lines)) = below_carets(lines)
        {
            found.message = message.to_owned();
            read = lines;
        }
        while read < DETAILS_MAX
            && let Some(detail) = lines.ahead(read)
            && let Some(detail) = detail.strip_prefix("[ERROR]").unwrap_or(detail).strip_prefix("  ")
            && compiler_message(detail).is_none()
            && !detail.trim().is_empty()
        {
            let note = Diagnostic {
                severity: Some(Severity::Note),
                message: detail.trim().to_owned(),
                ..Diagnostic::default()
            };
            found.related.push(note);
            read += 1;
        }
        let key = (
            found.file.clone().unwrap_or_default(),
            found.line.unwrap_or(0),
            found.column.unwrap_or(0),
            found.message.clone(),
        );
        if self.told.len() >= REMEMBERED_MAX || self.told.insert(key) {
            self.compile_errors |= found.severity == Some(Severity::Error);
            // What does not compile is a failed build, not a failed test.
            sink.turn_of(javac::TOOL.name, javac::TOOL.kind);
            sink.diagnostic(found);
            sink.turn_of(TOOL.name, TOOL.kind);
        }
        read
    }

    /// A class's totals, or all of them.
    fn counts(&mut self, counts: &Counts, sink: &mut Sink) -> usize {
        if counts.of_class {
            if !std::mem::replace(&mut self.running, true) {
                sink.evidence(Evidence::RunStarted);
            }
            return 1;
        }
        if !std::mem::replace(&mut self.running, false) {
            sink.evidence(Evidence::RunStarted);
        }
        sink.evidence(Evidence::RunEnded);
        sink.printed(&PrintedCounts {
            passed: counts.run.checked_sub(counts.failures + counts.errors + counts.skipped),
            failed: Some(counts.failures),
            errors: Some(counts.errors),
            skipped: Some(counts.skipped),
            ..PrintedCounts::default()
        });
        1
    }

    fn failed_test(&mut self, test: &FailedTest<'_>, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let mut case = TestCase {
            id: format!("{}#{}", test.class, test.method),
            status: test.status,
            duration_ms: test.duration_ms,
            ..TestCase::default()
        };
        let mut read = 1;
        if let Some(head) = lines.ahead(1).filter(|line| !line.trim().is_empty() && !line.starts_with('['))
            && let Some((trace, end)) = java_stack::below(lines, 1, head)
        {
            let own = trace.frames.iter().find(|frame| {
                frame
                    .function
                    .as_deref()
                    .is_some_and(|function| function.starts_with(test.class) && frame.line.is_some())
            });
            case.file = own.and_then(|frame| frame.file.clone());
            case.line = own.and_then(|frame| frame.line);
            case.message = trace.message.clone().or_else(|| trace.exception.clone());
            (case.expected, case.actual) = case.message.as_deref().and_then(compared).unzip();
            sink.trace(trace);
            read = end;
        }
        if self.failed.len() < REMEMBERED_MAX {
            let class = test.class.rsplit('.').next().unwrap_or(test.class);
            self.failed.insert(format!("{class}.{}", test.method));
        }
        sink.test(case);
        read
    }

    /// `CalcTest.adds:11 expected:<3> but was:<4>`, in the list at the end.
    fn listed(&mut self, text: &str, sink: &mut Sink) -> usize {
        let name = text.split([':', ' ']).next().unwrap_or("");
        let is_test = name.split('.').count() >= 2 && name.starts_with(|c: char| c.is_uppercase());
        if !is_test || !self.failed.insert(name.to_owned()) {
            return usize::from(is_test);
        }
        let rest = &text[name.len()..];
        let (line, message) = match rest.strip_prefix(':').and_then(|rest| rest.split_once(' ')) {
            Some((line, message)) => (line.split("->").next().and_then(number), message),
            None => (None, rest),
        };
        let message = message.trim();
        let (expected, actual) = compared(message).unzip();
        sink.test(TestCase {
            id: name.replacen('.', "#", 1),
            status: if message.starts_with('»') { TestStatus::Error } else { TestStatus::Failed },
            line,
            message: Some(message.to_owned()),
            expected,
            actual,
            ..TestCase::default()
        });
        1
    }
}

fn without_level(line: &str) -> &str {
    ["[ERROR] ", "[WARNING] ", "[INFO] "].iter().find_map(|level| line.strip_prefix(level)).unwrap_or(line).trim()
}

/// Eclipse's compiler shows the code and carets first, then says what is wrong; and how many lines that takes.
fn below_carets(lines: Lines<'_>) -> Option<(&str, usize)> {
    const BELOW_MAX: usize = 4;
    (2..=BELOW_MAX).find_map(|n| {
        let marks = lines.ahead(n)?.trim();
        let message = lines.ahead(n + 1)?.trim();
        let carets = !marks.is_empty() && marks.bytes().all(|b| b == b'^');
        (carets && !message.is_empty()).then_some((message, n + 2))
    })
}

/// `[ERROR] /src/A.java:[12,34] message`
fn compiler_message(line: &str) -> Option<Diagnostic> {
    let (severity, rest) = match line.strip_prefix("[ERROR] ") {
        Some(rest) => (Severity::Error, rest),
        None => (Severity::Warning, line.strip_prefix("[WARNING] ")?),
    };
    let (file, rest) = rest.split_once(":[")?;
    let (place, message) = rest.split_once("] ")?;
    let (row, column) = place.split_once(',').map_or((place, None), |(row, column)| (row, Some(column)));
    let (code, message) = match message.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        Some((code, message)) if !code.contains(' ') => (Some(code.to_owned()), message),
        Some(_) | None => (None, message),
    };
    Some(Diagnostic {
        severity: Some(severity),
        code,
        message: message.strip_prefix("error: ").unwrap_or(message).to_owned(),
        file: Some(file.to_owned()),
        line: Some(number(row)?),
        column: column.and_then(number).filter(|column| *column > 0),
        ..Diagnostic::default()
    })
}

struct Counts {
    run: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
    of_class: bool,
}

impl Counts {
    /// `4, Failures: 1, Errors: 1, Skipped: 1, Time elapsed: …`
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(", ");
        let run = parts.next()?.trim().parse::<u32>().ok()?;
        let mut named = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix(": ")?.trim().parse::<u32>().ok();
        let (failures, errors) = (named("Failures")?, named("Errors")?);
        let skipped = named("Skipped")?;
        let [run, failures, errors, skipped] = [run, failures, errors, skipped].map(u64::from);
        Some(Self { run, failures, errors, skipped, of_class: text.contains("Time elapsed: ") })
    }
}

struct FailedTest<'a> {
    class: &'a str,
    method: &'a str,
    status: TestStatus,
    duration_ms: Option<f64>,
}

impl<'a> FailedTest<'a> {
    /// `adds(shop.CalcTest)  Time elapsed: 0.007 s  <<< FAILURE!`, or since 3.0 `shop.CalcTest.adds -- Time elapsed: …`
    fn parse(text: &'a str) -> Option<Self> {
        let (head, status) = match text.strip_suffix("<<< FAILURE!") {
            Some(head) => (head, TestStatus::Failed),
            None => (text.strip_suffix("<<< ERROR!")?, TestStatus::Error),
        };
        let (name, time) = head.split_once("Time elapsed: ")?;
        let name = name.trim().trim_end_matches("--").trim();
        let (class, method) = match name.strip_suffix(')').and_then(|name| name.rsplit_once('(')) {
            Some((method, class)) if !class.is_empty() => (class, method),
            Some(_) | None => name.rsplit_once('.')?,
        };
        let seconds = time.trim().trim_end_matches('s').trim().parse::<f64>().ok();
        Some(Self { class, method, status, duration_ms: seconds.map(|seconds| seconds * 1_000.0) })
    }
}

/// `expected:<3> but was:<4>`, with a blank after the colon in JUnit 5.
pub(super) fn compared(message: &str) -> Option<(String, String)> {
    let (_, rest) = message.split_once("expected:")?;
    let (expected, actual) = rest.split_once(" but was:")?;
    let value = |text: &str| Some(text.trim().strip_prefix('<')?.rsplit_once('>')?.0.to_owned());
    Some((value(expected)?, value(actual)?))
}
