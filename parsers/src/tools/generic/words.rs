//! Places told in words: `"file", line 3`, `file: line 3, col 5`, `… at file line 3.`, `… on line 3 of file`.

use super::numbers::Numbers;
use super::{Found, path, severity};

pub(super) fn read(text: &str) -> Option<Found<'_>> {
    equals(text).or_else(|| {
        let mut from = 0;
        while let Some(at) = find_line(text, from) {
            if let Some(found) = around(text, at) {
                return Some(found);
            }
            from = at + "line ".len();
        }
        None
    })
}

/// The next `line ` or `lines ` with a number behind it, at a word's start.
fn find_line(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.match_indices("ine").map(|(at, _)| from + at).find_map(|at| {
        let start = at.checked_sub(1)?;
        let first = text.as_bytes()[start];
        let before = start.checked_sub(1).map(|before| text.as_bytes()[before]);
        let rest = text[at + 3..].strip_prefix('s').unwrap_or(&text[at + 3..]);
        let rest = rest.trim_start_matches(['#', ':', ' ']);
        let bounded = before.is_none_or(|b| matches!(b, b' ' | b',' | b'"' | b'[' | b'(' | b'\t' | b':'));
        (matches!(first, b'l' | b'L') && bounded && rest.starts_with(|c: char| c.is_ascii_digit())).then_some(start)
    })
}

fn around(text: &str, at: usize) -> Option<Found<'_>> {
    let (numbers, rest) = numbers(&text[at..])?;
    let head = text[..at].trim_end();
    // `… line 3 of file "x": message`
    let after = rest.trim_start_matches([',', ' ']);
    for word in ["of file ", "in file ", "of ", "in ", "file "] {
        let Some(name) = after.strip_prefix(word) else { continue };
        let (file, tail) = first_name(name)?;
        if path::kind(file) != path::Kind::File {
            break;
        }
        let message = tail.trim_start_matches([':', '.', ' ', ';', ')']);
        let said = severity::prefix(head).and_then(|(severity, _)| severity);
        // `*** ERROR: message at line 3 in file x`
        let head = said.and_then(|_| head.split_once(": ")).map_or(head, |(_, message)| message);
        let lead = head.trim_end_matches(['(', ',', ':']);
        let lead = ["at", "on", "in", "near"].iter().find_map(|w| lead.strip_suffix(w)).unwrap_or(lead).trim_end();
        let message = if message.is_empty() { lead.trim_end_matches([',', ':', ' ']) } else { message };
        return (!message.is_empty()).then_some(Found { file, numbers, severity: said, message, code: None });
    }
    // Pod's `*** ERROR: =over on line 1 without =back at line EOF in file a.pm`
    if let Some((_, name)) = rest.split_once(" at line EOF in file ") {
        let (severity, message) = severity::prefix(text)?;
        return Some(Found { file: name.trim(), numbers, severity, message, code: None });
    }
    // Perl's tests: `# Test 2 got: "xx" (a.t at line 10 fail #2)`
    if let Some((message, file)) = head.strip_suffix(" at").and_then(|head| head.rsplit_once(" ("))
        && (rest == ")" || rest.starts_with(" fail #"))
        && path::kind(file) == path::Kind::File
    {
        let message = message.find("# ").filter(|_| text.contains("NOK")).map_or(message, |at| &message[at..]);
        return Some(Found {
            file,
            numbers,
            severity: None,
            message: message.trim_start_matches(['#', ' ']),
            code: None,
        });
    }
    // `file, line 3: message` and `message at file line 3.`
    let head = ["on", "at", "("].iter().find_map(|w| head.strip_suffix(w)).unwrap_or(head);
    let head = head.trim_end_matches([',', ':', ' ', '(', '[']);
    let (lead, file) = match rooted(head) {
        Some(file) => ("", file),
        None => last_name(head)?,
    };
    // Perl's scripts need no extension: `syntax error at automake line 922, near`
    let perl = lead.trim_end().ends_with(" at") && rest.starts_with(['.', ',']) && path::kind(file) == path::Kind::Word;
    if path::kind(file) != path::Kind::File && !perl {
        return None;
    }
    let tail = rest.trim_start_matches([',', ':', '.', ')', ']', ' ', ';', '-']).trim_end();
    let lead = lead.trim_end();
    // Buckminster: `Warning: file /a/B.java, line 43: message`
    let said = lead.strip_suffix(" file").and_then(severity::only).flatten();
    if let Some(severity) = said.map(Some).or_else(|| severity::only(lead)) {
        // Python's frames: `File "x", line 3, in f`.
        let frame = tail.starts_with("in ");
        return (!tail.is_empty() && !frame).then_some(Found { file, numbers, severity, message: tail, code: None });
    }
    // OCaml's on one line: `File "x.ml", lines 5-8, characters 20-155: message`
    if lead == "File"
        && numbers.end_column.is_some()
        && let Some(message) = rest.strip_prefix(": ")
    {
        return Some(Found { file, numbers, severity: None, message, code: None });
    }
    if lead == "File" || lead == "from" {
        return None;
    }
    // NAG's `Deleted feature used: a.f90, line 4: message`
    let named = lead.strip_suffix(':').is_some_and(|lead| {
        lead.len() <= 40 && lead.split(' ').count() <= 4 && lead.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    if named && rest.starts_with(": ") && !tail.is_empty() {
        let severity = lead.trim_end_matches(':').rsplit([' ', ':']).next().and_then(severity::only).flatten();
        return Some(Found { file, numbers, severity, message: tail, code: None });
    }
    // chktex: `Warning 18 in a.tex line 3: message`
    if let Some(Some(severity)) = lead.strip_suffix(" in").map(severity::only).unwrap_or_default()
        && rest.starts_with(": ")
        && !tail.is_empty()
    {
        return Some(Found { file, numbers, severity: Some(severity), message: tail, code: None });
    }
    let lead = ["at", "in", "from", "file"]
        .iter()
        .find_map(|word| lead.strip_suffix(word).filter(|rest| rest.ends_with(' ') || rest.is_empty()))?;
    let lead = lead.trim_end().trim_end_matches([',', ':', '(', ' ']);
    (!lead.is_empty()).then_some(Found { file, numbers, severity: None, message: lead, code: None })
}

/// `line 3`, `line 3, col 5`, `line 3 column 5`, `line 3, character 5`, `line 3:5`, `lines 3-4`, `line 3, pos 5`
fn numbers(text: &str) -> Option<(Numbers, &str)> {
    let rest = text[4..].strip_prefix('s').unwrap_or(&text[4..]).trim_start_matches(['#', ':', ' ']);
    let (line, mut rest) = number(rest)?;
    let mut found = Numbers { line, column: None, end_line: None, end_column: None };
    if let Some((end, after)) = rest.strip_prefix('-').and_then(number) {
        found.end_line = Some(end);
        rest = after;
    }
    // GNAT's `line 3(2)`
    if let Some((column, after)) = rest.strip_prefix('(').and_then(number)
        && let Some(after) = after.strip_prefix(')')
    {
        found.column = Some(column);
        return Some((found, after));
    }
    if let Some((column, after)) = rest.strip_prefix([':', '.']).and_then(number) {
        found.column = Some(column);
        return Some((found, after));
    }
    let words = rest.trim_start_matches([',', ' ', ';', '(', '/', '.']);
    let words = words.strip_prefix("at ").or_else(|| words.strip_prefix("and ")).unwrap_or(words);
    for name in [
        "column",
        "col.",
        "col",
        "characters",
        "character",
        "chars",
        "char",
        "position",
        "pos.",
        "pos",
        "offset",
        "Column",
        "Col",
    ] {
        let Some(after) = words.strip_prefix(name) else { continue };
        if let Some((column, after)) = number(after.trim_start_matches([' ', '#', ':', '='])) {
            found.column = Some(column);
            rest = after;
            if let Some((end, after)) = after.strip_prefix('-').and_then(number) {
                found.end_column = Some(end);
                found.end_line = found.end_line.or(Some(line));
                rest = after;
            }
        }
        break;
    }
    Some((found, rest))
}

fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// The name at the front, in quotes or up to a blank or colon.
fn first_name(text: &str) -> Option<(&str, &str)> {
    for quote in ['"', '\'', '`'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let end = rest.find(['"', '\''])?;
            return Some((&rest[..end], &rest[end + 1..]));
        }
    }
    let mut end = text.find([' ', ',', ';', ')']).unwrap_or(text.len());
    // A drive's colon is not the end.
    let from = if text.as_bytes().get(1) == Some(&b':') { 2 } else { 0 };
    if let Some(colon) = text.get(from..end)?.find(':') {
        end = from + colon;
    }
    let name = text[..end].trim_end_matches('.');
    (!name.is_empty()).then(|| (name, &text[name.len()..]))
}

/// The name at the end, and what is before it.
fn last_name(text: &str) -> Option<(&str, &str)> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_suffix(quote) {
            let start = rest.rfind(['"', '\'', '`'])?;
            return Some((&text[..start], rest[start + 1..].trim_end()));
        }
    }
    match text.rfind([' ', '\t', '(']) {
        Some(at) => Some((&text[..at], &text[at + 1..])),
        None => Some(("", text)),
    }
}

/// A drive's path with blanks in its folders, and nothing before it but a task's tag.
fn rooted(text: &str) -> Option<&str> {
    let text =
        text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_, rest)| rest).trim_start();
    let drive = text.as_bytes().get(1..3) == Some(b":\\") && text.as_bytes()[0].is_ascii_alphabetic();
    (drive && text.contains(' ') && path::kind(text) == path::Kind::File).then_some(text)
}

/// `ERROR: File = x.c, Line = 3, Column = 5`
fn equals(text: &str) -> Option<Found<'_>> {
    let (head, rest) = text.split_once("File = ")?;
    let (file, rest) = rest.split_once(", Line = ")?;
    let (line, mut rest) = number(rest)?;
    let mut found = Numbers { line, column: None, end_line: None, end_column: None };
    if let Some((column, after)) = rest.strip_prefix(", Column = ").and_then(number) {
        found.column = Some(column);
        rest = after;
    }
    let said = head.split([':', ' ']).find_map(|word| severity::cut(&word.to_ascii_uppercase()).severity);
    let message = rest.trim_start_matches([':', ' ']);
    let message = if message.is_empty() { head.trim() } else { message };
    (path::kind(file) == path::Kind::File).then_some(Found {
        file,
        numbers: found,
        severity: said,
        message,
        code: None,
    })
}
