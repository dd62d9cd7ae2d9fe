//! Biome: a ruled head line with place and rule, a marked message, the code with its marks; JSON.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "biome",
    kind: Kind::Linter,
    commands: &["biome", "@biomejs/biome"],
    anchors: &["━━━━━━━━━━", "Checked ", "Found "],
    json: &["\"diagnosticsNotPrinted\""],
    reader: || Box::new(Biome::default()),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 400;

#[derive(Default)]
struct Biome {
    checked: bool,
    failed: bool,
}

impl Reader for Biome {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(rest) = line.strip_prefix("Checked ") {
            let own = rest.contains(" file") && (rest.contains(" fixes applied") || rest.contains("Fixed "));
            self.checked |= own && !rest.starts_with("0 ");
            return usize::from(own);
        }
        if let Some(rest) = line.strip_prefix("Found ") {
            let own = self.checked
                && [" error.", " errors.", " warning.", " warnings.", " info.", " infos."]
                    .iter()
                    .any(|end| rest.ends_with(end));
            self.failed |= own && rest.contains(" error");
            return usize::from(own);
        }
        let Some(head) = line.trim_end_matches('━').strip_suffix(' ').filter(|head| head.len() < line.len()) else {
            return 0;
        };
        let (found, read) = block(head, lines);
        match found {
            Some(found) => {
                self.failed |= found.severity == Some(Severity::Error);
                sink.diagnostic(found);
                read
            }
            // `lint ━━━`, `× Some errors were emitted while running checks.`
            None if lines.ahead(2).is_some_and(|line| line.trim_start().starts_with("× ")) => {
                if !std::mem::replace(&mut self.failed, true) {
                    sink.evidence(Evidence::SaysFailed);
                }
                3
            }
            None => 0,
        }
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(output) = document.json::<serde_json::Value>() else { return false };
        let Some(diagnostics) = output["diagnostics"].as_array() else { return false };
        let errors = output["summary"]["errors"].as_u64();
        for item in diagnostics {
            let at = &item["location"];
            let number =
                |value: &serde_json::Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            sink.diagnostic(Diagnostic {
                severity: match item["severity"].as_str() {
                    Some("error" | "fatal") => Some(Severity::Error),
                    Some("warning") => Some(Severity::Warning),
                    Some("information" | "info") => Some(Severity::Info),
                    Some("hint") => Some(Severity::Hint),
                    Some(_) | None => None,
                },
                code: text(&item["category"]),
                message: text(&item["message"]).or_else(|| text(&item["description"])).unwrap_or_default(),
                file: text(&at["path"]).or_else(|| text(&at["path"]["file"])),
                line: number(&at["start"]["line"]),
                column: number(&at["start"]["column"]),
                end_line: number(&at["end"]["line"]),
                end_column: number(&at["end"]["column"]),
                ..Diagnostic::default()
            });
        }
        self.failed |= errors.is_none_or(|errors| errors > 0);
        self.checked |= output["summary"]["unchanged"].as_u64().is_some_and(|files| files > 0);
        true
    }

    /// The count of files stands on another stream than the findings: either may come first.
    fn finish(&mut self, sink: &mut Sink) {
        if self.checked && !self.failed {
            sink.evidence(Evidence::SaysPassed);
        }
    }
}

/// `bad.js:1:5 lint/correctness/noUnusedVariables  FIXABLE`, `bad.js format`
fn block(head: &str, lines: Lines<'_>) -> (Option<Diagnostic>, usize) {
    let mut words = head.split(' ').filter(|word| {
        !word.is_empty() && !matches!(*word, "FIXABLE" | "DEPRECATED" | "VERBOSE" | "INTERNAL" | "FATAL")
    });
    let (Some(file), Some(code), None) = (words.next(), words.next(), words.next()) else { return (None, 0) };
    let place = Place::colons(file).filter(|place| place.column.is_some());
    let mut found = Diagnostic {
        code: Some(code.to_owned()),
        file: Some(place.map_or(file, |place| place.file).to_owned()),
        line: place.map(|place| place.line),
        column: place.and_then(|place| place.column),
        ..Diagnostic::default()
    };
    let mut read = 1;
    let mut in_message = false;
    while let Some(line) =
        lines.ahead(read).filter(|line| read < BLOCK_LINES_MAX && (line.is_empty() || line.starts_with("  ")))
    {
        let text = line.trim();
        let marked = [("× ", Severity::Error), ("! ", Severity::Warning), ("i ", Severity::Info)]
            .iter()
            .find_map(|(mark, severity)| Some((text.strip_prefix(mark)?, *severity)));
        match marked {
            Some((message, severity)) if found.severity.is_none() => {
                found.severity = Some(severity);
                message.clone_into(&mut found.message);
                in_message = true;
            }
            Some(_) | None if in_message && !text.is_empty() => {
                found.message.push(' ');
                found.message.push_str(text);
            }
            Some(_) | None => {
                in_message = false;
                if found.end_column.is_none() {
                    set_end(&mut found, line);
                }
            }
        }
        read += 1;
    }
    (Some(found).filter(|found| found.severity.is_some()), read)
}

/// `      │     ^^^^^^`, below the marked line of code.
fn set_end(found: &mut Diagnostic, line: &str) {
    let Some(marks) = line.trim_start().strip_prefix("│ ") else { return };
    let Some((start, width)) = super::place::marks(marks) else { return };
    if found.column == Some(start) {
        found.end_line = found.line;
        found.end_column = start.checked_add(width);
    }
}
