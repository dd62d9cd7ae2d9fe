//! Linters' XML: Checkstyle (which many write), PMD, jslint and lint XML, cppcheck, Android lint.

use super::xml::{self, Event, Tag, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "checkstyle",
    kind: Kind::Linter,
    xml_roots: &["checkstyle", "pmd", "jslint", "csslint", "lint", "results", "issues", "BugCollection", "files"],
    anchors: &["</checkstyle>", "</pmd>", "</jslint>", "</csslint>", "</results>", "</issues>", "</BugCollection>"],
    reader: || Box::new(Checkstyle),
    ..Tool::DEFAULT
};

const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// The elements of a report that are no finding nor part of one.
const FRAME: &[&str] = &[
    "checkstyle",
    "pmd",
    "jslint",
    "csslint",
    "lint",
    "results",
    "issues",
    "files",
    "file",
    "cppcheck",
    "errors",
    "BugCollection",
    "Project",
    "Jar",
    "AuxClasspathEntry",
    "SrcDir",
    "WrkDir",
    "Plugin",
    "Cloud",
    "Errors",
    "MissingClass",
    "FindBugsSummary",
    "FileStats",
    "PackageStats",
    "ClassStats",
    "FindBugsProfile",
    "ClassProfile",
    "ClassFeatures",
    "ClassFeatureSet",
    "Feature",
    "History",
    "AppVersion",
    "BugCategory",
    "Description",
];
/// Those with text in them.
const TEXTS: &[&str] = &["Jar", "AuxClasspathEntry", "SrcDir", "WrkDir", "MissingClass", "Description"];
const OF_A_FINDING: &[&str] = &[
    "line",
    "column",
    "char",
    "beginline",
    "message",
    "msg",
    "verbose",
    "reason",
    "evidence",
    "severity",
    "source",
    "rule",
    "info",
    "role",
    "sourcepath",
    "start",
    "end",
];
const COUNTS: &[&str] = &["total_bugs", "bugs", "bugCount", "count", "errors", "warnings", "violations"];

struct Checkstyle;

impl Reader for Checkstyle {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        xml::tell_lost_end(lines, TOOL.anchors, sink);
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let mut file: Option<String> = None;
        let mut open: Option<Diagnostic> = None;
        let (mut findings, mut in_message) = (0u64, false);
        for event in Xml::new(text) {
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
        if findings == 0 && is_clean(text) {
            sink.evidence(Evidence::SaysPassed);
        }
        true
    }
}

/// Whether a report without a finding is one that had none: damaged on its way, it says nothing of what is not in it.
fn is_clean(text: &str) -> bool {
    let (mut is_bug_collection, mut has_summary) = (false, false);
    let sound = xml::is_sound(text, |event, inside| match event {
        Event::Start(tag) => {
            is_bug_collection |= tag.name == "BugCollection";
            has_summary |= tag.name == "FindBugsSummary";
            tag.name == "suppressedviolation"
                || FRAME.contains(&tag.name) && tag.pairs().all(|(name, value)| fits(name, &value))
        }
        Event::Text(text) => TEXTS.contains(&inside) || text.trim().is_empty(),
        Event::End(_) => true,
    });
    // SpotBugs always closes with its sums.
    sound && (has_summary || !is_bug_collection)
}

/// What a finding says of itself belongs on no other element, and a count of findings is zero where there are none.
fn fits(name: &str, value: &str) -> bool {
    let is_count = COUNTS.contains(&name) || name.starts_with("priority_");
    !OF_A_FINDING.contains(&name) && (!is_count || value.trim() == "0")
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
