//! ruff's full form: the place under the message, the source with its marks, and the fix as a diff.

use super::super::columns::chars_in_width;
use super::super::position::Position;
use super::{diagnostic, rule};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

const LINES_MAX: usize = 400;

/// Reads from ` --> file.py:10:5` on; the rule and its message stand on the line before.
pub(super) fn read(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let line = lines.first();
    let Some(place) = line.trim_start().strip_prefix("--> ") else { return 0 };
    let Some((code, message)) = lines.back(1).and_then(rule) else { return 0 };
    let with_end = format!("{place}: ");
    let Some((position, _)) = Position::cut(&with_end) else { return 0 };
    let mut finding = diagnostic(position, code, message);
    let gutter = line.len() - line.trim_start().len() + 1;
    let mut shown: Vec<(u32, &str)> = Vec::new();
    let mut at = 1;
    // What concerns a whole file has an empty span at its start, and no source is shown.
    if (position.line, position.column) == (1, Some(1)) && lines.ahead(1).and_then(|text| row(text, gutter)).is_none() {
        (finding.end_line, finding.end_column) = (Some(1), Some(1));
    }
    while let Some((number, source)) = lines.ahead(at).filter(|_| at < LINES_MAX).and_then(|text| row(text, gutter)) {
        match number {
            Some(number) => shown.push((number, source)),
            None => mark(source, shown.last(), &mut finding),
        }
        at += 1;
    }
    // A place in another file or far away, with its own snippet.
    while lines.ahead(at).is_some_and(|text| text.trim_start().starts_with("::: ")) && at < LINES_MAX {
        at += 1;
        while lines.ahead(at).filter(|_| at < LINES_MAX).and_then(|text| row(text, gutter)).is_some() {
            at += 1;
        }
    }
    if let Some(help) = lines.ahead(at).and_then(|text| text.strip_prefix("help: ")) {
        at += 1;
        let (diff, read) = Diff::read(lines, at);
        at += read;
        let is_unsafe = lines.ahead(at).is_some_and(|text| text.starts_with("note: This is an unsafe fix"));
        let is_display = lines.ahead(at).is_some_and(|text| text.starts_with("note: This is a display-only fix"));
        at += usize::from(is_unsafe || is_display);
        let applicability = match (is_unsafe, is_display) {
            (true, _) => Applicability::MaybeIncorrect,
            (_, true) => Applicability::Unspecified,
            (false, false) => Applicability::MachineApplicable,
        };
        match diff.edit(position.file, &shown) {
            Some(edit) => {
                finding.suggestions.push(Suggestion { message: help.to_owned(), applicability, edits: vec![edit] })
            }
            None => finding.related.push(Diagnostic {
                severity: Some(Severity::Hint),
                message: help.to_owned(),
                ..Diagnostic::default()
            }),
        }
    }
    sink.diagnostic(finding);
    at
}

/// The older full form: the source below place and message, its marks labelled with the rule. Answers how many lines the
/// finding has.
pub(super) fn below(lines: Lines<'_>, finding: &mut Diagnostic) -> usize {
    let Some(gutter) = lines.ahead(1).filter(|text| text.trim() == "|").and_then(|text| text.find('|')) else {
        return 1;
    };
    let message = finding.message.clone();
    let mut shown: Vec<(u32, &str)> = Vec::new();
    let mut at = 1;
    while let Some((number, source)) = lines.ahead(at).filter(|_| at < LINES_MAX).and_then(|text| row(text, gutter)) {
        match number {
            Some(number) => shown.push((number, source)),
            None => mark(source, shown.last(), finding),
        }
        at += 1;
    }
    finding.message = message;
    if let Some(help) = lines.ahead(at).and_then(|text| text.trim_start().strip_prefix("= help: ")) {
        at += 1;
        let help = Diagnostic { severity: Some(Severity::Hint), message: help.to_owned(), ..Diagnostic::default() };
        finding.related.push(help);
    }
    at
}

/// The number, if any, and the source right of the bar.
fn row(text: &str, gutter: usize) -> Option<(Option<u32>, &str)> {
    let (number, source) = text.split_once('|')?;
    if number.chars().count() > gutter + 1 || !number.bytes().all(|b| b == b' ' || b.is_ascii_digit()) {
        return None;
    }
    Some((number.trim().parse().ok(), source))
}

/// Marks under a source line: `     ^^^^ label` on one line, ` |______^` at the end of several.
fn mark(source: &str, under: Option<&(u32, &str)>, finding: &mut Diagnostic) {
    let Some((row, shown)) = under else { return };
    if finding.end_line.is_some() {
        return;
    }
    let text = source.trim_start();
    if let Some(rest) = text.strip_prefix('|') {
        let line = rest.trim_start_matches('_');
        if rest.starts_with('_') && line.starts_with('^') {
            // One blank after the gutter's bar; the span's own bar takes the place of two chars.
            let columns = source.chars().take_while(|c| *c != '^').count().saturating_sub(2);
            let body = shown.char_indices().nth(3).map_or("", |(at, _)| &shown[at..]);
            finding.end_line = Some(*row);
            finding.end_column = chars_in_width(body, columns).checked_add(1);
            label(line.trim_start_matches('^'), finding);
        }
        return;
    }
    let marks = text.bytes().take_while(|b| *b == b'^').count();
    if marks > 0 && Some(*row) == finding.line {
        // Marks are as wide as what they stand under, which wide characters before them shift.
        let body = shown.strip_prefix(' ').unwrap_or(shown);
        let before = source.chars().take_while(|c| *c == ' ').count().saturating_sub(1);
        let chars = chars_in_width(body, before + marks).saturating_sub(chars_in_width(body, before));
        finding.end_line = Some(*row);
        finding.end_column = finding.column.and_then(|from| from.checked_add(chars));
        label(&text[marks..], finding);
    }
}

/// ruff's short forms put the label of the place behind the message.
fn label(text: &str, finding: &mut Diagnostic) {
    if let Some(label) = text.strip_prefix(' ').map(str::trim).filter(|label| !label.is_empty()) {
        finding.message.push_str(": ");
        finding.message.push_str(label);
    }
}

/// What a fix takes away and puts in.
#[derive(Default)]
struct Diff<'a> {
    removed: Vec<&'a str>,
    added: Vec<&'a str>,
}

impl<'a> Diff<'a> {
    fn read(lines: Lines<'a>, from: usize) -> (Self, usize) {
        let mut diff = Self::default();
        let mut read = 0;
        while let Some(text) = lines.ahead(from + read).filter(|_| read < LINES_MAX) {
            let body = text.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
            let indent = text.len() - body.len();
            let line = |sign: char| body.strip_prefix(sign).map(|line| line.strip_prefix(' ').unwrap_or(line));
            if indent == 0 {
                break;
            } else if let Some(line) = line('-') {
                diff.removed.push(line);
            } else if let Some(line) = line('+') {
                diff.added.push(line);
            } else if !body.starts_with(['|', ':']) {
                break;
            }
            read += 1;
        }
        (diff, read)
    }

    /// One line changed or some taken away, where the snippet shows which: the diff's own numbers are those after it.
    fn edit(&self, file: &str, shown: &[(u32, &str)]) -> Option<Edit> {
        let first = self.removed.first()?;
        let shows = |(_, source): &&(u32, &str)| source.strip_prefix(' ').is_some_and(|source| source == *first);
        let mut at = shown.iter().filter(shows);
        let (line, _) = at.next()?;
        if at.next().is_some() || self.removed.len() > 1 {
            return None;
        }
        match self.added.as_slice() {
            [] => Some(Edit::DeleteLines { file: file.to_owned(), first: *line, last: *line }),
            [added] => Some(Edit::Substitute {
                file: file.to_owned(),
                line: *line,
                column: None,
                original: (*first).to_owned(),
                replacement: (*added).to_owned(),
            }),
            _ => None,
        }
    }
}
