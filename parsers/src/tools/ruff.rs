//! ruff: concise, full, grouped, pylint and GitHub's form, JSON and JSON Lines.

pub(super) mod rules;
mod snippet;

use super::flake8::is_code;
use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "ruff",
    kind: Kind::Linter,
    commands: &["ruff check", "ruff"],
    anchors: &[
        "--> ",
        "::error title=ruff ",
        "::error title=Ruff ",
        "All checks passed!",
        "Found ",
        ".py:",
        ".pyi:",
        ".ipynb:",
    ],
    json: &["\"end_location\""],
    reader: || Box::new(Ruff),
    ..Tool::DEFAULT
};

const GROUP_LINES_MAX: usize = 1_900;

struct Ruff;

impl Reader for Ruff {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line == "All checks passed!" {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        if line.starts_with("Found ") && (line.ends_with(" errors.") || line.ends_with(" error.")) {
            let fixable = lines.ahead(1).is_some_and(|next| next.contains(" fixable with ") || next.contains("--fix"));
            return 1 + usize::from(fixable);
        }
        if line.contains("--> ") {
            return snippet::read(lines, sink);
        }
        if let Some(rest) = line.strip_prefix("::error title=").filter(|rest| rest.starts_with(['r', 'R'])) {
            return github(rest, sink);
        }
        if let Some(file) = line.strip_suffix(':').filter(|file| is_python(file)) {
            return group(file, lines, sink);
        }
        if let Some(mut finding) = concise(line, sink) {
            let read = snippet::below(lines, &mut finding);
            sink.diagnostic(finding);
            return read;
        }
        match pylint(line, sink) {
            Some(finding) => {
                sink.diagnostic(finding);
                1
            }
            None => 0,
        }
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let messages = document
            .json::<Vec<Message>>()
            .or_else(|| document.json::<Message>().map(|message| vec![message]))
            .unwrap_or_default();
        let read = !messages.is_empty();
        for message in messages {
            sink.diagnostic(message.into_diagnostic());
        }
        read
    }
}

fn is_python(file: &str) -> bool {
    [".py", ".pyi", ".ipynb"].iter().any(|extension| file.ends_with(extension))
}

/// Whether `line` names a rule and what is wrong in `file`, as ruff's full form does above the place.
pub(super) fn is_headline(line: &str, file: &str) -> bool {
    is_python(file) && rule(line).is_some()
}

fn diagnostic(position: Position<'_>, code: &str, message: &str) -> Diagnostic {
    Diagnostic {
        severity: Some(Severity::Error),
        code: Some(rules::code(code).to_owned()),
        message: message.strip_prefix("[*] ").unwrap_or(message).trim().to_owned(),
        file: Some(without_cell(position.file).to_owned()),
        line: Some(position.line),
        column: position.column,
        ..Diagnostic::default()
    }
}

/// `a.ipynb:cell 2`: a notebook's lines count from its cell.
fn without_cell(file: &str) -> &str {
    match file.rsplit_once(":cell ") {
        Some((notebook, cell)) if notebook.ends_with(".ipynb") && cell.bytes().all(|b| b.is_ascii_digit()) => notebook,
        Some(_) | None => file,
    }
}

/// `F401 [*] message`, or with names for codes `unused-import: [*] message`.
fn rule(text: &str) -> Option<(&str, &str)> {
    let (word, message) = text.split_once(' ')?;
    match word.strip_suffix(':') {
        Some(name) => {
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            (is_name && !name.is_empty()).then_some((name, message))
        }
        // The grouped form leaves the colon out where there is a fix.
        None => {
            let is_name = word.contains('-') && message.starts_with("[*] ");
            (is_code(word) || is_name).then_some((word, message))
        }
    }
}

/// `file.py:1:8: F401 [*] message`; flake8 prints the same but for the mark.
fn concise(line: &str, sink: &Sink) -> Option<Diagnostic> {
    let (position, rest) = Position::cut(line)?;
    position.column?;
    let (code, message) = rule(rest)?;
    let is_own = sink.expects(TOOL.name) || message.starts_with("[*] ") || code.contains('-');
    (is_own && (position.is_python() || sink.expects(TOOL.name))).then(|| diagnostic(position, code, message))
}

/// `file.py:1: [F401] message`
fn pylint(line: &str, sink: &Sink) -> Option<Diagnostic> {
    let (position, rest) = Position::cut(line)?;
    let (code, message) = rest.strip_prefix('[')?.split_once("] ")?;
    let is_level = ["error", "warning", "info", "note"].contains(&code);
    let is_name = !is_level
        && !code.is_empty()
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_own = position.column.is_none() && (is_code(code) || is_name);
    (is_own && (position.is_python() || sink.expects(TOOL.name))).then(|| diagnostic(position, code, message))
}

/// `file.py:` over indented `  1:8 F401 [*] message`.
fn group(file: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|line| line.starts_with("  ") && read < GROUP_LINES_MAX) {
        let entry = line.trim_start().split_once(' ').and_then(|(place, rest)| {
            let (row, column) = place.split_once(':')?;
            let rest = rest.trim_start();
            let position = Position { file, line: row.parse().ok()?, column: column.parse().ok(), end: None };
            // What cannot be parsed breaks no rule.
            let syntax = || Some(("", rest)).filter(|_| rest.starts_with("SyntaxError: "));
            let (code, message) = rule(rest).or_else(syntax)?;
            let mut finding = diagnostic(position, code, message);
            finding.code = finding.code.filter(|code| !code.is_empty());
            Some(finding)
        });
        let Some(finding) = entry else { break };
        sink.diagnostic(finding);
        read += 1;
    }
    if read == 1 { 0 } else { read }
}

/// `::error title=ruff (F401),file=/src/a.py,line=1,col=8,endLine=1,endColumn=10::a.py:1:8: F401 message`
fn github(rest: &str, sink: &mut Sink) -> usize {
    let Some((head, text)) = rest.split_once("::") else { return 0 };
    let field = |name: &str| head.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let Some((position, rest)) = Position::cut(text) else { return 0 };
    let Some((code, message)) = rule(rest) else { return 0 };
    let message = message.split("%0A").next().unwrap_or(message);
    let mut finding = diagnostic(position, code, message);
    finding.end_line = field("endLine").and_then(|line| line.parse().ok());
    finding.end_column = field("endColumn").and_then(|column| column.parse().ok());
    sink.diagnostic(finding);
    1
}

#[derive(serde::Deserialize)]
struct Message {
    code: Option<String>,
    name: Option<String>,
    filename: String,
    location: Location,
    end_location: Location,
    message: String,
    fix: Option<Fix>,
}

#[derive(serde::Deserialize)]
struct Location {
    row: u32,
    column: u32,
}

#[derive(serde::Deserialize)]
struct Fix {
    applicability: String,
    message: Option<String>,
    edits: Vec<FixEdit>,
}

#[derive(serde::Deserialize)]
struct FixEdit {
    content: String,
    location: Location,
    end_location: Location,
}

impl Message {
    fn into_diagnostic(self) -> Diagnostic {
        let file = self.filename;
        let suggestions = self.fix.into_iter().map(|fix| Suggestion {
            message: fix.message.unwrap_or_else(|| "apply the fix".to_owned()),
            applicability: match fix.applicability.as_str() {
                "safe" => Applicability::MachineApplicable,
                "unsafe" => Applicability::MaybeIncorrect,
                _ => Applicability::Unspecified,
            },
            edits: fix.edits.into_iter().map(|edit| edit.into_edit(&file)).collect(),
        });
        Diagnostic {
            severity: Some(Severity::Error),
            suggestions: suggestions.collect(),
            code: self.code.or(self.name).map(|code| rules::code(&code).to_owned()),
            message: self.message,
            line: Some(self.location.row),
            column: Some(self.location.column),
            end_line: Some(self.end_location.row),
            end_column: Some(self.end_location.column),
            file: Some(file),
            ..Diagnostic::default()
        }
    }
}

impl FixEdit {
    fn into_edit(self, file: &str) -> Edit {
        Edit::Replace {
            file: file.to_owned(),
            line: self.location.row,
            column: self.location.column,
            end_line: self.end_location.row,
            end_column: self.end_location.column,
            replacement: self.content,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn the_older_full_form_draws_below_the_message() {
        let text = b"a.py:1:1: EXE004 [*] Avoid whitespace before shebang\n  |\n1 | /\n2 | |     #!/usr/bin/env python\n  | |____^ EXE004\n  |\n  = help: Remove whitespace\n\na.py:2:5: E265 [*] Block comment\n  |\n2 |     #!/usr/bin\n  |     ^^^^^^^^^^ E265\n  |\n";
        let report = parse(&ToolOutput { text, command: Some("ruff check"), ..ToolOutput::default() });
        let found: Vec<_> = report.diagnostics.iter().map(|d| (d.end_line, d.end_column, d.message.as_str())).collect();
        assert_eq!(
            found,
            [(Some(2), Some(5), "Avoid whitespace before shebang"), (Some(2), Some(15), "Block comment")]
        );
        assert_eq!(report.diagnostics[0].related[0].message, "Remove whitespace");
    }

    #[test]
    fn a_group_may_hold_syntax_errors() {
        let text =
            b"a.py:\n  1:1 D100 Missing docstring\n  1:6 SyntaxError: Expected an expression\n\nFound 2 errors.\n";
        let report = parse(&ToolOutput { text, command: Some("ruff check"), ..ToolOutput::default() });
        let found: Vec<_> = report.diagnostics.iter().map(|d| (d.column, d.code.as_deref())).collect();
        assert_eq!(found, [(Some(1), Some("D100")), (Some(6), None)]);
    }

    #[test]
    fn a_warning_above_the_first_finding_has_no_place() {
        let text = b"warning: `a` (D203) and `b` (D211) are incompatible.\nunused-import: [*] `os` imported but unused\n --> a.py:1:8\n  |\n1 | import os\n  |        ^^\n  |\n";
        let report = parse(&ToolOutput { text, command: Some("ruff check"), ..ToolOutput::default() });
        let found: Vec<_> = report.diagnostics.iter().map(|d| (d.code.as_deref(), d.line)).collect();
        assert!(found.contains(&(Some("F401"), Some(1))), "{found:?}");
        assert!(!found.contains(&(None, Some(1))), "{found:?}");
    }
}
