//! `file.py:12:5: rest`, the form that Python's checkers share.

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) column: Option<u32>,
    /// `12:5:13:9`
    pub(super) end: Option<(u32, u32)>,
}

impl<'a> Position<'a> {
    /// Cuts the position off a line's front; what follows `: ` is left.
    pub(super) fn cut(text: &'a str) -> Option<(Self, &'a str)> {
        let mut from = 0;
        loop {
            let colon = from + text.get(from..)?.find(':')?;
            if colon > 0
                && let Some((numbers, rest)) = numbers(&text[colon + 1..])
            {
                let [line, column, end_line, end_column] = numbers;
                let file = &text[..colon];
                let end = end_line.zip(end_column);
                return Some((Self { file, line: line?, column, end }, rest));
            }
            from = colon + 1;
        }
    }

    /// Whether Python itself could be in the file.
    pub(super) fn is_python(&self) -> bool {
        [".py", ".pyi", ".ipynb", ".pyx", ".pyw"].iter().any(|extension| self.file.ends_with(extension))
    }
}

/// Up to four numbers, each with a colon behind it, then a blank or the line's end.
fn numbers(mut text: &str) -> Option<([Option<u32>; 4], &str)> {
    let mut found = [None; 4];
    for number in &mut found {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let Some(rest) = text[digits..].strip_prefix(':').filter(|_| digits > 0) else { break };
        *number = Some(text[..digits].parse().ok()?);
        text = rest;
    }
    found[0]?;
    text.is_empty().then_some((found, "")).or_else(|| Some((found, text.strip_prefix(' ')?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_to_four_numbers() {
        let (at, rest) = Position::cut("C:\\a b.py:3:1:4:9: error: x").unwrap();
        assert_eq!((at.file, at.line, at.column, at.end, rest), ("C:\\a b.py", 3, Some(1), Some((4, 9)), "error: x"));
        assert_eq!(Position::cut("a.py:3: x").unwrap().0.column, None);
        assert_eq!(Position::cut("a.py: x"), None);
        assert_eq!(Position::cut("12:30:01 x"), None);
    }
}
