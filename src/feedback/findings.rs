//! The findings of a report in the order a person would want them: first cause first.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::sandbox::WORKSPACE;
use greenroom_parsers::{Diagnostic, Report, Severity, Suggestion, TestCase, TestStatus, Trace};

/// One thing that is wrong, with where and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: FindingKind,
    /// Tool and code, test id, or exception: what it is called.
    pub title: String,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// Further lines: notes, expected and actual, frames.
    pub details: Vec<String>,
    pub suggestions: Vec<Suggestion>,
    /// Stable across edits elsewhere: what compares two runs.
    pub key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    Error,
    FailedTest,
    Trace,
    Warning,
}

const FRAMES_SHOWN: usize = 6;
const LOCALS_SHOWN: usize = 12;
const RELATED_SHOWN: usize = 4;

/// Whether anything in it is wrong.
pub fn has_findings(report: &Report) -> bool {
    !findings(report).is_empty()
}

/// Names a set of failures: equal for two check runs that failed in the same way, whatever their order.
pub fn fingerprint<'a>(reports: impl Iterator<Item = &'a Report>) -> u64 {
    let mut keys: Vec<String> = reports.flat_map(findings).map(|finding| finding.key + &finding.message).collect();
    keys.sort_unstable();
    name_of(&keys)
}

/// A short name for something, the same within one build.
pub fn name_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Errors in the order of the output, then failing tests, then traces that belong to neither, then warnings.
pub fn findings(report: &Report) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    all.extend(report.diagnostics.iter().filter(|d| is_error(d)).map(|d| of_diagnostic(d, FindingKind::Error)));
    all.extend(report.tests.iter().filter(|test| is_failing(test)).map(of_test));
    for trace in &report.traces {
        let finding = of_trace(trace);
        match all.iter_mut().find(|other| same_place(other, &finding)) {
            Some(other) => other.details.extend(finding.details),
            None => all.push(finding),
        }
    }
    all.extend(
        report
            .diagnostics
            .iter()
            .filter(|d| d.severity == Some(Severity::Warning))
            .map(|d| of_diagnostic(d, FindingKind::Warning)),
    );
    for finding in &mut all {
        if let Some(inside) = finding.file.as_deref().and_then(in_workspace) {
            finding.file = Some(inside.to_owned());
        }
    }
    all
}

/// The rest of a path below the workspace: how tools that print whole paths name a file of the repository.
fn in_workspace(file: &str) -> Option<&str> {
    file.strip_prefix(WORKSPACE)?.strip_prefix('/')
}

/// Of the finding that a failing test is.
pub(super) fn test_key(id: &str) -> String {
    format!("test {id}")
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.severity, Some(Severity::Error) | None)
}

fn is_failing(test: &TestCase) -> bool {
    match test.status {
        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout => true,
        TestStatus::Passed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::Xpassed | TestStatus::NotRun => {
            false
        }
    }
}

/// A trace at the place of an error or failing test is its detail, not a finding of its own.
fn same_place(finding: &Finding, trace: &Finding) -> bool {
    finding.file.is_some() && finding.file == trace.file && finding.line == trace.line
        || finding.kind == FindingKind::FailedTest
            && !trace.message.is_empty()
            && finding.message.contains(&trace.message)
}

fn of_diagnostic(diagnostic: &Diagnostic, kind: FindingKind) -> Finding {
    let code = diagnostic.code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
    let notes =
        diagnostic.related.iter().take(RELATED_SHOWN).filter(|note| !note.message.is_empty()).map(|note| {
            match (&note.file, note.line) {
                (Some(file), Some(line)) => format!("{file}:{line}: {}", note.message),
                (Some(_), None) | (None, Some(_)) | (None, None) => note.message.clone(),
            }
        });
    Finding {
        kind,
        title: format!("{}{code}", diagnostic.source),
        message: diagnostic.message.clone(),
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        details: notes.collect(),
        suggestions: diagnostic.suggestions.clone(),
        key: diagnostic.fingerprint.clone(),
    }
}

fn of_test(test: &TestCase) -> Finding {
    let mut details = Vec::new();
    if let (Some(expected), Some(actual)) = (&test.expected, &test.actual) {
        details.push(format!("expected: {expected}"));
        details.push(format!("actual:   {actual}"));
    }
    Finding {
        kind: FindingKind::FailedTest,
        title: format!("test {}", test.id),
        message: test.message.clone().unwrap_or_default(),
        file: test.file.clone(),
        line: test.line,
        column: None,
        details,
        suggestions: Vec::new(),
        key: test_key(&test.id),
    }
}

fn of_trace(trace: &Trace) -> Finding {
    let at = trace.frames.iter().find(|frame| frame.file.as_deref().is_some_and(is_own_code)).or(trace.frames.first());
    let mut details: Vec<String> = trace
        .frames
        .iter()
        .take(FRAMES_SHOWN)
        .filter_map(|frame| {
            let place = format!("{}:{}", frame.file.as_deref()?, frame.line?);
            Some(match &frame.function {
                Some(function) => format!("at {place} in {function}"),
                None => format!("at {place}"),
            })
        })
        .collect();
    if let Some(frame) = at {
        details.extend(frame.locals.iter().take(LOCALS_SHOWN).map(|(name, value)| format!("{name} = {value}")));
    }
    if let Some(cause) = &trace.cause {
        details.push(format!(
            "caused by {}: {}",
            cause.exception.as_deref().unwrap_or("an error"),
            cause.message.as_deref().unwrap_or_default()
        ));
    }
    let exception = trace.exception.clone().unwrap_or_else(|| format!("{} trace", trace.language));
    let file = at.and_then(|frame| frame.file.clone());
    Finding {
        kind: FindingKind::Trace,
        message: trace.message.clone().unwrap_or_default(),
        line: at.and_then(|frame| frame.line),
        column: at.and_then(|frame| frame.column),
        details,
        suggestions: Vec::new(),
        key: format!("trace {exception} {}", file.as_deref().unwrap_or_default()),
        title: exception,
        file,
    }
}

/// Not a library's: what an edit could change.
fn is_own_code(file: &str) -> bool {
    if let Some(inside) = in_workspace(file) {
        return !inside.contains("node_modules/") && !inside.contains("site-packages/");
    }
    !file.starts_with('/') && !file.starts_with('<') && !file.starts_with("node:")
}
