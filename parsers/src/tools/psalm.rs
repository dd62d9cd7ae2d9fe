//! Psalm: `ERROR: Rule - file:line:column - message (see page)` with the code below, and JSON.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "psalm",
    kind: Kind::Linter,
    commands: &["psalm", "psalm.phar"],
    anchors: &["ERROR: ", "INFO: ", "No errors found!"],
    json: &["\"line_from\""],
    reader: || Box::new(Psalm),
    ..Tool::DEFAULT
};

const CODE_LINES_MAX: usize = 30;

struct Psalm;

#[derive(serde::Deserialize)]
struct Issue {
    severity: String,
    line_from: u32,
    line_to: u32,
    column_from: u32,
    column_to: u32,
    #[serde(rename = "type")]
    rule: String,
    message: String,
    file_name: String,
}

impl Reader for Psalm {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        if line == "No errors found!" {
            // The bare words are not Psalm's alone: the rule around them is.
            let own = sink.expects(TOOL.name) || lines.back(1).is_some_and(|line| line.starts_with("-----"));
            if own {
                sink.evidence(Evidence::SaysPassed);
            }
            return usize::from(own);
        }
        let Some(found) = finding(line) else { return 0 };
        sink.diagnostic(found);
        // The code, up to an empty line.
        1 + (1..CODE_LINES_MAX).take_while(|&n| lines.ahead(n).is_some_and(|line| line.starts_with("  "))).count()
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(issues) = document.json::<Vec<Issue>>() else { return false };
        for issue in issues {
            sink.diagnostic(Diagnostic {
                severity: severity(&issue.severity.to_ascii_uppercase()),
                code: Some(issue.rule),
                message: issue.message,
                file: Some(issue.file_name),
                line: Some(issue.line_from),
                column: Some(issue.column_from),
                end_line: Some(issue.line_to),
                end_column: Some(issue.column_to),
                ..Diagnostic::default()
            });
        }
        true
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "ERROR" => Some(Severity::Error),
        "INFO" => Some(Severity::Info),
        _ => None,
    }
}

fn finding(line: &str) -> Option<Diagnostic> {
    let (word, rest) = line.split_once(": ")?;
    let severity = severity(word)?;
    let (code, rest) = rest.split_once(" - ")?;
    let (place, message) = rest.split_once(" - ")?;
    let place = Place::colons(place).filter(|place| place.column.is_some())?;
    let named = code.starts_with(|c: char| c.is_ascii_uppercase()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let message = message.rsplit_once(" (see http").map_or(message, |(message, _)| message);
    named.then(|| Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        ..place.diagnostic()
    })
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, Verdict, parse};

    /// From Psalm's documentation.
    #[test]
    fn rule_place_and_message_are_kept_apart() {
        let text = b"ERROR: InvalidReturnStatement - src/a.php:12:16 - The type 'x' does not match (see https://psalm.dev/128)\n        \
            return \"x\";\n\n\n------------------------------\n1 errors found\n------------------------------\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!((error.severity, error.line, error.column), (Some(Severity::Error), Some(12), Some(16)));
        assert_eq!(error.code.as_deref(), Some("InvalidReturnStatement"));
        assert_eq!(error.message, "The type 'x' does not match");
        assert_eq!(report.verdict, Verdict::Failed);
        let clean = b"------------------------------\n\n       No errors found!\n\n------------------------------\n";
        let report = parse(&ToolOutput { text: clean, command: Some("psalm"), ..ToolOutput::default() });
        assert_eq!(report.verdict, Verdict::Passed);
    }
}
