//! Positions as compilers and runtimes write them, and names in quotes.

use crate::Diagnostic;

/// A file and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) column: Option<u32>,
}

impl<'a> Place<'a> {
    /// `file:12` or `file:12:34`, and nothing else.
    pub(super) fn colons(text: &'a str) -> Option<Self> {
        let (rest, last) = text.rsplit_once(':')?;
        let last = number(last)?;
        if let Some((file, line)) = rest.rsplit_once(':')
            && let Some(line) = number(line)
            && !file.is_empty()
        {
            return Some(Self { file, line, column: Some(last) });
        }
        (!rest.is_empty()).then_some(Self { file: rest, line: last, column: None })
    }

    /// `file(12,34)`, and nothing else.
    pub(super) fn brackets(text: &'a str) -> Option<Self> {
        let (file, inside) = text.strip_suffix(')')?.rsplit_once('(')?;
        let (line, column) = inside.split_once(',')?;
        (!file.is_empty()).then_some(Self { file, line: number(line)?, column: Some(number(column)?) })
    }

    /// `file:12:34: text`, where the file's name ends with `extension`.
    pub(super) fn before_text(line: &'a str, extension: &str) -> Option<(Self, &'a str)> {
        let at = line.match_indices(extension).map(|(at, _)| at + extension.len()).find(|&end| {
            line[end..].strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })?;
        let rest = &line[at + 1..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let row = number(&rest[..digits])?;
        let rest = rest[digits..].strip_prefix(':')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (column, text) = match (number(&rest[..digits]), rest[digits..].strip_prefix(':')) {
            (Some(column), Some(text)) => (Some(column), text),
            (Some(_) | None, _) => (None, rest),
        };
        Some((Self { file: &line[..at], line: row, column }, text))
    }

    /// A finding there, of which nothing else is known yet.
    pub(super) fn diagnostic(&self) -> Diagnostic {
        Diagnostic {
            file: Some(self.file.to_owned()),
            line: Some(self.line),
            column: self.column,
            ..Diagnostic::default()
        }
    }
}

/// Only digits: `parse` would take a sign.
pub(super) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What stands between 'straight' quotes, one after another.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('\'').skip(1).step_by(2)
}

/// The column and the width of `^^^^^` alone on a line.
pub(super) fn marks(line: &str) -> Option<(u32, u32)> {
    let text = line.trim();
    let only_marks = text.starts_with('^') && text.bytes().all(|b| matches!(b, b'^' | b'~'));
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let column = u32::try_from(indent).ok()?.checked_add(1)?;
    only_marks.then(|| Some((column, u32::try_from(text.len()).ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_only_where_they_are_whole() {
        assert_eq!(Place::colons("a.ts:1:2"), Some(Place { file: "a.ts", line: 1, column: Some(2) }));
        assert_eq!(Place::colons("C:\\a.ts:1"), Some(Place { file: "C:\\a.ts", line: 1, column: None }));
        assert_eq!(Place::brackets("a(1).ts(3,4)"), Some(Place { file: "a(1).ts", line: 3, column: Some(4) }));
        assert_eq!(Place::colons("a.ts:+1"), None);
        assert_eq!(
            Place::before_text("./x.go:12:5: bad: 1:2", ".go"),
            Some((Place { file: "./x.go", line: 12, column: Some(5) }, " bad: 1:2"))
        );
        assert_eq!(
            Place::before_text("x.java:7: error: bad", ".java"),
            Some((Place { file: "x.java", line: 7, column: None }, " error: bad"))
        );
    }
}
