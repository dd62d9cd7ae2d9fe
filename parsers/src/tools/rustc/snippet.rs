//! The drawing under ` --> file:line:column`: where a span ends and which label belongs to which span.

use super::super::columns::{chars_in_width, width_of_chars};

/// One row of a drawn snippet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// As printed in the gutter; `None` for rows without one and for `LL`.
    pub(super) number: Option<u32>,
    pub(super) kind: RowKind,
    /// What stands after the gutter and one blank.
    pub(super) text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    Source,
    /// Carets, bars and labels.
    Marks,
    /// `6 - old`, `6 + new`, `6 ~ changed`.
    Removed,
    Added,
    Changed,
    OtherFile,
}

pub(super) struct End {
    pub(super) line: u32,
    pub(super) column: u32,
}

pub(super) struct Label<'a> {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_column: u32,
    pub(super) text: &'a str,
}

impl<'a> Row<'a> {
    pub(super) const OTHER_FILE: Row<'static> = Row { number: None, kind: RowKind::OtherFile, text: "" };

    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let gutter = line.trim_start();
        let digits = gutter.bytes().take_while(u8::is_ascii_digit).count();
        let (number, numbered, rest) = match digits {
            0 if gutter.starts_with("LL") => (None, true, &gutter[2..]),
            0 => (None, false, gutter),
            _ => (Some(gutter[..digits].parse().ok()?), true, &gutter[digits..]),
        };
        if numbered && !rest.starts_with(' ') {
            return None;
        }
        let rest = rest.trim_start();
        let mark = rest.chars().next()?;
        let body = &rest[mark.len_utf8()..];
        let text = match body.strip_prefix(' ') {
            Some(text) => text,
            None if body.is_empty() => body,
            None => return None,
        };
        let kind = match (mark, numbered) {
            ('|', true) => RowKind::Source,
            ('|', false) => RowKind::Marks,
            ('-', true) => RowKind::Removed,
            ('+', true) => RowKind::Added,
            ('~', true) => RowKind::Changed,
            _ => return None,
        };
        Some(Self { number, kind, text })
    }
}

/// A run of `^` (or `-`) under a source row, in columns of the drawing, 0-based, end exclusive.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
}

/// Where the span that starts at `line:column` ends, read from its carets.
pub(super) fn end_of_span(rows: &[Row<'_>], line: u32, column: u32) -> Option<End> {
    let own = own_file(rows);
    for (at, source) in own.iter().enumerate().filter(|(_, row)| is_line(row, line)) {
        let marks: Vec<&str> = marks_after(own, at).collect();
        if let Some((run, margin)) = single_line_run(source, &marks, column) {
            let width = chars_under(source.text, margin, run);
            return Some(End { line, column: column + width });
        }
        if let Some(end) = multi_line_end(own, at, &marks, line) {
            return Some(end);
        }
    }
    None
}

fn own_file<'r, 'a>(rows: &'r [Row<'a>]) -> &'r [Row<'a>] {
    let end = rows.iter().position(|row| row.kind == RowKind::OtherFile).unwrap_or(rows.len());
    &rows[..end]
}

fn is_line(row: &Row<'_>, line: u32) -> bool {
    row.kind == RowKind::Source && row.number.is_none_or(|number| number == line)
}

fn marks_after<'r, 'a>(rows: &'r [Row<'a>], at: usize) -> impl Iterator<Item = &'a str> + 'r {
    rows[at + 1..].iter().take_while(|row| row.kind == RowKind::Marks).map(|row| row.text)
}

/// Blanks drawn before the source where spans of several lines stand on its left: none, or one a span and one more.
const MARGINS: [usize; 6] = [0, 2, 3, 4, 5, 6];

/// The caret run that starts at `column` and the margin it implies.
fn single_line_run(source: &Row<'_>, marks: &[&str], column: u32) -> Option<(Run, usize)> {
    let before = (column as usize).checked_sub(1)?;
    let runs: Vec<Run> = marks.iter().flat_map(|mark| runs_of_primary(mark)).collect();
    for margin in MARGINS {
        let start = margin + width_of_chars(skip_columns(source.text, margin), before);
        if let Some(run) = runs.iter().find(|run| run.start == start) {
            return Some((*run, margin));
        }
    }
    // Tabs are drawn as blanks but count as one column, so the start may lie elsewhere: a single run is it anyway.
    match runs.as_slice() {
        [run] if source.text.starts_with("    ") => Some((*run, 0)),
        _ => None,
    }
}

/// Runs of `^`, with the `-` of spans drawn over them: `^^^---^`, `----^`.
fn runs_of_primary(text: &str) -> Vec<Run> {
    let carets = runs_of(text, '^');
    let mut runs: Vec<Run> = Vec::new();
    for run in carets {
        let dashes_before = text.chars().take(run.start).collect::<Vec<_>>();
        let covered = dashes_before.iter().rev().take_while(|c| **c == '-').count();
        let start = run.start - covered;
        match runs.last_mut() {
            Some(last) if covered > 0 && last.end == start => last.end = run.end,
            _ => {
                // Where the dashes are a span of their own beside it, the carets' own start counts.
                if covered > 0 {
                    runs.push(Run { start, end: run.end });
                }
                runs.push(run);
            }
        }
    }
    runs
}

/// Runs of `mark`, leaving out those that end a line drawn from elsewhere (`|_____^`).
fn runs_of(text: &str, mark: char) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut open: Option<usize> = None;
    let mut previous = ' ';
    for (at, c) in text.chars().chain([' ']).enumerate() {
        if c == mark {
            if open.is_none() && previous != '_' {
                open = Some(at);
            }
        } else if let Some(start) = open.take() {
            runs.push(Run { start, end: at });
        }
        // A label's text may hold carets; marks come first.
        if !matches!(c, ' ' | '|' | '^' | '-' | '_' | '/' | '~' | '+') {
            break;
        }
        previous = c;
    }
    runs
}

/// The span begins at `at` and is closed further down by `|____^` in the same column.
fn multi_line_end(rows: &[Row<'_>], at: usize, marks: &[&str], line: u32) -> Option<End> {
    // Either `____^` under its first line, or `/` before the first line's text.
    let opened_below = marks.iter().find_map(|mark| {
        let end = mark.find("_^")?;
        let chars: Vec<char> = mark[..=end].chars().collect();
        let bar = chars.iter().rposition(|c| *c != '_')?;
        // The line goes down in the column of the bar, one left of the first `_`.
        (chars[bar] == ' ').then_some(bar)
    });
    let bar = match opened_below {
        Some(bar) => bar,
        None => rows[at].text.chars().take(MARGINS[5]).position(|c| c == '/')?,
    };
    let mut number = line;
    let mut source: Option<&Row<'_>> = None;
    for row in &rows[at + 1..] {
        match row.kind {
            RowKind::Source => {
                number = row.number.unwrap_or(number + 1);
                source = Some(row);
            }
            RowKind::Marks => {
                let chars: Vec<char> = row.text.chars().collect();
                if chars.get(bar) != Some(&'|') || chars.get(bar + 1) != Some(&'_') {
                    continue;
                }
                let underscores = chars[bar + 1..].iter().take_while(|c| **c == '_').count();
                let caret = bar + 1 + underscores;
                if chars.get(caret) != Some(&'^') {
                    continue;
                }
                let source = source?;
                let margin = source.text.chars().take_while(|c| matches!(c, ' ' | '|' | '/')).count();
                // The margin is one column a drawn span and a blank; what is blank beyond it is indentation.
                let drawn = source.text.chars().take(margin).collect::<Vec<_>>();
                let last_bar = drawn.iter().rposition(|c| matches!(c, '|' | '/')).unwrap_or(bar);
                let margin = last_bar.max(bar) + 2;
                let columns = (caret + 1).checked_sub(margin)?;
                let chars = chars_in_width(skip_columns(source.text, margin), columns);
                return Some(End { line: number, column: chars + 1 });
            }
            RowKind::Removed | RowKind::Added | RowKind::Changed | RowKind::OtherFile => return None,
        }
    }
    None
}

/// Labels in reading order, each with the span it belongs to.
pub(super) fn labels<'a>(rows: &[Row<'a>], line: u32, column: u32) -> Vec<Label<'a>> {
    let own = own_file(rows);
    let margin = own
        .iter()
        .enumerate()
        .filter(|(_, row)| is_line(row, line))
        .find_map(|(at, source)| {
            let marks: Vec<&str> = marks_after(own, at).collect();
            single_line_run(source, &marks, column).map(|(_, margin)| margin)
        })
        .unwrap_or(0);
    let mut found = Vec::new();
    for (at, source) in own.iter().enumerate().filter(|(_, row)| row.kind == RowKind::Source) {
        // `LL` hides the number; then only the first row's is known.
        let Some(number) = source.number.or(if at == 0 { Some(line) } else { None }) else { continue };
        let mut runs: Vec<Run> = Vec::new();
        for mark in marks_after(own, at) {
            let first = runs.is_empty();
            if first {
                runs = runs_of(mark, '^');
                runs.extend(runs_of(mark, '-'));
            }
            let Some((text, text_column)) = label_text(mark) else { continue };
            let run = if first {
                runs.iter().max_by_key(|run| run.end).filter(|run| run.end <= text_column)
            } else {
                runs.iter().find(|run| run.start == text_column)
            };
            let Some(run) = run else { continue };
            let start = 1 + chars_in_width(skip_columns(source.text, margin), run.start.saturating_sub(margin));
            let width = chars_under(source.text, margin, *run);
            found.push(Label { line: number, column: start, end_column: start + width, text });
        }
    }
    found
}

/// The text of a row of marks and the column it starts at.
fn label_text(mark: &str) -> Option<(&str, usize)> {
    mark.char_indices()
        .enumerate()
        .find(|(_, (_, c))| !matches!(c, ' ' | '|' | '^' | '-' | '_' | '/'))
        .map(|(column, (at, _))| (mark[at..].trim_end(), column))
}

fn skip_columns(text: &str, columns: usize) -> &str {
    text.char_indices().nth(columns).map_or("", |(at, _)| &text[at..])
}

/// Characters of the source that stand above `run`.
fn chars_under(source: &str, margin: usize, run: Run) -> u32 {
    let body = skip_columns(source, margin);
    let before = chars_in_width(body, run.start.saturating_sub(margin));
    let until = chars_in_width(body, run.end.saturating_sub(margin));
    until.saturating_sub(before)
}
