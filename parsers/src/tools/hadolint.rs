//! hadolint: `Dockerfile:1 DL3006 warning: message`, and its JSON.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "hadolint",
    kind: Kind::Linter,
    commands: &["hadolint"],
    anchors: &[" DL1", " DL3", " DL4", " SC1", " SC2", " SC3"],
    json: &["\"code\":\"DL", "\"code\": \"DL"],
    reader: || Box::new(Hadolint),
    ..Tool::DEFAULT
};

struct Hadolint;

#[derive(serde::Deserialize)]
struct Finding {
    code: String,
    column: Option<u32>,
    file: String,
    level: String,
    line: u32,
    message: String,
}

impl Reader for Hadolint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(found) = finding(lines.first().trim_end()) else { return 0 };
        sink.diagnostic(found);
        1
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(findings) = document.json::<Vec<Finding>>() else { return false };
        for found in findings {
            sink.diagnostic(Diagnostic {
                severity: severity(&found.level),
                code: Some(found.code),
                message: found.message,
                file: Some(found.file),
                line: Some(found.line),
                column: found.column.filter(|column| *column > 0),
                ..Diagnostic::default()
            });
        }
        true
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "info" | "style" => Some(Severity::Info),
        _ => None,
    }
}

/// Old versions print no severity.
fn finding(line: &str) -> Option<Diagnostic> {
    let (place, rest) = line.split_once(' ')?;
    let (file, row) = place.rsplit_once(':')?;
    let row = number(row).filter(|_| !file.is_empty())?;
    let (code, rest) = rest.split_once(' ')?;
    let digits = code.strip_prefix("DL").or_else(|| code.strip_prefix("SC"))?;
    if digits.len() != 4 || number(digits).is_none() {
        return None;
    }
    let (severity, message) = match rest.split_once(": ").and_then(|(word, message)| Some((severity(word)?, message))) {
        Some((severity, message)) => (Some(severity), message),
        None => (None, rest),
    };
    Some(Diagnostic {
        severity,
        code: Some(code.to_owned()),
        message: message.to_owned(),
        file: Some(file.to_owned()),
        line: Some(row),
        ..Diagnostic::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From hadolint's documentation.
    #[test]
    fn with_and_without_a_severity() {
        let read = |line| finding(line).map(|found| (found.severity, found.line, found.message));
        let message = || "Always tag the version".to_owned();
        assert_eq!(
            read("Dockerfile:1 DL3006 warning: Always tag the version"),
            Some((Some(Severity::Warning), Some(1), message()))
        );
        assert_eq!(read("docker/Dockerfile:1 DL3006 Always tag the version"), Some((None, Some(1), message())));
        assert_eq!(read("at 10:30 DL3006 x"), None);
    }
}
