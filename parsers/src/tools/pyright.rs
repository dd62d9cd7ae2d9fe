//! pyright and basedpyright: text and JSON.

use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "pyright",
    kind: Kind::Linter,
    commands: &["pyright", "basedpyright"],
    anchors: &[" - error: ", " - warning: ", " - information: ", " errors, ", "1 error, "],
    json: &["\"generalDiagnostics\""],
    reader: || Box::new(Pyright),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 100;

struct Pyright;

impl Reader for Pyright {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some((errors, rest)) = line.split_once(" errors, ").or_else(|| line.split_once(" error, ")) {
            let is_own = rest.contains(" warning") && rest.contains(" information") && errors.parse::<u64>().is_ok();
            if is_own && errors == "0" {
                sink.evidence(Evidence::SaysPassed);
            }
            return usize::from(is_own);
        }
        let Some((place, rest)) = line.trim_start().split_once(" - ") else { return 0 };
        let with_end = format!("{place}: ");
        let Some((position, _)) = Position::cut(&with_end) else { return 0 };
        let Some((severity, message)) = rest.split_once(": ").and_then(|(word, text)| Some((severity(word)?, text)))
        else {
            return 0;
        };
        // Details are indented under the message; the rule ends the last of them.
        let mut message = message.trim_end().to_owned();
        let mut read = 1;
        // (With no-break spaces, so that terminals keep it.)
        let is_detail = |line: &&str| line.starts_with("    ") || line.starts_with("  \u{a0}");
        while let Some(more) = lines.ahead(read).filter(|line| is_detail(line) && read < MESSAGE_LINES_MAX) {
            message.push('\n');
            message.push_str(more.trim());
            read += 1;
        }
        let rule = message
            .strip_suffix(')')
            .and_then(|text| text.rsplit_once(" ("))
            .map(|(text, rule)| (text.to_owned(), rule.to_owned()));
        let rule =
            rule.filter(|(_, rule)| rule.starts_with("report") && rule.bytes().all(|b| b.is_ascii_alphanumeric()));
        let (message, code) = rule.map_or((message, None), |(text, rule)| (text, Some(rule)));
        sink.diagnostic(Diagnostic {
            severity: Some(severity),
            code,
            message,
            file: Some(position.file.to_owned()),
            line: Some(position.line),
            column: position.column,
            ..Diagnostic::default()
        });
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<Output>() else { return false };
        if output.diagnostics.iter().all(|item| item.severity != "error") {
            sink.evidence(Evidence::SaysPassed);
        }
        for item in output.diagnostics {
            // Counted from zero, here and nowhere else.
            let one_based = |number: u32| number.checked_add(1);
            let (start, end) = item.range.map(|range| (range.start, range.end)).unzip();
            sink.diagnostic(Diagnostic {
                severity: severity(&item.severity),
                code: item.rule,
                message: item.message,
                file: Some(item.file),
                line: start.as_ref().and_then(|at| one_based(at.line)),
                column: start.and_then(|at| one_based(at.character)),
                end_line: end.as_ref().and_then(|at| one_based(at.line)),
                end_column: end.and_then(|at| one_based(at.character)),
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
        "information" => Some(Severity::Info),
        _ => None,
    }
}

#[derive(serde::Deserialize)]
struct Output {
    #[serde(rename = "generalDiagnostics")]
    diagnostics: Vec<Item>,
}

#[derive(serde::Deserialize)]
struct Item {
    file: String,
    severity: String,
    message: String,
    range: Option<Range>,
    rule: Option<String>,
}

#[derive(serde::Deserialize)]
struct Range {
    start: Point,
    end: Point,
}

#[derive(serde::Deserialize)]
struct Point {
    line: u32,
    character: u32,
}
