//! Findings of several lines whose message and place each have a line of their own, in the ways of jikes, Sun's Pascal,
//! rebar3, Sass, LaTeX, awk, jison and Cray's compilers.

use super::numbers::Numbers;
use super::{Found, path, severity};
use crate::Severity;
use crate::window::Lines;

type Read<'a> = Option<(Found<'a>, usize)>;

pub(super) fn read(lines: Lines<'_>) -> Read<'_> {
    const FORMS: &[for<'a> fn(Lines<'a>) -> Read<'a>] =
        &[awk, cray, jikes, pascal, rebar, sass, latex, jison, snakemake, slim, r_parse];
    FORMS.iter().find_map(|form| form(lines))
}

fn place(line: u32, column: Option<u32>) -> Numbers {
    Numbers { line, column, end_line: None, end_column: None }
}

fn digits(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

fn column(bytes: usize) -> Option<u32> {
    u32::try_from(bytes).ok()?.checked_add(1)
}

/// `gawk: a.awk:2: x=|`, then `gawk: a.awk:2:   ^ syntax error`
fn awk(lines: Lines<'_>) -> Read<'_> {
    let line = lines.first();
    let (program, rest) = line.split_once(": ")?;
    if !program.rsplit('/').next()?.ends_with("awk") {
        return None;
    }
    let (head, _) = rest.split_once(": ")?;
    let (file, number) = head.rsplit_once(':')?;
    let (number, "") = digits(number)? else { return None };
    let marked = |line: &str| line.get(program.len() + 2 + head.len() + 2..)?.find('^').map(|at| (at, ()));
    let of = |n: usize| {
        lines
            .ahead(n)
            .filter(|next| next.get(..program.len() + 2 + head.len()) == line.get(..program.len() + 2 + head.len()))
    };
    let (row, n) = [0, 1].iter().find_map(|n| {
        let row = of(*n)?;
        row.get(program.len() + 2 + head.len() + 2..)?.trim_start().starts_with('^').then_some((row, *n))
    })?;
    let (at, ()) = marked(row)?;
    let message = row.get(program.len() + 2 + head.len() + 2 + at + 1..)?.trim();
    // Where the code is not above, the caret marks nothing.
    let column = if n == 1 { column(at) } else { None };
    Some((Found { file, numbers: place(number, column), severity: None, message, code: None }, n + 1))
}

/// `cc-1020 CC: REMARK File = a.h, Line = 735`, the message indented below.
fn cray(lines: Lines<'_>) -> Read<'_> {
    let (head, rest) = lines.first().split_once("File = ")?;
    let (file, rest) = rest.split_once(", Line = ")?;
    let (line, rest) = digits(rest)?;
    let column = rest.strip_prefix(", Column = ").and_then(digits).map(|(column, _)| column);
    let (code, said) = head.split_once(' ')?;
    let coded = code.split_once('-').is_some_and(|(name, number)| {
        name.bytes().all(|b| b.is_ascii_alphanumeric()) && digits(number).is_some_and(|(_, rest)| rest.is_empty())
    });
    let severity =
        said.split([':', ' ', ',']).find_map(|word| severity::cut(word).severity.filter(|_| word.len() > 3))?;
    let below = lines.ahead(1).filter(|next| next.starts_with("  ") && !next.trim().is_empty()).map(str::trim);
    (coded && path::kind(file) == path::Kind::File).then_some((
        Found {
            file,
            numbers: place(line, column),
            severity: Some(severity),
            message: below.unwrap_or(head.trim()),
            code: Some(code),
        },
        1 + usize::from(below.is_some()),
    ))
}

/// The code behind its number, marks below it, `*** Error: message`; the file's name stands above them all.
fn jikes(lines: Lines<'_>) -> Read<'_> {
    let (word, message) = lines.first().strip_prefix("*** ")?.split_once(": ")?;
    let severity = severity::only(word.strip_prefix("Semantic ").unwrap_or(word))??;
    let marks = lines.back(1)?.trim();
    if !(marks.starts_with(['^', '<']) && marks.bytes().all(|b| matches!(b, b'^' | b'<' | b'>' | b'-'))) {
        return None;
    }
    let (line, rest) = digits(lines.back(2)?.trim_start())?;
    rest.starts_with('.').then_some(())?;
    let file = (3..=Lines::BACK_MAX).map_while(|n| lines.back(n)).find_map(|above| {
        let (head, name) = above.split_once(" compiling \"")?;
        (head.starts_with("Found ") || head.starts_with("Issued ")).then(|| name.strip_suffix("\":"))?
    });
    let numbers = place(line, None);
    Some((Found { file: file.unwrap_or(""), numbers, severity: Some(severity), message, code: None }, 1))
}

/// `E 18520 line 61 -  0 is undefined`, below `Thu May 14 10:46:12 1992  a.p:`
fn pascal(lines: Lines<'_>) -> Read<'_> {
    let (letter, rest) = lines.first().split_once(' ')?;
    let severity = match letter {
        "E" | "e" => Severity::Error,
        "w" | "W" => Severity::Warning,
        _ => return None,
    };
    let (code, rest) = rest.trim_start().split_once(" line ")?;
    let (line, rest) = digits(rest)?;
    let message = rest.strip_prefix(" - ")?.trim_start();
    let file = (1..=Lines::BACK_MAX).map_while(|n| lines.back(n)).find_map(|above| {
        let (date, name) = above.strip_suffix(':')?.rsplit_once("  ")?;
        (date.matches(':').count() == 2 && path::kind(name) == path::Kind::File).then_some(name)
    });
    code.bytes().all(|b| b.is_ascii_digit()).then_some((
        Found {
            file: file.unwrap_or(""),
            numbers: place(line, None),
            severity: Some(severity),
            message,
            code: Some(code),
        },
        1,
    ))
}

/// rebar3's `┌─ src/a.erl:`, the code behind ` 7 │`, the message behind `╰──`.
fn rebar(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 5;
    let file = lines.first().trim().strip_prefix("┌─ ")?.strip_suffix(':')?;
    (path::kind(file) == path::Kind::File).then_some(())?;
    let (line, at) = (1..=BELOW_MAX).find_map(|n| {
        let (number, _) = lines.ahead(n)?.split_once('│')?;
        Some((number.trim().parse().ok()?, n))
    })?;
    let (row, at) = (at + 1..=at + 2).find_map(|n| Some((lines.ahead(n)?.split_once('│')?.1, n)))?;
    let (indent, message) = row.split_once("╰── ")?;
    // Two blanks stand before the code.
    let column = column(indent.chars().count().checked_sub(2)?);
    Some((Found { file, numbers: place(line, column), severity: None, message, code: None }, at + 1))
}

/// Sass: `Error: message`, a drawing, then `  a.scss 3:20  root stylesheet`.
fn sass(lines: Lines<'_>) -> Read<'_> {
    const ABOVE_MAX: usize = 30;
    let text = lines.first().strip_suffix("root stylesheet")?.trim();
    let (file, at) = text.rsplit_once(' ')?;
    let (line, rest) = digits(at)?;
    let (column, "") = digits(rest.strip_prefix(':')?)? else { return None };
    let (severity, code, message) = (1..=ABOVE_MAX).map_while(|n| lines.back(n)).find_map(|above| {
        if let Some(message) = above.strip_prefix("Error: ") {
            return Some((Severity::Error, None, message));
        }
        let rest = above.strip_prefix("DEPRECATION ").unwrap_or(above).strip_prefix("WARNING")?;
        let (code, message) = rest.split_once(": ")?;
        let code = code.strip_prefix(" [").and_then(|code| code.strip_suffix(']'));
        Some((Severity::Warning, code, message))
    })?;
    Some((Found { file, numbers: place(line, Some(column)), severity: Some(severity), message, code }, 1))
}

/// `! LaTeX Error: message`, then `l.12 \begin{x}` some lines below.
fn latex(lines: Lines<'_>) -> Read<'_> {
    const BELOW_MAX: usize = 14;
    let text = lines.first().strip_prefix("! ")?;
    let (severity, message) = match text.split_once(" Error: ") {
        Some((_, message)) => (Some(Severity::Error), message),
        None => (None, text),
    };
    (1..=BELOW_MAX)
        .map_while(|n| Some((lines.ahead(n)?, n)))
        .take_while(|(below, _)| !below.starts_with("! "))
        .find_map(|(below, n)| {
            let (line, rest) = digits(below.strip_prefix("l.")?)?;
            (rest.is_empty() || rest.starts_with(' '))
                .then_some((Found { file: "", numbers: place(line, None), severity, message, code: None }, n + 1))
        })
}

/// `Error: Parse error on line 2:`, the text, a caret, then `Expecting 'ID', got 'INVALID'`; jsonlint also tells the
/// column, and above it the file.
fn jison(lines: Lines<'_>) -> Read<'_> {
    let (head, rest) = lines.first().split_once("arse error on line ")?;
    let (line, rest) = digits(rest)?;
    let (column, rest) = match rest.strip_prefix(", column ").and_then(digits) {
        Some((column, rest)) => (Some(column), rest),
        None => (None, rest),
    };
    let said = rest == ":" && head.ends_with(['P', 'p']) && head.len() <= "Uncaught Error: P".len();
    let marks = lines.ahead(2)?;
    let marked = marks.ends_with('^') && marks.bytes().all(|b| matches!(b, b'-' | b'.' | b'^'));
    let message = lines.ahead(3).filter(|_| said && marked).map(str::trim).filter(|text| !text.is_empty())?;
    let file = lines.back(1).and_then(|above| above.strip_prefix("File: ")).unwrap_or("");
    Some((Found { file, numbers: place(line, column), severity: Some(Severity::Error), message, code: None }, 4))
}

/// `KeyError in file Snakefile, line 5:`, the message below.
fn snakemake(lines: Lines<'_>) -> Read<'_> {
    let (name, rest) = lines.first().split_once(" in file ")?;
    let (file, rest) = rest.split_once(", line ")?;
    let (line, ":") = digits(rest)? else { return None };
    let error = name.split(' ').next()?.ends_with("Error");
    let message = lines.ahead(1).map(str::trim).filter(|text| !text.is_empty())?;
    let file = file.trim_matches('"');
    (error && path::kind(file) != path::Kind::NoFile).then_some((
        Found { file, numbers: place(line, None), severity: Some(Severity::Error), message, code: None },
        2,
    ))
}

/// Slim's `Slim::Parser::SyntaxError: message`, then `  a.slim, Line 2, Column 1`.
fn slim(lines: Lines<'_>) -> Read<'_> {
    let (file, rest) = lines.first().trim().split_once(", Line ")?;
    let (line, rest) = digits(rest)?;
    let (column, "") = digits(rest.strip_prefix(", Column ")?)? else { return None };
    let (name, message) = lines.back(1)?.split_once("Error: ")?;
    let numbers = place(line, Some(column));
    (!name.contains(' ') && path::kind(file) != path::Kind::NoFile)
        .then_some((Found { file, numbers, severity: Some(Severity::Error), message, code: None }, 1))
}

/// R's `Error in parse(…) : `, then `  a.R:8:0: message`.
fn r_parse(lines: Lines<'_>) -> Read<'_> {
    if !lines.first().starts_with("  ") {
        return None;
    }
    let above = lines.back(1)?;
    if !above.starts_with("Error") || !above.trim_end().ends_with(':') {
        return None;
    }
    let found = super::place_first(lines.first().trim(), false)?;
    Some((Found { severity: Some(Severity::Error), ..found }, 1))
}
