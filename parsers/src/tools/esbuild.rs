//! esbuild: `✘ [ERROR] message`, then the place, the code, and notes with places of their own.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "esbuild",
    kind: Kind::Compiler,
    commands: &["esbuild", "tsup"],
    anchors: &["✘ [ERROR] ", "▲ [WARNING] ", "⚡ Done in "],
    reader: || Box::new(Esbuild),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 80;

struct Esbuild;

impl Reader for Esbuild {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        if line.starts_with("⚡ Done in ") {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        let (severity, message) = match line.strip_prefix("✘ [ERROR] ") {
            Some(message) => (Severity::Error, message),
            None => match line.strip_prefix("▲ [WARNING] ") {
                Some(message) => (Severity::Warning, message),
                None => return 0,
            },
        };
        let (message, code) = match message.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
            Some((message, code)) if code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => (message, Some(code)),
            Some(_) | None => (message, None),
        };
        let mut found = Diagnostic {
            severity: Some(severity),
            code: code.map(str::to_owned),
            message: message.to_owned(),
            ..Diagnostic::default()
        };
        let mut read = 1;
        while let Some(line) = lines
            .ahead(read)
            .filter(|line| read < BLOCK_LINES_MAX && (line.trim().is_empty() || line.starts_with("  ")))
        {
            let text = line.trim();
            if let Some(place) = text.strip_suffix(':').and_then(Place::colons).filter(|place| place.column.is_some()) {
                let target = if found.line.is_none() { &mut found } else { last_note(&mut found) };
                target.file = Some(place.file.to_owned());
                target.line = Some(place.line);
                // Counted from zero.
                target.column = place.column;
                set_end(target, lines, read);
            } else if !text.is_empty() && !text.contains('│') && !text.starts_with('╵') {
                found.related.push(Diagnostic {
                    severity: Some(Severity::Note),
                    message: text.to_owned(),
                    ..Diagnostic::default()
                });
            }
            read += 1;
        }
        sink.diagnostic(found);
        read
    }
}

/// The note whose place this is stands above it.
fn last_note(found: &mut Diagnostic) -> &mut Diagnostic {
    if found.related.last().is_none_or(|note| note.file.is_some()) {
        found.related.push(Diagnostic { severity: Some(Severity::Note), ..Diagnostic::default() });
    }
    found.related.last_mut().expect("one was just put there")
}

/// `      1 │ code`, `        ╵    ~~~~~`
fn set_end(found: &mut Diagnostic, lines: Lines<'_>, at: usize) {
    let marks = lines.ahead(at + 2).and_then(|line| line.trim_start().strip_prefix("╵ "));
    let width = marks.map_or(0, |marks| marks.trim_start().bytes().take_while(|b| *b == b'~').count());
    found.end_column =
        u32::try_from(width).ok().filter(|width| *width > 0).and_then(|width| found.column?.checked_add(width));
    found.end_line = found.end_column.and(found.line);
}
