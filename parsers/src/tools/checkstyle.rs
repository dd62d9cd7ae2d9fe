//! Linters' XML: Checkstyle (which many write), PMD, jslint and lint XML, cppcheck, Android lint.

use super::xml::{Event, Tag, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "checkstyle",
    kind: Kind::Linter,
    xml_roots: &["checkstyle", "pmd", "jslint", "csslint", "lint", "results", "issues", "BugCollection", "files"],
    reader: || Box::new(Checkstyle),
    ..Tool::DEFAULT
};

const MESSAGE_BYTES_MAX: usize = 4 << 10;

struct Checkstyle;

impl Reader for Checkstyle {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let mut file: Option<String> = None;
        let mut open: Option<Diagnostic> = None;
        let (mut findings, mut in_message) = (0u64, false);
        // Damaged on its way, a document says nothing of what is not in it.
        let (mut elements, mut whole, mut root): (Vec<&str>, bool, bool) = (Vec::new(), true, false);
        for event in Xml::new(text) {
            root |= matches!(event, Event::Start(_));
            match &event {
                Event::Start(tag) if findings == 0 && !tag.is_whole() => whole = false,
                Event::Start(tag) if !tag.empty => elements.push(tag.name),
                Event::End(name) => whole &= elements.pop() == Some(name),
                Event::Text(text) => whole &= text.trim().is_empty(),
                Event::Start(_) => {}
            }
            match event {
                Event::Start(tag) => match tag.name {
                    "file" => file = tag.get("name").or_else(|| tag.get("path")).map(String::from),
                    "error" | "violation" | "issue" | "BugInstance" => {
                        if let Some(found) = open.take() {
                            sink.diagnostic(found);
                        }
                        findings += 1;
                        let found = finding(tag, file.as_deref());
                        if tag.empty { sink.diagnostic(found) } else { open = Some(found) }
                    }
                    // cppcheck, Android lint and SpotBugs give places as elements of their own; the first is the main one.
                    "location" | "SourceLine" => {
                        if let Some(found) = &mut open {
                            locate(tag, found);
                        }
                    }
                    "LongMessage" => in_message = true,
                    _ => {}
                },
                // PMD writes the message as the element's text.
                Event::Text(text) => {
                    if let Some(found) = &mut open
                        && (in_message || found.message.is_empty())
                    {
                        let text = text.trim();
                        if !text.is_empty() {
                            found.message = text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned();
                        }
                    }
                }
                Event::End(name) => match name {
                    "file" => file = None,
                    "LongMessage" => in_message = false,
                    "error" | "violation" | "issue" | "BugInstance" => {
                        if let Some(found) = open.take() {
                            sink.diagnostic(found);
                        }
                    }
                    _ => {}
                },
            }
        }
        if let Some(found) = open {
            sink.diagnostic(found);
        }
        if findings == 0 && root && whole && elements.is_empty() {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

fn finding(tag: Tag<'_>, file: Option<&str>) -> Diagnostic {
    let get = |names: &[&str]| names.iter().find_map(|name| tag.get(name)).map(String::from);
    Diagnostic {
        severity: get(&["severity"]).and_then(|word| severity(&word)),
        code: get(&["source", "rule", "id", "type"]),
        message: get(&["message", "msg", "reason"]).unwrap_or_default().trim().to_owned(),
        file: file.map(str::to_owned).or_else(|| get(&["file"])),
        line: tag.position("line").or_else(|| tag.position("beginline")),
        column: tag.position("column").or_else(|| tag.position("begincolumn")).or_else(|| tag.position("char")),
        end_line: tag.position("endline"),
        // PMD's ends are inclusive.
        end_column: tag.position("endcolumn").and_then(|column| column.checked_add(1)),
        ..Diagnostic::default()
    }
}

fn locate(tag: Tag<'_>, found: &mut Diagnostic) {
    let file = tag.get("file").or_else(|| tag.get("sourcepath")).map(String::from);
    let line = tag.position("line").or_else(|| tag.position("start"));
    if found.file.is_none() || (found.line.is_none() && found.file == file) {
        found.file = file;
        found.line = line;
        found.column = tag.position("column");
    } else if line.is_some() {
        found.related.push(Diagnostic {
            severity: Some(Severity::Note),
            message: tag.get("info").map(String::from).unwrap_or_default(),
            file,
            line,
            column: tag.position("column"),
            ..Diagnostic::default()
        });
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "error" | "fatal" => Some(Severity::Error),
        "warning" | "warn" => Some(Severity::Warning),
        "info" | "information" | "informational" | "style" | "performance" | "portability" | "refactor"
        | "convention" => Some(Severity::Info),
        _ => None,
    }
}
