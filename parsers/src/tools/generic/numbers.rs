//! The numbers of a place: `:3`, `:3:5`, `:3:5-9`, `:3.5-4.7`, `(3,5)`, `[3, 5]`, `: (3, 5)`, `: 3:`.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) line: u32,
    pub(super) column: Option<u32>,
    pub(super) end_line: Option<u32>,
    /// Exclusive.
    pub(super) end_column: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Colon,
    Bracket,
}

const NUMBERS_MAX: usize = 4;

/// The numbers that `text` starts with behind their opening, and what follows them.
pub(super) fn after(text: &str) -> Option<(Numbers, &str, Style)> {
    for (open, close) in
        [(":[", "]"), (": (", ")"), (":(", ")"), (" (", ")"), ("(", ")"), ("[", "]"), (":", ""), (": ", "")]
    {
        let Some(rest) = text.strip_prefix(open) else { continue };
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let (numbers, count, rest) = sequence(rest)?;
        if close.is_empty() {
            // `name: 3` needs a colon after it; `name:3` any end.
            let ended = rest.is_empty() || rest.starts_with([':', ' ', '\t', ',', ']']);
            return (ended && (open == ":" || rest.starts_with(':'))).then_some((numbers, rest, Style::Colon));
        }
        let rest = rest.strip_prefix(close)?;
        // GHC's spans of several lines: `:(3,5)-(4,9): `
        if let Some((end, _, tail)) = rest.strip_prefix("-(").and_then(sequence)
            && let Some(tail) = tail.strip_prefix(')')
        {
            let end_column = end.column.and_then(|column| column.checked_add(1));
            return Some((
                Numbers { end_line: Some(end.line), end_column, ..numbers },
                keep_close(text, tail),
                Style::Bracket,
            ));
        }
        // `name (3)` is a count as often as a line; `name (3): error` is not.
        return (open != " (" || count > 1 || rest.starts_with(": ")).then_some((
            numbers,
            keep_close(text, rest),
            Style::Bracket,
        ));
    }
    None
}

/// ` 15: message`, behind a severity and a name.
pub(super) fn after_blank(text: &str) -> Option<(Numbers, &str, Style)> {
    let rest = text.strip_prefix(' ').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let (numbers, _, rest) = sequence(rest)?;
    rest.starts_with(": ").then_some((numbers, rest, Style::Bracket))
}

/// `,8  message`, behind a quoted name.
pub(super) fn after_comma(text: &str) -> Option<(Numbers, &str, Style)> {
    let rest = text.strip_prefix(',').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let (numbers, _, rest) = sequence(rest)?;
    Some((numbers, rest, Style::Bracket))
}

/// The rest with its closing bracket, which separates the message from the place.
fn keep_close<'a>(text: &'a str, rest: &'a str) -> &'a str {
    &text[text.len() - rest.len() - 1..]
}

/// The number that `text` starts with.
pub(super) fn leading(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

fn sequence(text: &str) -> Option<(Numbers, usize, &str)> {
    let mut values = [0u32; NUMBERS_MAX];
    let mut separators = [' '; NUMBERS_MAX];
    let (mut rest, mut count) = (text, 0);
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        values[count] = rest[..digits].parse().ok()?;
        count += 1;
        rest = &rest[digits..];
        let Some(separator) = rest.chars().next().filter(|c| matches!(c, ':' | '.' | ',' | '-')) else { break };
        let next = rest[1..].trim_start_matches(|c| c == ' ' && separator == ',');
        if count == NUMBERS_MAX || !next.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
        // `a.pp:3:80chars:WARNING:message` goes on with the name of a rule.
        let word = next.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = word.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        if word.starts_with(|c: char| c.is_alphabetic()) && word.len() - name.len() > 2 && name.starts_with(':') {
            break;
        }
        separators[count] = separator;
        rest = next;
    }
    let [line, second, third, fourth] = values;
    let inclusive = |column: u32| column.checked_add(1);
    let mut numbers = Numbers { line, column: None, end_line: None, end_column: None };
    match (count, separators[1], separators[2], separators[3]) {
        (1, ..) => {}
        (2, '-', ..) => numbers.end_line = Some(second),
        (2, ..) => numbers.column = Some(second),
        (3, '-', '.', _) => (numbers.end_line, numbers.end_column) = (Some(second), inclusive(third)),
        (3, '-', ..) => numbers.end_line = Some(second),
        (3, _, '-', _) => (numbers.column, numbers.end_column) = (Some(second), inclusive(third)),
        (3, ..) => numbers.column = Some(second),
        (_, '-', _, _) => {
            // `3-4:5-6` is rare and told in two ways.
            numbers.end_line = Some(second);
        }
        (_, _, '-', _) => {
            (numbers.column, numbers.end_line, numbers.end_column) = (Some(second), Some(third), inclusive(fourth));
        }
        _ => (numbers.column, numbers.end_line, numbers.end_column) = (Some(second), Some(third), Some(fourth)),
    }
    (line > 0 || count > 1).then_some((numbers, count, rest))
}
