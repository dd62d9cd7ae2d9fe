//! Asking cargo for rustc's and clippy's suggestions as they are.
//!
//! The text for people does not do: it shows `mut ` to be inserted as `mut`, and leaves out alternatives.

use greenroom_parsers::{Diagnostic, Report, Severity};

const CHECK: &str = "cargo check --message-format=json --all-targets --offline";
/// Warnings are asked for as errors: as mere warnings they would not make the command fail.
const CLIPPY: &str = "cargo clippy --message-format=json --all-targets --offline -- -D warnings";

/// The command that tells more about these findings, if they are Rust's.
pub(super) fn inspection(report: &Report) -> Option<&'static str> {
    let mut errors = report.diagnostics.iter().filter(|diagnostic| is_error(diagnostic)).peekable();
    errors.peek()?;
    Some(if errors.any(is_clippy) { CLIPPY } else { CHECK })
}

/// Whether a command is one of the above: it reads, and changes no file but build output.
pub(super) fn is_inspection(command: &str) -> bool {
    command == CHECK || command == CLIPPY
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.source.as_str(), "rustc" | "cargo" | "clippy")
        && diagnostic.severity == Some(Severity::Error)
        && diagnostic.file.as_deref().is_some_and(|file| file.ends_with(".rs"))
}

fn is_clippy(diagnostic: &Diagnostic) -> bool {
    diagnostic.source == "clippy" || diagnostic.code.as_deref().is_some_and(|code| code.starts_with("clippy::"))
}
