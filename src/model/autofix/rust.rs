//! Asking cargo for rustc's and clippy's suggestions with their exact spans, which the text for people leaves out.

use greenroom_parsers::{Diagnostic, Edit, Report, Severity};

const CHECK: &str = "cargo check --message-format=json --all-targets --offline";
/// Warnings are asked for as errors: as mere warnings they would not make the command fail.
const CLIPPY: &str = "cargo clippy --message-format=json --all-targets --offline -- -D warnings";

/// The command that makes these findings exact, if they need it.
pub(super) fn inspection(report: &Report) -> Option<&'static str> {
    let mut errors = report.diagnostics.iter().filter(|diagnostic| is_ours(diagnostic)).peekable();
    errors.peek()?;
    let (mut clippy, mut exact) = (false, false);
    for error in errors {
        clippy |= error.source == "clippy" || error.code.as_deref().is_some_and(|code| code.starts_with("clippy::"));
        exact |= has_spans(error);
    }
    match (exact, clippy) {
        (true, _) => None,
        (false, true) => Some(CLIPPY),
        (false, false) => Some(CHECK),
    }
}

/// Whether a command is one of the above: it reads, and changes no file but build output.
pub(super) fn is_inspection(command: &str) -> bool {
    command == CHECK || command == CLIPPY
}

fn is_ours(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.source.as_str(), "rustc" | "cargo" | "clippy")
        && diagnostic.severity == Some(Severity::Error)
        && diagnostic.file.as_deref().is_some_and(|file| file.ends_with(".rs"))
}

fn has_spans(diagnostic: &Diagnostic) -> bool {
    diagnostic.related.iter().any(has_spans)
        || diagnostic.suggestions.iter().flat_map(|suggestion| &suggestion.edits).any(|edit| match edit {
            Edit::Replace { .. } => true,
            Edit::Substitute { .. } | Edit::AddImport { .. } | Edit::DeleteLines { .. } => false,
        })
}
