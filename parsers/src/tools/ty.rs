//! ty: rustc's layout with rule names, and `--output-format concise`.

use super::position::Position;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "ty",
    kind: Kind::Linter,
    commands: &["ty check", "ty"],
    anchors: &["error[", "warning[", "info["],
    reader: || Box::new(Ty),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 120;

struct Ty;

impl Reader for Ty {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(found) = concise(line) {
            sink.diagnostic(found);
            return 1;
        }
        let Some((severity, code, message)) = head(line).filter(|(_, _, rest)| rest.starts_with(": ")) else {
            return 0;
        };
        let Some(place) =
            lines.ahead(1).and_then(arrow).filter(|place| place.0.ends_with(".py") || place.0.ends_with(".pyi"))
        else {
            return 0;
        };
        let mut found = at(place);
        (found.severity, found.code) = (Some(severity), Some(code.to_owned()));
        message[2..].clone_into(&mut found.message);
        found.set_end(lines, 1);
        let mut read = 2;
        while let Some(line) = lines.ahead(read).filter(|_| read < BLOCK_LINES_MAX) {
            let next = lines.ahead(read + 1).unwrap_or("");
            if let Some(note) = line.strip_prefix("info: ").or_else(|| line.strip_prefix("help: ")) {
                let mut related = arrow(next).map(at).unwrap_or_default();
                related.severity = Some(Severity::Note);
                note.trim_end().clone_into(&mut related.message);
                if related.file.is_some() {
                    related.set_end(lines, read + 1);
                    read += 1;
                }
                found.related.push(related);
            } else if !(is_snippet(line) || arrow(line).is_some()) {
                break;
            }
            read += 1;
        }
        sink.diagnostic(found);
        read
    }
}

/// `error[rule-name]`, and what follows it.
fn head(line: &str) -> Option<(Severity, &str, &str)> {
    let (word, rest) = line.split_once('[')?;
    let severity = match word {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        "info" => Severity::Info,
        _ => return None,
    };
    let (code, rest) = rest.split_once(']')?;
    let named = code.starts_with(|c: char| c.is_ascii_lowercase())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    named.then_some((severity, code, rest))
}

/// `app.py:3:12: error[rule-name] message`
fn concise(line: &str) -> Option<Diagnostic> {
    let (position, rest) = Position::cut(line)?;
    let (severity, code, message) = head(rest)?;
    position.is_python().then(|| Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.trim().to_owned(),
        file: Some(position.file.to_owned()),
        line: Some(position.line),
        column: position.column,
        ..Diagnostic::default()
    })
}

/// ` --> app.py:3:12`
fn arrow(line: &str) -> Option<(&str, u32, u32)> {
    let place = super::place::Place::colons(line.trim_start().strip_prefix("--> ")?.trim_end())?;
    Some((place.file, place.line, place.column?))
}

fn at((file, line, column): (&str, u32, u32)) -> Diagnostic {
    Diagnostic { file: Some(file.to_owned()), line: Some(line), column: Some(column), ..Diagnostic::default() }
}

/// `12 | code`, `   |   ^^^^ label`, `   | |____^`, `  ...`
fn is_snippet(line: &str) -> bool {
    let text = line.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.is_empty() && !line.is_empty() || text[digits..].trim_start().starts_with('|') || text.starts_with("...")
}

impl Diagnostic {
    /// From `^^^^^` under the column, in the snippet below line `from`.
    fn set_end(&mut self, lines: Lines<'_>, from: usize) {
        const SNIPPET_LINES_MAX: usize = 12;
        let Some(column) = self.column else { return };
        for n in from + 1..from + SNIPPET_LINES_MAX {
            let Some(line) = lines.ahead(n).filter(|line| is_snippet(line)) else { return };
            let Some((gutter, code)) = line.split_once('|') else { continue };
            let marks = code.trim_start();
            let width = marks.bytes().take_while(|b| *b == b'^').count();
            // The bar and a blank stand before the first column.
            let start = code.len() - marks.len();
            if gutter.trim().is_empty() && width > 0 && u32::try_from(start).ok() == Some(column) {
                self.end_column = u32::try_from(width).ok().and_then(|width| column.checked_add(width));
                self.end_line = self.end_column.and(self.line);
                return;
            }
        }
    }
}
