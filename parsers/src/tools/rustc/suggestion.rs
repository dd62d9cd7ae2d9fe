//! Edits that rustc's text states exactly: one-line labels with code, inserted text marked `+++`, and diff rows.

use super::snippet::{Label, Row, RowKind};
use super::{Place, Section};
use crate::{Applicability, Edit, Suggestion};

/// `help: use this instead: \`code\`` beside a span replaces the span.
pub(super) fn from_label(help: &str, file: &str, label: &Label<'_>) -> Option<Suggestion> {
    let (message, replacement) = match help.split_once(": `") {
        Some((message, code)) => (message, code.strip_suffix('`')?),
        // Without code rustc shows a removal only by its words.
        None if help.starts_with("remove ") => (help, ""),
        None => return None,
    };
    Some(Suggestion {
        message: message.to_owned(),
        applicability: applicability(replacement),
        edits: vec![Edit::Replace {
            file: file.to_owned(),
            line: label.line,
            column: label.column,
            end_line: label.line,
            end_column: label.end_column,
            replacement: replacement.to_owned(),
        }],
    })
}

/// A `help:` with a drawn patch. The patch is of the primary span's file unless an arrow names another.
pub(super) fn from_section(section: &Section<'_>, primary: Option<Place<'_>>) -> Option<Suggestion> {
    let file = section.place.or(primary)?.file;
    let rows = &section.rows;
    let mut edits = Vec::new();
    let mut at = 0;
    while let Some(row) = rows.get(at) {
        match row.kind {
            RowKind::Source => {
                if let Some(marks) = rows.get(at + 1).filter(|next| next.kind == RowKind::Marks)
                    && marks.text.contains('+')
                {
                    edits.extend(insertions(file, row.number?, row.text, marks.text)?);
                }
            }
            RowKind::Removed => {
                let removed = run_of(rows, at, RowKind::Removed);
                let added = run_of(rows, at + removed.len(), RowKind::Added);
                edits.push(replaced_lines(file, removed, added)?);
                at += removed.len() + added.len();
                continue;
            }
            RowKind::Added => {
                let added = run_of(rows, at, RowKind::Added);
                let line = row.number?;
                let text: String = added.iter().flat_map(|row| [row.text, "\n"]).collect();
                edits.push(Edit::Replace {
                    file: file.to_owned(),
                    line,
                    column: 1,
                    end_line: line,
                    end_column: 1,
                    replacement: text,
                });
                at += added.len();
                continue;
            }
            // What a `~` row replaces is not shown, and elided rows are not exact.
            RowKind::Changed | RowKind::OtherFile => return None,
            RowKind::Marks if row.text.contains('~') => return None,
            RowKind::Gap if is_beside_edit(rows, at) => return None,
            RowKind::Marks | RowKind::Gap => {}
        }
        at += 1;
    }
    (!edits.is_empty()).then(|| Suggestion {
        message: section.message.to_owned(),
        applicability: if rows.iter().any(|row| applicability(row.text) == Applicability::HasPlaceholders) {
            Applicability::HasPlaceholders
        } else {
            Applicability::Unspecified
        },
        edits,
    })
}

/// Whether rows of a patch may be among those left out.
fn is_beside_edit(rows: &[Row<'_>], gap: usize) -> bool {
    let before = gap.checked_sub(1).and_then(|at| rows.get(at));
    let edit = |row: &Row<'_>| matches!(row.kind, RowKind::Removed | RowKind::Added);
    before.is_some_and(edit) || rows.get(gap + 1).is_some_and(edit)
}

/// The text form does not print it, but what a person must fill in shows.
fn applicability(code: &str) -> Applicability {
    if code.contains("/* ") { Applicability::HasPlaceholders } else { Applicability::Unspecified }
}

fn run_of<'r, 'a>(rows: &'r [Row<'a>], at: usize, kind: RowKind) -> &'r [Row<'a>] {
    let rows = &rows[at..];
    &rows[..rows.iter().take_while(|row| row.kind == kind).count()]
}

/// Each run of `+` marks what was inserted into the shown line, without the blanks at its ends: of `mut order` under
/// `+++` nobody can tell whether the blank is new, so a run beside a blank is no exact edit.
fn insertions(file: &str, line: u32, shown: &str, marks: &str) -> Option<Vec<Edit>> {
    let shown: Vec<char> = shown.chars().collect();
    let marks: Vec<char> = marks.chars().collect();
    let mut edits = Vec::new();
    let mut inserted = 0;
    let mut at = 0;
    while at < marks.len() {
        if marks[at] != '+' {
            at += 1;
            continue;
        }
        let length = marks[at..].iter().take_while(|c| **c == '+').count();
        let indented = shown.iter().take(at).all(|c| c.is_whitespace());
        let blank_before = !indented && shown.get(at.wrapping_sub(1)).is_some_and(|c| c.is_whitespace());
        if blank_before || shown.get(at + length).is_some_and(|c| c.is_whitespace()) {
            return None;
        }
        let replacement: String = shown.get(at..(at + length).min(shown.len()))?.iter().collect();
        let column = u32::try_from(at - inserted + 1).ok()?;
        edits.push(Edit::Replace {
            file: file.to_owned(),
            line,
            column,
            end_line: line,
            end_column: column,
            replacement,
        });
        inserted += length;
        at += length;
    }
    Some(edits)
}

/// `6 - old` and `6 + new`: the smallest span that differs; whole lines where lines only go.
fn replaced_lines(file: &str, removed: &[Row<'_>], added: &[Row<'_>]) -> Option<Edit> {
    let (first, last) = (removed.first()?.number?, removed.last()?.number?);
    match (removed, added) {
        (_, []) => Some(Edit::DeleteLines { file: file.to_owned(), first, last }),
        ([old], [new]) => {
            let old: Vec<char> = old.text.chars().collect();
            let new: Vec<char> = new.text.chars().collect();
            let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
            let shorter = old.len().min(new.len()) - same_start;
            let same_end = old.iter().rev().zip(new.iter().rev()).take(shorter).take_while(|(a, b)| a == b).count();
            Some(Edit::Replace {
                file: file.to_owned(),
                line: first,
                column: u32::try_from(same_start + 1).ok()?,
                end_line: first,
                end_column: u32::try_from(old.len() - same_end + 1).ok()?,
                replacement: new[same_start..new.len() - same_end].iter().collect(),
            })
        }
        _ => Some(Edit::Replace {
            file: file.to_owned(),
            line: first,
            column: 1,
            end_line: last + 1,
            end_column: 1,
            replacement: added.iter().flat_map(|row| [row.text, "\n"]).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_beside_a_blank_is_not_exact() {
        assert_eq!(insertions("a.rs", 3, "    let mut order = 1;", "        +++"), None);
        assert_eq!(insertions("a.rs", 3, "fn f<T: A + Copy>() {}", "          ++++++"), None);
    }

    #[test]
    fn an_insertion_between_other_characters_is() {
        let edits = insertions("a.rs", 3, "    &value", "    +").expect("exact");
        assert!(matches!(&edits[..], [Edit::Replace { column: 5, replacement, .. }] if replacement == "&"));
    }
}
