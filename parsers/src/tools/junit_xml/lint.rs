//! Linters that write JUnit: each finding is a "test" `org.<tool>.<rule>` in a suite that is a file; oxlint's are named
//! as the rule.

use super::super::{oxlint, ruff};
use super::Case;
use crate::{Diagnostic, Severity, TestStatus};

/// What oxlint calls all its suites.
pub(super) const OXLINT: &str = "Oxlint";

/// The finding, if the test is one. `package` is the suite's (`org.ruff`, `org.eslint`), `suite` its name.
pub(super) fn finding(case: &Case, package: &str, suite: &str) -> Option<Diagnostic> {
    let is_oxlint = package == OXLINT;
    let (tool, code) = match is_oxlint {
        true => (oxlint::TOOL.name, case.test.id.as_str()),
        false => (package.strip_prefix("org.")?, case.test.id.strip_prefix(package)?.strip_prefix('.')?),
    };
    let mut body = case.body.trim();
    let (mut line, mut column) = (case.test.line, case.column);
    if let Some((row, rest)) = number_after(body, "line ") {
        line = line.or(Some(row));
        body = rest.trim_start_matches([',', ' ']);
        if let Some((col, rest)) = number_after(body, "col ").or_else(|| number_after(body, "column ")) {
            column = column.or(Some(col));
            body = rest.trim_start_matches([',', ' ']);
        }
    }
    let severity = match (body.split(" - ").next(), case.severity.as_deref()) {
        _ if is_oxlint && case.test.status == TestStatus::Error => Some(Severity::Error),
        _ if is_oxlint && case.test.status == TestStatus::Failed => Some(Severity::Warning),
        (Some("Error"), _) | (_, Some("error")) => Some(Severity::Error),
        (Some("Warning"), _) | (_, Some("warning")) => Some(Severity::Warning),
        (Some(_) | None, _) => None,
    };
    let message = case.test.message.as_deref().map(str::trim).filter(|message| !message.is_empty()).unwrap_or(body);
    let code = if tool == ruff::TOOL.name { ruff::rules::code(code) } else { code };
    Some(Diagnostic {
        source: tool.to_owned(),
        severity,
        code: (!code.is_empty()).then(|| code.to_owned()),
        message: message.to_owned(),
        file: Some(suite.to_owned()),
        line,
        column,
        ..Diagnostic::default()
    })
}

fn number_after<'a>(text: &'a str, word: &str) -> Option<(u32, &'a str)> {
    let rest = text.strip_prefix(word)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((rest[..digits].parse().ok()?, &rest[digits..]))
}
