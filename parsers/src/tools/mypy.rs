//! mypy: plain, with columns and ends, `--pretty`, and JSON Lines.

use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "mypy",
    kind: Kind::Linter,
    commands: &["mypy", "dmypy"],
    anchors: &[": error:", ": warning:", ": note:", "Success: no issues found in ", "Found "],
    json: &["\"hint\":"],
    reader: || Box::new(Mypy),
    ..Tool::DEFAULT
};

const NOTES_MAX: usize = 100;
/// `--pretty` breaks messages at the terminal's width.
const WRAPPED_LINES_MAX: usize = 12;

struct Mypy;

impl Reader for Mypy {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.starts_with("Success: no issues found in ") && line.contains(" source file") {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if line.starts_with("Found ") && line.contains(" error") && line.contains(" file") {
            let is_own = line.ends_with(')') && (line.contains("(checked ") || line.contains("(errors prevented"));
            return usize::from(is_own);
        }
        let Some((mut finding, mut read)) = finding(lines, 0) else { return 0 };
        if finding.severity == Some(Severity::Error) {
            // A note on the same line explains the error before it.
            while let Some((note, more)) = self::finding(lines, read) {
                let belongs = note.severity == Some(Severity::Note)
                    && (&note.file, note.line) == (&finding.file, finding.line)
                    && finding.related.len() < NOTES_MAX;
                if !belongs {
                    break;
                }
                finding.related.push(note);
                read += more;
            }
        }
        sink.diagnostic(finding);
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(message) = document.json::<Message>() else { return false };
        let severity = severity(&message.severity);
        let headline = message.message.lines().next().unwrap_or("").to_owned();
        sink.diagnostic(Diagnostic {
            severity,
            code: message.code,
            suggestions: suggestion(&headline, &message.file, message.line).into_iter().collect(),
            message: headline,
            file: Some(message.file),
            line: u32::try_from(message.line).ok().filter(|line| *line > 0),
            // The text form adds one, JSON does not.
            column: u32::try_from(message.column).ok().and_then(|column| column.checked_add(1)),
            end_line: message.end_line.and_then(|line| u32::try_from(line).ok()),
            end_column: message.end_column.and_then(|column| u32::try_from(column).ok()?.checked_add(1)),
            related: message.hint.into_iter().map(hint).collect(),
            ..Diagnostic::default()
        });
        true
    }
}

#[derive(serde::Deserialize)]
struct Message {
    file: String,
    line: i64,
    column: i64,
    end_line: Option<i64>,
    end_column: Option<i64>,
    message: String,
    hint: Option<String>,
    code: Option<String>,
    severity: String,
}

fn hint(text: String) -> Diagnostic {
    Diagnostic { severity: Some(Severity::Note), message: text, ..Diagnostic::default() }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "note" => Some(Severity::Note),
        _ => None,
    }
}

/// The finding that starts `at` lines ahead, and how many lines it has.
fn finding(lines: Lines<'_>, at: usize) -> Option<(Diagnostic, usize)> {
    let line = lines.ahead(at)?;
    let (position, rest) = match Position::cut(line) {
        Some((position, rest)) if position.is_python() => (Some(position), rest),
        // `app.py: error: Source file found twice under different module names`
        _ => (None, line.split_once(": ").filter(|(file, _)| file.ends_with(".py") || file.ends_with(".pyi"))?.1),
    };
    let (word, text) = rest.split_once(':')?;
    let severity = Some(severity(word)?);
    let mut message = text.trim().to_owned();
    let mut read = 1;
    let wrapped = wrapped_lines(lines, at + 1, &message);
    for more in (at + 1..at + 1 + wrapped).filter_map(|n| lines.ahead(n)) {
        if !message.is_empty() {
            message.push(' ');
        }
        message.push_str(more.trim());
        read += 1;
    }
    // The source line and its marks.
    while lines.ahead(at + read).is_some_and(|line| line.starts_with("    ")) && read <= wrapped + 2 {
        read += 1;
    }
    let code = message
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(" ["))
        .map(|(text, code)| (text.trim_end().to_owned(), code.to_owned()));
    let code = code.filter(|(_, code)| code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    let (message, code) = code.map_or((message, None), |(text, code)| (text, Some(code)));
    let file = position.map_or_else(|| line.split(": ").next().unwrap_or(""), |position| position.file);
    let row = position.map(|position| position.line);
    let diagnostic = Diagnostic {
        severity,
        code,
        suggestions: suggestion(&message, file, row.map_or(0, i64::from)).into_iter().collect(),
        message,
        file: Some(file.to_owned()),
        line: row,
        column: position.and_then(|position| position.column),
        end_line: position.and_then(|position| position.end).map(|(line, _)| line),
        // Printed inclusive.
        end_column: position.and_then(|position| position.end).and_then(|(_, column)| column.checked_add(1)),
        ..Diagnostic::default()
    };
    Some((diagnostic, read))
}

/// How many lines go on with a message that `--pretty` has broken.
fn wrapped_lines(lines: Lines<'_>, from: usize, message: &str) -> usize {
    if message.ends_with(']') && message.contains("  [") {
        return 0;
    }
    for count in 0..WRAPPED_LINES_MAX {
        let Some(line) = lines.ahead(from + count) else { return 0 };
        if line.starts_with("    ") {
            return count;
        }
        let other = line.trim().is_empty() || line.starts_with("Found ") || line.starts_with("Success: ");
        if other || Position::cut(line).is_some() {
            return 0;
        }
        if line.ends_with(']') && line.contains('[') {
            return count + 1;
        }
    }
    0
}

/// `"Foo" has no attribute "lods"; maybe "loads"?`
fn suggestion(message: &str, file: &str, line: i64) -> Option<Suggestion> {
    let line = u32::try_from(line).ok().filter(|line| *line > 0)?;
    let (problem, advice) = message.rsplit_once("; ")?;
    let right =
        advice.strip_prefix("maybe \"").or_else(|| advice.strip_prefix("did you mean \""))?.strip_suffix("\"?")?;
    let wrong = ["has no attribute \"", "Unexpected keyword argument \"", "Name \""]
        .iter()
        .find_map(|before| problem.split_once(before)?.1.split_once('"'))?
        .0;
    // Several alternatives are no suggestion.
    if right.contains('"') || wrong.is_empty() {
        return None;
    }
    Some(Suggestion {
        message: format!("replace `{wrong}` by `{right}`"),
        applicability: Applicability::MaybeIncorrect,
        edits: vec![Edit::Substitute {
            file: file.to_owned(),
            line,
            column: None,
            original: wrong.to_owned(),
            replacement: right.to_owned(),
        }],
    })
}
