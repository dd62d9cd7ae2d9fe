//! PureScript: `Error 1 of 2:` as the compiler prints it, `[ERROR 1/2 Code] file:line:column` as spago does, and
//! `--json-errors`.

use super::place::{Place, marks, number};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "purescript",
    kind: Kind::Compiler,
    commands: &["purs", "spago build", "spago test", "spago run", "spago bundle"],
    anchors: &["Error ", "Warning ", "[ERROR ", "[WARNING "],
    json: &["\"errorCode\""],
    reader: || Box::new(PureScript),
    ..Tool::DEFAULT
};

/// What one finding says; types can be printed over many lines.
const BLOCK_LINES_MAX: usize = 400;
const NOTES_MAX: usize = 60;

struct PureScript;

#[derive(serde::Deserialize)]
struct Findings {
    warnings: Vec<Finding>,
    errors: Vec<Finding>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    error_code: String,
    message: String,
    filename: Option<String>,
    position: Option<Span>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

impl Reader for PureScript {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let found = if line.starts_with('[') { by_spago(lines) } else { by_compiler(lines) };
        let Some((found, read)) = found else { return 0 };
        sink.diagnostic(found);
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(Findings { warnings, errors }) = document.json() else { return false };
        for (severity, findings) in [(Severity::Error, errors), (Severity::Warning, warnings)] {
            for found in findings {
                let lines = found.message.lines().map(str::trim).filter(|line| !line.is_empty());
                let span = found.position;
                sink.diagnostic(Diagnostic {
                    severity: Some(severity),
                    message: lines.collect::<Vec<_>>().join("\n"),
                    code: Some(found.error_code),
                    file: found.filename,
                    line: span.as_ref().map(|span| span.start_line),
                    column: span.as_ref().map(|span| span.start_column),
                    end_line: span.as_ref().map(|span| span.end_line),
                    end_column: span.as_ref().map(|span| span.end_column),
                    ..Diagnostic::default()
                });
            }
        }
        true
    }
}

/// `Error found:` alone, `Error 2 of 3:` among several, which are indented.
fn header(line: &str) -> Option<(Severity, usize)> {
    let (severity, rest) = severity(line)?;
    let rest = rest.strip_prefix(' ')?.trim_end().strip_suffix(':')?;
    if rest == "found" {
        return Some((severity, 0));
    }
    let (which, all) = rest.split_once(" of ")?;
    let counted = [which, all].iter().all(|text| !text.is_empty() && number(text).is_some());
    counted.then_some((severity, 2))
}

fn severity(text: &str) -> Option<(Severity, &str)> {
    [
        ("Error", Severity::Error),
        ("Warning", Severity::Warning),
        ("ERROR", Severity::Error),
        ("WARNING", Severity::Warning),
    ]
    .iter()
    .find_map(|&(word, severity)| Some((severity, text.strip_prefix(word)?)))
}

fn by_compiler(lines: Lines<'_>) -> Option<(Diagnostic, usize)> {
    let (severity, base) = header(lines.first())?;
    let mut found = Diagnostic { severity: Some(severity), ..Diagnostic::default() };
    let mut body = Body { indent: base, ..Body::default() };
    let mut known = false;
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
        let text = line.trim();
        let at_base = line.len() - line.trim_start().len() == base;
        if !text.is_empty() && header(line).is_some() {
            break;
        }
        if at_base && text.starts_with("See http") && text.contains("purescript") {
            found.code = text.split_once("/errors/").and_then(|(_, rest)| Some(rest.split_once(".md")?.0.to_owned()));
            known = true;
            let more = lines.ahead(read + 1).is_some_and(|line| line.trim_start().starts_with("or to contribute"));
            read += 1 + usize::from(more);
            break;
        }
        match text.strip_prefix("at ").and_then(range).filter(|_| at_base && found.line.is_none()) {
            Some((place, end)) => {
                known = true;
                found.file = Some(place.file.to_owned());
                (found.line, found.column) = (Some(place.line), place.column);
                (found.end_line, found.end_column) = (Some(end.0), Some(end.1));
            }
            None if at_base && text.starts_with("in module ") && body.message.is_empty() => known = true,
            None => body.take(line),
        }
        read += 1;
    }
    known.then(|| (body.into(found), read))
}

/// `src/A.purs:7:18 - 7:23 (line 7, column 18 - line 7, column 23)`
fn range(text: &str) -> Option<(Place<'_>, (u32, u32))> {
    let (numbers, words) = text.strip_suffix(')')?.rsplit_once(" (line ")?;
    let (start, end) = numbers.rsplit_once(" - ")?;
    let (line, column) = end.split_once(':')?;
    let place = Place::colons(start).filter(|place| place.column.is_some() && words.contains("column "))?;
    Some((place, (number(line)?, number(column)?)))
}

/// `[WARNING 3/4 UnusedImport] src/Main.purs:6:1`, the line with its carets, then what is said of it.
fn by_spago(lines: Lines<'_>) -> Option<(Diagnostic, usize)> {
    let (tag, place) = lines.first().strip_prefix('[')?.split_once("] ")?;
    let (severity, rest) = severity(tag)?;
    let (counts, code) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (which, all) = counts.split_once('/')?;
    number(which)?;
    number(all)?;
    let place = Place::colons(place.trim_end()).filter(|place| place.column.is_some() && !code.contains(' '))?;
    let mut found = Diagnostic { severity: Some(severity), code: Some(code.to_owned()), ..place.diagnostic() };
    let mut body = Body::default();
    let mut read = 1;
    while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
        let text = line.trim();
        if !text.is_empty() && !line.starts_with("  ") || text.starts_with("Src ") {
            break;
        }
        match marks(line).filter(|_| body.message.is_empty()) {
            Some((_, width)) => {
                found.end_line = found.line;
                found.end_column = place.column.and_then(|column| column.checked_add(width));
            }
            None if body.message.is_empty() && is_source(text, place.line) => {}
            None => body.take(line),
        }
        read += 1;
    }
    Some((body.into(found), read))
}

fn is_source(text: &str, line: u32) -> bool {
    text.split_once(' ').is_some_and(|(shown, _)| number(shown).is_some_and(|shown| shown >= line))
}

/// The message is indented below its header; what led to it follows.
#[derive(Default)]
struct Body {
    indent: usize,
    message: String,
    notes: Vec<String>,
}

impl Body {
    fn take(&mut self, line: &str) {
        const CONTEXT: &[&str] =
            &["while ", "in value ", "in type ", "in binding ", "in foreign ", "in data ", "where "];
        let text = line.trim();
        if text.is_empty() {
            return;
        }
        let deeper = line.len() - line.trim_start().len() > self.indent;
        let context = CONTEXT.iter().any(|start| text.starts_with(start));
        if !self.message.is_empty() && context && !(self.indent == 2 && deeper) && self.notes.len() < NOTES_MAX {
            self.notes.push(text.to_owned());
            return;
        }
        let into = self.notes.last_mut().unwrap_or(&mut self.message);
        if !into.is_empty() {
            into.push('\n');
        }
        into.push_str(text);
    }

    fn into(self, mut found: Diagnostic) -> Diagnostic {
        found.message = self.message;
        found.related = self
            .notes
            .into_iter()
            .map(|message| Diagnostic { severity: Some(Severity::Note), message, ..Diagnostic::default() })
            .collect();
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Exit, Severity, ToolOutput, parse};

    #[test]
    fn the_compilers_form_with_several_errors() {
        let text = "Error 1 of 2:\n\n  in module Main\n  at src/Main.purs:8:9 - 8:15 (line 8, column 9 - line 8, column 15)\n\n    \
            Could not match type\n            \n      String\n            \n    with type\n         \n      Int\n         \n\n  \
            while checking that expression \"a\"\n    has type Int\n  in value declaration main\n\n  \
            See https://github.com/purescript/documentation/blob/master/errors/TypesDoNotUnify.md for more information,\n  \
            or to contribute content related to this error.\n\nError 2 of 2:\n\n  in module Main\n\n    Nothing is here\n\n\n  \
            See https://github.com/purescript/documentation/blob/master/errors/Other.md for more information,\n  \
            or to contribute content related to this error.\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(1)), ..ToolOutput::default() });
        let [first, second] = report.diagnostics.as_slice() else { panic!("{:?}", report.diagnostics) };
        assert_eq!((first.file.as_deref(), first.line, first.column), (Some("src/Main.purs"), Some(8), Some(9)));
        assert_eq!(
            (first.end_line, first.end_column, first.code.as_deref()),
            (Some(8), Some(15), Some("TypesDoNotUnify"))
        );
        assert_eq!(first.message, "Could not match type\nString\nwith type\nInt");
        assert_eq!(first.related[0].message, "while checking that expression \"a\"\nhas type Int");
        assert_eq!((second.file.as_deref(), second.message.as_str()), (None, "Nothing is here"));
    }

    #[test]
    fn spagos_form() {
        let text = "[WARNING 1/1 UnusedName] src/Main.purs:10:7\n\n  10    let unused = 1\n            ^^^^^^^^^^\n\n  \
            Name unused was introduced but not used.\n  in value declaration main\n\n           Src   Lib   All\n\
            Warnings     1     0     1\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(0)), ..ToolOutput::default() });
        let [found] = report.diagnostics.as_slice() else { panic!("{:?}", report.diagnostics) };
        assert_eq!((found.severity, found.code.as_deref()), (Some(Severity::Warning), Some("UnusedName")));
        assert_eq!((found.line, found.column, found.end_column), (Some(10), Some(7), Some(17)));
        assert_eq!(found.message, "Name unused was introduced but not used.");
        assert_eq!(found.related[0].message, "in value declaration main");
    }

    #[test]
    fn its_json() {
        let text = r#"{"warnings":[],"errors":[{"suggestion":null,"moduleName":"Main","errorCode":"TypesDoNotUnify",
            "message":"  Could not match type\n\n    Int\n","filename":"src/Main.purs",
            "position":{"startLine":7,"startColumn":8,"endLine":7,"endColumn":11}}]}"#;
        let text = format!("{}\n", text.replace('\n', ""));
        let report = parse(&ToolOutput { text: text.as_bytes(), exit: Some(Exit::Code(1)), ..ToolOutput::default() });
        let [found] = report.diagnostics.as_slice() else { panic!("{:?}", report.diagnostics) };
        assert_eq!((found.code.as_deref(), found.line, found.end_column), (Some("TypesDoNotUnify"), Some(7), Some(11)));
        assert_eq!((found.source.as_str(), found.message.as_str()), ("purescript", "Could not match type\nInt"));
    }

    #[test]
    fn words_that_only_look_so() {
        for text in ["Error found:\nnothing else\n", "Error 1 of 2:\nmore\n", "[ERROR 1/2 Code] no place\n"] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            assert_eq!(report.diagnostics.len(), 0, "{text}");
        }
    }
}
