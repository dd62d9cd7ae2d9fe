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
    /// `...`: lines are left out here.
    Gap,
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
    /// Drawn with `^`.
    pub(super) is_primary: bool,
}

impl<'a> Row<'a> {
    pub(super) const OTHER_FILE: Row<'static> = Row { number: None, kind: RowKind::OtherFile, text: "" };
    const GAP: Row<'static> = Row { number: None, kind: RowKind::Gap, text: "" };

    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let gutter = line.trim_start();
        if line.strip_prefix("...").is_some_and(|rest| rest.bytes().all(|b| matches!(b, b' ' | b'|'))) {
            return Some(Self::GAP);
        }
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

/// Runs of `mark`, leaving out those that end a line drawn from elsewhere (`|_____^`): these are one character long.
fn runs_of(text: &str, mark: char) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut previous = ' ';
    for (at, c) in text.chars().chain([' ']).enumerate() {
        if c == mark {
            if open.is_none() {
                open = Some((at, previous));
            }
        } else if let Some((start, before)) = open.take()
            && (before != '_' || at > start + 1)
        {
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
        // Other spans may be drawn over it.
        let bar = chars.iter().rposition(|c| !matches!(c, '_' | '-' | '^'))?;
        // The line goes down in the column of the bar, one left of the first `_`.
        (chars[bar] == ' ').then_some(bar)
    });
    let bar = match opened_below {
        Some(bar) => bar,
        None => rows[at].text.chars().take(MARGINS[5]).position(|c| c == '/')?,
    };
    let mut number = line;
    let mut source: Option<&Row<'_>> = None;
    let mut after_gap = false;
    for row in &rows[at + 1..] {
        match row.kind {
            RowKind::Source => {
                number = row.number.or_else(|| if after_gap { None } else { number.checked_add(1) })?;
                source = Some(row);
                after_gap = false;
            }
            RowKind::Gap => after_gap = true,
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
                let margin = last_bar(rows).max(bar) + 2;
                let columns = (caret + 1).checked_sub(margin)?;
                let chars = chars_in_width(skip_columns(source.text, margin), columns);
                return Some(End { line: number, column: chars + 1 });
            }
            RowKind::Removed | RowKind::Added | RowKind::Changed | RowKind::OtherFile => return None,
        }
    }
    None
}

/// The rightmost column in which a span of several lines is drawn: each is closed by `|__`.
fn last_bar(rows: &[Row<'_>]) -> usize {
    let marks = rows.iter().filter(|row| row.kind == RowKind::Marks);
    let bars = marks.filter_map(|row| {
        let (before, _) = row.text.split_once('_')?;
        let drawn = before.ends_with('|') && before.bytes().all(|b| matches!(b, b' ' | b'|'));
        drawn.then(|| before.len() - 1)
    });
    bars.max().unwrap_or(0)
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
        let mut runs: Vec<(Run, bool)> = Vec::new();
        for mark in marks_after(own, at) {
            let first = runs.is_empty();
            if first {
                runs = runs_of(mark, '^').into_iter().map(|run| (run, true)).collect();
                runs.extend(runs_of(mark, '-').into_iter().map(|run| (run, false)));
            }
            let Some((text, text_column)) = label_text(mark) else { continue };
            let run = if first {
                runs.iter().max_by_key(|(run, _)| run.end).filter(|(run, _)| run.end <= text_column)
            } else {
                runs.iter().find(|(run, _)| run.start == text_column)
            };
            let Some((run, is_primary)) = run else { continue };
            let start = 1 + chars_in_width(skip_columns(source.text, margin), run.start.saturating_sub(margin));
            let width = chars_under(source.text, margin, *run);
            found.push(Label { line: number, column: start, end_column: start + width, text, is_primary: *is_primary });
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn end(drawing: &str, line: u32, column: u32) -> Option<(u32, u32)> {
        let rows: Vec<Row<'_>> = drawing.lines().map(|line| Row::parse(line).unwrap()).collect();
        end_of_span(&rows, line, column).map(|end| (end.line, end.column))
    }

    #[test]
    fn a_span_ends_below_lines_that_are_left_out() {
        let opened_below = "11 |       let _ = vec![1]\n   |  _____________^\n...  |\n22 | |         .next();\n   | |_______________^\n";
        assert_eq!(end(opened_below, 11, 13), Some((22, 16)));
        let opened_beside =
            "4 | /     let mut v = f();\n... |\n7 | |     v.push(0);\n  | |______________^ help: say `vec!`\n";
        assert_eq!(end(opened_beside, 4, 5), Some((7, 15)));
        let code_begins_as_bars_do = "1 | / //// was a comment\n2 | | fn a() {}\n  | |_^\n";
        assert_eq!(end(code_begins_as_bars_do, 1, 1), Some((2, 2)));
        let hidden_numbers = "LL | /     let mut v = f();\n... |\nLL | |     v.push(0);\n   | |______________^\n";
        assert_eq!(end(hidden_numbers, 4, 5), None, "which line it is was not printed");
    }

    #[test]
    fn a_span_may_start_where_a_longer_one_does() {
        let both = "3 |       all.iter().fold(|x| {\n  |  ________________^^^^-\n5 | |     });\n  | |______- missing\n";
        assert_eq!(end(both, 3, 16), Some((3, 20)));
        let over = "8 |         if stop() {\n  |  __________------_^\n  | |          |\n  | |          told\n9 | |       } else {\n  | |_______^ here\n";
        assert_eq!(end(over, 8, 19), Some((9, 8)));
    }
}
