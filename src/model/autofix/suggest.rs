//! From a report to the findings that stand in the way, each with what its tool suggests.
//!
//! What a parser read as a suggestion counts. Where it read none, the message is looked at here, by the rules of the
//! language the file is in.

use greenroom_parsers::{Applicability, Diagnostic, Report, Severity, Suggestion, TestCase, TestStatus, Trace};

use super::resolve::Role;
use super::{c, go, path, python, typescript};

/// Causes of causes beyond this depth are not looked at.
const CAUSES_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// For a person: where and what.
    pub(super) what: String,
    /// Stable across edits elsewhere in the file.
    pub(super) fingerprint: String,
    pub(super) role: Role,
    /// Best first; none where the tool has nothing to say.
    pub(super) suggestions: Vec<Suggestion>,
}

/// What a wrong import breaks elsewhere is no mistake of its own.
const IMPORTS: [&str; 4] = ["no exported member", "cannot import name", "unresolved import", "Cannot find module"];

/// Errors, tracebacks and failed tests in this order, but imports first; warnings where there is nothing else.
pub(super) fn findings(report: &Report) -> Vec<Finding> {
    let of = |wanted: fn(Option<Severity>) -> bool| {
        report.diagnostics.iter().filter(move |found| wanted(found.severity)).map(from_diagnostic)
    };
    let mut findings: Vec<Finding> = of(|severity| matches!(severity, Some(Severity::Error) | None)).collect();
    findings.extend(report.traces.iter().flat_map(from_trace));
    findings.extend(report.tests.iter().filter(|test| is_failed(test.status)).map(from_test));
    if findings.is_empty() {
        findings.extend(of(|severity| severity == Some(Severity::Warning)));
    }
    findings.sort_by_key(|finding| !IMPORTS.iter().any(|import| finding.what.contains(import)));
    findings
}

fn from_diagnostic(diagnostic: &Diagnostic) -> Finding {
    let mut suggestions = told(diagnostic);
    if suggestions.is_empty() {
        suggestions = derived(diagnostic);
    }
    Finding {
        what: describe(diagnostic.file.as_deref(), diagnostic.line, &diagnostic.message),
        fingerprint: diagnostic.fingerprint.clone(),
        role: Role::told_by(&diagnostic.message),
        suggestions,
    }
}

/// The suggestions the parser read, its notes' included, surest first.
fn told(diagnostic: &Diagnostic) -> Vec<Suggestion> {
    let mut suggestions = diagnostic.suggestions.clone();
    suggestions.extend(diagnostic.related.iter().flat_map(told));
    suggestions.retain(|suggestion| rank(suggestion.applicability).is_some() && !suggestion.edits.is_empty());
    suggestions.sort_by_key(|suggestion| rank(suggestion.applicability));
    suggestions
}

/// What somebody has to fill in is for people.
fn rank(applicability: Applicability) -> Option<u8> {
    match applicability {
        Applicability::MachineApplicable => Some(0),
        Applicability::MaybeIncorrect => Some(1),
        Applicability::Unspecified => Some(2),
        Applicability::HasPlaceholders => None,
    }
}

fn derived(diagnostic: &Diagnostic) -> Vec<Suggestion> {
    let Some(file) = diagnostic.file.as_deref() else { return Vec::new() };
    match path::extension(file) {
        "py" | "pyi" => python::suggest(&diagnostic.message, file, diagnostic.line),
        "go" => go::suggest(diagnostic, file),
        extension if c::EXTENSIONS.contains(&extension) => c::suggest(diagnostic, file),
        extension if typescript::EXTENSIONS.contains(&extension) => typescript::suggest(diagnostic, file),
        _no_rule => Vec::new(),
    }
}

/// The trace and what caused it. The innermost frame that is the project's own is where it can be mended; a name is
/// missing in the innermost frame of all, or it is not the project's mistake.
fn from_trace(trace: &Trace) -> Vec<Finding> {
    let chain = std::iter::successors(Some(trace), |trace| trace.cause.as_deref()).take(CAUSES_MAX);
    chain
        .map(|trace| {
            let exception = trace.exception.as_deref().unwrap_or("exception");
            let message = trace.message.as_deref().unwrap_or_default();
            let frames_max = if exception == "NameError" { 1 } else { usize::MAX };
            let mut frames = trace.frames.iter().take(frames_max);
            let frame = frames.find(|frame| frame.file.as_deref().is_some_and(|file| path::own(file).is_some()));
            let file = frame.and_then(|frame| frame.file.as_deref());
            let line = frame.and_then(|frame| frame.line);
            let suggestions = match file {
                Some(file) if trace.language == "python" => python::suggest(message, file, line),
                Some(_) | None => Vec::new(),
            };
            let told = format!("{exception}: {message}");
            let fingerprint = format!("{} {told}", file.unwrap_or_default());
            Finding { what: describe(file, line, &told), fingerprint, role: Role::told_by(message), suggestions }
        })
        .collect()
}

fn from_test(test: &TestCase) -> Finding {
    let message = test.message.as_deref().unwrap_or("failed");
    let first = message.lines().next().unwrap_or_default();
    let suggestions = match test.file.as_deref() {
        Some(file) if path::extension(file) == "py" => python::suggest(first, file, test.line),
        Some(_) | None => Vec::new(),
    };
    let fingerprint = format!("{} {first}", test.id);
    Finding { what: format!("{}: {first}", test.id), fingerprint, role: Role::told_by(first), suggestions }
}

fn is_failed(status: TestStatus) -> bool {
    match status {
        TestStatus::Failed | TestStatus::Error | TestStatus::Timeout => true,
        TestStatus::Passed | TestStatus::Skipped | TestStatus::Xfailed | TestStatus::Xpassed | TestStatus::NotRun => {
            false
        }
    }
}

fn describe(file: Option<&str>, line: Option<u32>, message: &str) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {message}"),
        (Some(file), None) => format!("{file}: {message}"),
        (None, _) => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use greenroom_parsers::{Edit, Frame};

    use super::*;

    #[test]
    fn a_traceback_is_mended_in_the_innermost_frame_of_the_project() {
        let frame = |file: &str, line| Frame { file: Some(file.into()), line: Some(line), ..Default::default() };
        let trace = Trace {
            language: "python".into(),
            exception: Some("AttributeError".into()),
            message: Some("module 'json' has no attribute 'lods'. Did you mean: 'loads'?".into()),
            frames: vec![frame("/usr/lib/python3.13/runpy.py", 5), frame("/workspace/a.py", 7), frame("b.py", 9)],
            cause: None,
        };
        let report = Report { traces: vec![trace], ..Default::default() };
        let findings = findings(&report);
        assert_eq!(findings.len(), 1);
        assert!(matches!(&findings[0].suggestions[0].edits[0], Edit::Substitute { file, line: 7, .. }
            if file == "/workspace/a.py"));
    }

    #[test]
    fn a_name_missing_in_other_peoples_code_is_not_added_to_ours() {
        let frame = |file: &str| Frame { file: Some(file.into()), line: Some(1), ..Default::default() };
        let mut trace = Trace {
            language: "python".into(),
            exception: Some("NameError".into()),
            message: Some("name 'csv' is not defined. Did you forget to import 'csv'?".into()),
            frames: vec![frame("/usr/lib/python3/dist-packages/tables.py"), frame("/workspace/a.py")],
            cause: None,
        };
        let suggested = |trace: &Trace| from_trace(trace).iter().map(|found| found.suggestions.len()).sum::<usize>();
        assert_eq!(suggested(&trace), 0);
        trace.frames.remove(0);
        assert_eq!(suggested(&trace), 1);
    }

    #[test]
    fn warnings_count_only_where_nothing_is_worse() {
        let with = |severity| Diagnostic { severity: Some(severity), ..Default::default() };
        let mut report = Report { diagnostics: vec![with(Severity::Warning)], ..Default::default() };
        assert_eq!(findings(&report).len(), 1);
        report.diagnostics = vec![with(Severity::Warning), with(Severity::Error), with(Severity::Note)];
        assert_eq!(findings(&report).len(), 1);
    }

    #[test]
    fn the_surest_suggestion_comes_first_and_one_to_be_filled_in_never() {
        let suggestion = |applicability| {
            let edits = vec![Edit::DeleteLines { file: "a.rs".into(), first: 1, last: 1 }];
            Suggestion { message: String::new(), applicability, edits }
        };
        let note = Diagnostic {
            suggestions: vec![suggestion(Applicability::HasPlaceholders), suggestion(Applicability::MachineApplicable)],
            ..Default::default()
        };
        let diagnostic = Diagnostic {
            suggestions: vec![suggestion(Applicability::MaybeIncorrect)],
            related: vec![note],
            ..Default::default()
        };
        let order: Vec<Applicability> = told(&diagnostic).iter().map(|found| found.applicability).collect();
        assert_eq!(order, [Applicability::MachineApplicable, Applicability::MaybeIncorrect]);
    }
}
