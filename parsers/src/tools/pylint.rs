//! pylint: text, parseable, msvs and JSON.

use super::flake8::is_code;
use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "pylint",
    kind: Kind::Linter,
    commands: &["pylint"],
    anchors: &[
        ".py:",
        ".py(",
        ": C0",
        ": C2",
        ": R0",
        ": R1",
        ": W0",
        ": W1",
        ": E0",
        ": E1",
        ": F0",
        ": I0",
        ": [C",
        ": [R",
        ": [W",
        ": [E",
        ": [F",
        ": [I",
        "************* Module ",
        "Your code has been rated at ",
    ],
    json: &["\"message-id\"", "\"messageId\""],
    reader: || Box::new(Pylint),
    ..Tool::DEFAULT
};

/// Duplicate code is shown whole inside the message.
const MESSAGE_LINES_MAX: usize = 200;

struct Pylint;

impl Reader for Pylint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.starts_with("************* Module ") {
            return 1;
        }
        if let Some(rating) = line.strip_prefix("Your code has been rated at ") {
            if rating.starts_with("10.00/10") {
                sink.evidence(Evidence::SaysPassed);
            }
            return 1;
        }
        let found = text(line).or_else(|| bracketed(line));
        let Some(mut finding) = found else { return 0 };
        let read = if finding.code.is_some() && !ends_with_symbol(line) && text(line).is_some() {
            (1..MESSAGE_LINES_MAX)
                .map_while(|n| lines.ahead(n).filter(|line| text(line).is_none()).map(|line| (n, line)))
                .find(|(_, line)| ends_with_symbol(line))
                .map_or(1, |(n, _)| n + 1)
        } else {
            1
        };
        if ends_with_symbol(line)
            && text(line).is_some()
            && let Some(bare) = finding.message.strip_suffix(')').and_then(|text| text.rsplit_once(" ("))
        {
            finding.message = bare.0.to_owned();
        }
        finding.suggestions.extend(suggestion(&finding));
        sink.diagnostic(finding);
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let messages = document
            .json::<Vec<Message>>()
            .or_else(|| document.json::<Messages>().map(|document| document.messages))
            .unwrap_or_default();
        let read = !messages.is_empty();
        for message in messages {
            let mut finding = Diagnostic {
                severity: severity(&message.id),
                code: Some(message.id),
                message: message.message.lines().next().unwrap_or("").to_owned(),
                file: Some(message.path),
                line: Some(message.line),
                column: Some(message.column),
                end_line: message.end_line,
                end_column: message.end_column,
                ..Diagnostic::default()
            };
            finding.suggestions.extend(suggestion(&finding));
            sink.diagnostic(finding);
        }
        read
    }
}

#[derive(serde::Deserialize)]
struct Messages {
    messages: Vec<Message>,
}

#[derive(serde::Deserialize)]
struct Message {
    path: String,
    line: u32,
    column: u32,
    #[serde(rename = "endLine")]
    end_line: Option<u32>,
    #[serde(rename = "endColumn")]
    end_column: Option<u32>,
    message: String,
    #[serde(rename = "message-id", alias = "messageId")]
    id: String,
}

/// `file.py:12:4: R1732: Consider using 'with' (consider-using-with)`; columns count from zero.
fn text(line: &str) -> Option<Diagnostic> {
    let (position, rest) = Position::cut(line)?;
    let (code, message) = rest.split_once(": ")?;
    let is_own = is_code(code) && code.len() == 5;
    is_own.then(|| diagnostic(position.file, position.line, position.column, code, message))
}

/// `file.py:12: [W0612(unused-variable), f] Unused variable`, msvs `file.py(12): [W0612(…), f] …`
fn bracketed(line: &str) -> Option<Diagnostic> {
    let (place, rest) = line.split_once(": [")?;
    let (file, row) = match place.strip_suffix(')') {
        Some(place) => place.rsplit_once('(')?,
        None => place.rsplit_once(':')?,
    };
    let row = row.parse().ok()?;
    let (head, message) = rest.split_once("] ")?;
    let (code, symbol) = head.split_once('(')?;
    (is_code(code) && code.len() == 5 && symbol.contains(')')).then(|| diagnostic(file, row, None, code, message))
}

fn diagnostic(file: &str, line: u32, column: Option<u32>, code: &str, message: &str) -> Diagnostic {
    Diagnostic {
        severity: severity(code),
        code: Some(code.to_owned()),
        message: message.trim_end().to_owned(),
        file: Some(file.to_owned()),
        line: Some(line),
        column,
        ..Diagnostic::default()
    }
}

/// The letter is pylint's category: convention, refactoring, warning, error, fatal, information.
fn severity(code: &str) -> Option<Severity> {
    match code.bytes().next()? {
        b'E' | b'F' => Some(Severity::Error),
        b'W' => Some(Severity::Warning),
        b'C' | b'R' | b'I' => Some(Severity::Info),
        _ => None,
    }
}

fn ends_with_symbol(line: &str) -> bool {
    let symbol = line.trim_end().strip_suffix(')').and_then(|line| line.rsplit_once('('));
    symbol.is_some_and(|(_, symbol)| !symbol.is_empty() && symbol.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

/// `Module 'json' has no 'lods' member; maybe 'loads'?`
fn suggestion(finding: &Diagnostic) -> Option<Suggestion> {
    let (problem, right) = finding.message.split_once("; maybe '")?;
    let right = right.strip_suffix("'?")?;
    let wrong = problem.strip_suffix("' member")?.rsplit_once('\'')?.1;
    // Several alternatives are no suggestion.
    (!right.contains('\'') && !wrong.is_empty()).then_some(())?;
    Some(Suggestion {
        message: format!("replace `{wrong}` by `{right}`"),
        applicability: Applicability::MaybeIncorrect,
        edits: vec![Edit::Substitute {
            file: finding.file.clone()?,
            line: finding.line?,
            column: None,
            original: wrong.to_owned(),
            replacement: right.to_owned(),
        }],
    })
}
