//! A report for a person: findings first, one line each, then one line that sums up.

use greenroom_parsers::{
    Applicability, Diagnostic, Frame, Report, Severity, Suggestion, TestCase, TestStatus, Trace, Verdict,
};

use super::escape::{Sgr, escape};
use super::human::style::{BOLD, DIM, GREEN, RED, RESET, YELLOW};

/// Beyond these a line says how many more there are.
const DIAGNOSTICS_MAX: usize = 25;
const TESTS_MAX: usize = 25;
const TRACES_MAX: usize = 5;
const FRAMES_MAX: usize = 8;
const RELATED_MAX: usize = 4;

pub fn render(report: &Report) -> String {
    let mut text = findings(report);
    text.push_str(&verdict_line(report));
    text
}

/// The same, but the output itself where the findings in it would be longer to read.
pub fn render_instead(report: &Report, raw: Option<&str>) -> String {
    let found = findings(report);
    let mut text = match raw.filter(|raw| raw.len() < escape(&found, Sgr::Drop).len()) {
        Some(raw) => format!("{}\n", raw.trim_end()),
        None => found,
    };
    text.push_str(&verdict_line(report));
    text
}

fn findings(report: &Report) -> String {
    let mut text = String::new();
    section(&mut text, &report.traces, TRACES_MAX, "traces", push_trace);
    let failing: Vec<&TestCase> = report.tests.iter().filter(|test| is_news(test.status)).collect();
    section(&mut text, &failing, TESTS_MAX, "tests", |text, test| push_test(text, test));
    let mut diagnostics: Vec<&Diagnostic> = report.diagnostics.iter().collect();
    // Stable, so that the first cause stays first among its kind.
    diagnostics.sort_by_key(|diagnostic| diagnostic.severity.map_or(0, |severity| severity as u8));
    section(&mut text, &diagnostics, DIAGNOSTICS_MAX, "findings", |text, diagnostic| push_diagnostic(text, diagnostic));
    text
}

/// One item by itself, as [`render`] has it among the others.
pub fn finding(diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    push_diagnostic(&mut text, diagnostic);
    text
}

pub fn failure(test: &TestCase) -> String {
    let mut text = String::new();
    push_test(&mut text, test);
    text
}

pub fn trace(trace: &Trace) -> String {
    let mut text = String::new();
    push_trace(&mut text, trace);
    text
}

/// `failed a::b`
pub fn test_line(id: &str, status: TestStatus) -> String {
    failure(&TestCase { id: id.to_owned(), status, ..TestCase::default() })
}

/// `failed: 2 failed, 14 passed, 1 error (pytest)`.
pub fn verdict_line(report: &Report) -> String {
    let summary = &report.summary;
    let counts: Vec<String> = [
        (summary.failed, "failed"),
        (summary.errors, if summary.errors == 1 { "error" } else { "errors" }),
        (summary.passed, "passed"),
        (summary.skipped, "skipped"),
        (summary.xfailed, "expected to fail"),
        (summary.xpassed, "passed unexpectedly"),
        (summary.diagnostic_errors, if summary.diagnostic_errors == 1 { "error found" } else { "errors found" }),
        (summary.diagnostic_warnings, if summary.diagnostic_warnings == 1 { "warning" } else { "warnings" }),
        (report.unlisted, "not listed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| format!("{count} {name}"))
    .collect();
    let mut line = format!("{}{}{RESET}", verdict_colour(report.verdict), verdict_name(report.verdict));
    if !counts.is_empty() {
        line.push_str(&format!(": {}", counts.join(", ")));
    }
    if !report.tools.is_empty() {
        line.push_str(&format!(" ({})", report.tools.join(", ")));
    }
    if report.unread_lines > 0 {
        let lines = if report.unread_lines == 1 { "line" } else { "lines" };
        line.push_str(&format!("{DIM}; {} {lines} not understood{RESET}", report.unread_lines));
    }
    line.push('\n');
    line
}

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Error => "error",
        Verdict::NoTests => "no tests",
        Verdict::Unknown => "unknown",
    }
}

pub fn verdict_colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => GREEN,
        Verdict::Failed | Verdict::Error => RED,
        Verdict::NoTests | Verdict::Unknown => YELLOW,
    }
}

fn section<T>(text: &mut String, items: &[T], max: usize, name: &str, mut push: impl FnMut(&mut String, &T)) {
    for item in items.iter().take(max) {
        push(text, item);
    }
    if items.len() > max {
        text.push_str(&format!("… and {} more {name}\n", items.len() - max));
    }
}

fn is_news(status: TestStatus) -> bool {
    match status {
        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout | TestStatus::Xpassed => true,
        TestStatus::Passed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => false,
    }
}

fn push_trace(text: &mut String, trace: &Trace) {
    let exception = trace.exception.as_deref().unwrap_or("stack trace");
    text.push_str(&format!("{RED}{exception}{RESET}"));
    if let Some(message) = &trace.message {
        text.push_str(&format!(": {}", one_line(message)));
    }
    text.push('\n');
    for frame in trace.frames.iter().take(FRAMES_MAX) {
        push_frame(text, frame);
    }
    if trace.frames.len() > FRAMES_MAX {
        text.push_str(&format!("    … and {} more frames\n", trace.frames.len() - FRAMES_MAX));
    }
    // A trace is data of a program nobody vouches for: its chain is walked, not recursed into.
    let mut cause = trace.cause.as_deref();
    for _ in 0..TRACES_MAX {
        let Some(trace) = cause else { return };
        let exception = trace.exception.as_deref().unwrap_or("another exception");
        let message = trace.message.as_deref().map(|message| format!(": {}", one_line(message))).unwrap_or_default();
        text.push_str(&format!("    caused by {exception}{message}\n"));
        trace.frames.iter().take(1).for_each(|frame| push_frame(text, frame));
        cause = trace.cause.as_deref();
    }
}

fn push_frame(text: &mut String, frame: &Frame) {
    let place = place(frame.file.as_deref(), frame.line, frame.column).unwrap_or_else(|| "?".into());
    text.push_str(&format!("    at {} {DIM}{place}{RESET}\n", frame.function.as_deref().unwrap_or("?")));
}

fn push_test(text: &mut String, test: &TestCase) {
    let status = match test.status {
        TestStatus::Failed => "failed",
        TestStatus::Error => "error",
        TestStatus::Timeout => "timed out",
        TestStatus::Xpassed => "passed unexpectedly",
        TestStatus::Passed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::NotRun => "",
    };
    text.push_str(&format!("{RED}{status}{RESET} {BOLD}{}{RESET}", one_line(&test.id)));
    if let Some(place) = place(test.file.as_deref(), test.line, None) {
        text.push_str(&format!(" {DIM}{place}{RESET}"));
    }
    if let Some(message) = &test.message {
        text.push_str(&format!("\n    {}", one_line(message)));
    }
    if let (Some(expected), Some(actual)) = (&test.expected, &test.actual) {
        text.push_str(&format!("\n    expected {}\n    actual   {}", one_line(expected), one_line(actual)));
    }
    text.push('\n');
}

fn push_diagnostic(text: &mut String, diagnostic: &Diagnostic) {
    text.push_str(&diagnostic_line(diagnostic));
    for related in diagnostic.related.iter().take(RELATED_MAX) {
        text.push_str("    ");
        text.push_str(&diagnostic_line(related));
    }
    for suggestion in diagnostic.suggestions.iter().take(RELATED_MAX) {
        text.push_str(&format!("    {}\n", suggestion_line(suggestion)));
    }
}

fn diagnostic_line(diagnostic: &Diagnostic) -> String {
    let (colour, severity) = match diagnostic.severity {
        Some(Severity::Error) => (RED, "error"),
        Some(Severity::Warning) => (YELLOW, "warning"),
        Some(Severity::Note) => (DIM, "note"),
        Some(Severity::Info) => (DIM, "info"),
        Some(Severity::Hint) => (DIM, "hint"),
        None => (DIM, "finding"),
    };
    let place = place(diagnostic.file.as_deref(), diagnostic.line, diagnostic.column);
    let place = place.map(|place| format!("{BOLD}{place}{RESET}: ")).unwrap_or_default();
    let code = diagnostic.code.as_deref().map(|code| format!("[{code}]")).unwrap_or_default();
    format!("{place}{colour}{severity}{code}{RESET}: {}\n", one_line(&diagnostic.message))
}

fn suggestion_line(suggestion: &Suggestion) -> String {
    let sure = match suggestion.applicability {
        Applicability::MachineApplicable => "fix",
        Applicability::MaybeIncorrect => "perhaps",
        Applicability::HasPlaceholders | Applicability::Unspecified => "suggestion",
    };
    format!("{GREEN}{sure}{RESET}: {}", one_line(&suggestion.message))
}

fn place(file: Option<&str>, line: Option<u32>, column: Option<u32>) -> Option<String> {
    let mut place = one_line(file?);
    for number in [line, line.and(column)].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    Some(place)
}

/// Findings are one line each; what follows the first line is in the JSON.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_longer_is_the_output_itself() {
        let finding = Diagnostic { file: Some("a.c".into()), message: "bad".into(), ..Diagnostic::default() };
        let report = Report { diagnostics: vec![finding], ..Report::default() };
        assert_eq!(escape(&render_instead(&report, Some("a.c: bad\n")), Sgr::Drop), "a.c: bad\nunknown\n");
        let long = "a.c: bad\nand much more\n";
        assert_eq!(render_instead(&report, Some(long)), render(&report));
        assert_eq!(render_instead(&report, None), render(&report));
    }

    #[test]
    fn findings_come_first_and_the_verdict_last() {
        let diagnostic = Diagnostic {
            severity: Some(Severity::Warning),
            message: "unused import".into(),
            file: Some("src/a.rs".into()),
            line: Some(3),
            column: Some(5),
            ..Diagnostic::default()
        };
        let error = Diagnostic {
            severity: Some(Severity::Error),
            code: Some("E0425".into()),
            message: "cannot find value `x`\nsecond line".into(),
            suggestions: vec![Suggestion {
                message: "a local variable with a similar name exists: `y`".into(),
                applicability: Applicability::MaybeIncorrect,
                edits: Vec::new(),
            }],
            ..diagnostic.clone()
        };
        let report = Report {
            verdict: Verdict::Failed,
            tools: vec!["rustc".into()],
            traces: vec![Trace {
                exception: Some("ModuleNotFoundError".into()),
                message: Some("No module named 'nope'".into()),
                frames: vec![Frame {
                    function: Some("<module>".into()),
                    file: Some("<string>".into()),
                    line: Some(1),
                    ..Frame::default()
                }],
                ..Trace::default()
            }],
            tests: vec![
                TestCase { id: "a::passes".into(), status: TestStatus::Passed, ..TestCase::default() },
                TestCase {
                    id: "a::fails".into(),
                    status: TestStatus::Failed,
                    message: Some("assertion failed".into()),
                    expected: Some("1".into()),
                    actual: Some("2".into()),
                    ..TestCase::default()
                },
            ],
            diagnostics: vec![diagnostic, error],
            summary: greenroom_parsers::Summary {
                passed: 1,
                failed: 1,
                diagnostic_errors: 1,
                diagnostic_warnings: 1,
                ..Default::default()
            },
            unread_lines: 2,
            ..Report::default()
        };
        insta::assert_snapshot!(escape(&render(&report), Sgr::Drop), @r"
        ModuleNotFoundError: No module named 'nope'
            at <module> <string>:1
        failed a::fails
            assertion failed
            expected 1
            actual   2
        src/a.rs:3:5: error[E0425]: cannot find value `x`
            perhaps: a local variable with a similar name exists: `y`
        src/a.rs:3:5: warning: unused import
        failed: 1 failed, 1 passed, 1 error found, 1 warning (rustc); 2 lines not understood
        ");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let one = Diagnostic { message: "m".into(), ..Diagnostic::default() };
        let report = Report { diagnostics: vec![one; DIAGNOSTICS_MAX + 7], ..Report::default() };
        assert!(render(&report).contains("… and 7 more findings\n"));
    }
}
