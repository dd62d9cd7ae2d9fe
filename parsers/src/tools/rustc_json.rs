//! rustc's and cargo's `--message-format=json`: one object a line, with exact spans and suggestions.

use serde::Deserialize;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion, fingerprint};

pub(super) const TOOL: Tool = Tool {
    name: "rustc-json",
    kind: Kind::Compiler,
    json: &["\"reason\":\"compiler-", "\"reason\":\"build-", "\"$message_type\":\"", "\"rendered\":"],
    reader: || Box::new(RustcJson),
    ..Tool::DEFAULT
};

struct RustcJson;

/// A line of cargo's, or one of rustc's own, whose message is not wrapped.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum CargoLine {
    CompilerMessage { message: Message },
    BuildFinished { success: bool },
    CompilerArtifact {},
    BuildScriptExecuted {},
}

#[derive(Deserialize)]
struct Message {
    message: String,
    code: Option<Code>,
    level: String,
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Message>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    line_end: u32,
    column_start: u32,
    column_end: u32,
    is_primary: bool,
    label: Option<String>,
    suggested_replacement: Option<String>,
    suggestion_applicability: Option<String>,
}

impl Reader for RustcJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        if let Some(line) = document.json::<CargoLine>() {
            match line {
                CargoLine::CompilerMessage { message } => add(&message, sink),
                CargoLine::BuildFinished { success: false } => sink.evidence(Evidence::SaysError),
                CargoLine::BuildFinished { success: true }
                | CargoLine::CompilerArtifact {}
                | CargoLine::BuildScriptExecuted {} => {}
            }
            return true;
        }
        #[derive(Deserialize)]
        struct Other {
            #[serde(rename = "$message_type")]
            _message_type: String,
        }
        match document.json::<Message>() {
            Some(message) => add(&message, sink),
            None => return document.json::<Other>().is_some(),
        }
        true
    }
}

fn add(message: &Message, sink: &mut Sink) {
    let summary = message.spans.is_empty()
        && message.code.is_none()
        && (message.message.starts_with("aborting due to ") || message.message.ends_with(" emitted"));
    if summary || message.level == "failure-note" {
        return;
    }
    sink.diagnostic(diagnostic(message));
}

fn diagnostic(message: &Message) -> Diagnostic {
    let code = message.code.as_ref().map(|code| code.code.clone());
    let lint = code.as_deref().is_some_and(|code| code.contains(|c: char| c.is_ascii_lowercase()));
    let mut found = Diagnostic {
        source: if code.as_deref().is_some_and(|code| code.starts_with("clippy::")) { "clippy" } else { "rustc" }
            .into(),
        severity: severity(&message.level),
        message: message.message.lines().next().unwrap_or("").to_owned(),
        ..Diagnostic::default()
    };
    let primary = message.spans.iter().find(|span| span.is_primary);
    if let Some(span) = primary {
        span.locate(&mut found);
    }
    // As in the text form, where a lint's name is not always printed: the same finding has the same fingerprint.
    found.code = code.clone().filter(|_| !lint);
    found.fingerprint = fingerprint::of(&found);
    found.code = code;
    found.related.extend(message.spans.iter().filter_map(Span::labelled));
    for child in &message.children {
        let mut related = Diagnostic {
            // What hangs on a finding is no finding of its own, even where rustc calls it a warning.
            severity: Some(if child.level == "help" { Severity::Hint } else { Severity::Note }),
            message: child.message.lines().next().unwrap_or("").to_owned(),
            ..Diagnostic::default()
        };
        if let Some(span) = child.spans.iter().find(|span| span.is_primary) {
            span.locate(&mut related);
        }
        found.related.push(related);
        found.related.extend(child.spans.iter().filter_map(Span::labelled));
        found.suggestions.extend(suggestion(child));
    }
    found
}

impl Span {
    fn locate(&self, diagnostic: &mut Diagnostic) {
        diagnostic.file = Some(self.file_name.clone());
        diagnostic.line = Some(self.line_start);
        diagnostic.column = Some(self.column_start);
        diagnostic.end_line = Some(self.line_end);
        diagnostic.end_column = Some(self.column_end);
    }

    fn labelled(&self) -> Option<Diagnostic> {
        let label = self.label.as_deref().filter(|label| !label.is_empty())?;
        let mut related =
            Diagnostic { severity: Some(Severity::Note), message: label.to_owned(), ..Diagnostic::default() };
        self.locate(&mut related);
        Some(related)
    }
}

fn suggestion(child: &Message) -> Option<Suggestion> {
    let mut edits = Vec::new();
    let mut applicability = Applicability::MachineApplicable;
    for span in &child.spans {
        let Some(replacement) = &span.suggested_replacement else { continue };
        edits.push(Edit::Replace {
            file: span.file_name.clone(),
            line: span.line_start,
            column: span.column_start,
            end_line: span.line_end,
            end_column: span.column_end,
            replacement: replacement.clone(),
        });
        applicability = match span.suggestion_applicability.as_deref() {
            Some("MachineApplicable") => applicability,
            Some("MaybeIncorrect") => Applicability::MaybeIncorrect,
            Some("HasPlaceholders") => Applicability::HasPlaceholders,
            Some(_) | None => Applicability::Unspecified,
        };
    }
    (!edits.is_empty()).then(|| Suggestion { message: child.message.clone(), applicability, edits })
}

fn severity(level: &str) -> Option<Severity> {
    match level {
        "error" | "error: internal compiler error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "note" | "failure-note" => Some(Severity::Note),
        "help" => Some(Severity::Hint),
        _ => None,
    }
}
