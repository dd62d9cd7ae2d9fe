//! Forms that only some linters use: a rule or a tag before the place, the place in brackets or at the end, no file at all.

use super::numbers::{self, Numbers};
use super::{Found, path, severity};
use crate::Severity;

pub(super) fn read(text: &str) -> Option<Found<'_>> {
    const FORMS: &[fn(&str) -> Option<Found<'_>>] = &[
        at_sign,
        attributes,
        in_tag,
        tagged,
        quoted,
        puppet,
        on_line,
        behind_rule,
        pipes,
        black,
        spoken,
        prose,
        numbered,
        at_end,
        shouted,
        docstring,
        zpt,
        whole_file,
        questa,
    ];
    FORMS.iter().find_map(|form| form(text))
}

pub(super) fn place(line: u32, column: Option<u32>) -> Numbers {
    Numbers { line, column, end_line: None, end_column: None }
}

pub(super) fn digits(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

pub(super) fn is_file(text: &str) -> bool {
    path::kind(text) == path::Kind::File
}

/// `a.yaml: error @ 1:1 - message`
fn at_sign(text: &str) -> Option<Found<'_>> {
    let (head, rest) = text.split_once(" @ ")?;
    let (file, word) = head.rsplit_once(": ")?;
    let severity = severity::only(word)??;
    let (line, rest) = digits(rest)?;
    let (column, rest) = digits(rest.strip_prefix(':')?)?;
    let message = rest.trim_start_matches([' ', '-', ':']);
    is_file(file).then_some(Found {
        file,
        numbers: place(line, Some(column)),
        severity: Some(severity),
        message,
        code: None,
    })
}

/// `warning file=/a/B.scala message=text line=190 column=33`
fn attributes(text: &str) -> Option<Found<'_>> {
    let (word, rest) = text.split_once(" file=")?;
    let severity = severity::only(word)??;
    let (file, rest) = rest.split_once(" message=")?;
    let (message, rest) = rest.rsplit_once(" line=")?;
    let (line, rest) = digits(rest)?;
    let column = rest.strip_prefix(" column=").and_then(digits).map(|(column, _)| column);
    Some(Found { file, numbers: place(line, column), severity: Some(severity), message, code: None })
}

/// `[WARNING:/a/b.thrift:17] message`
fn in_tag(text: &str) -> Option<Found<'_>> {
    let (tag, message) = text.strip_prefix('[')?.split_once("] ")?;
    let (word, place_of) = tag.split_once(':')?;
    let severity = severity::only(word)??;
    let (file, line) = place_of.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    is_file(file).then_some(Found { file, numbers: place(line, None), severity: Some(severity), message, code: None })
}

/// `SP:[AL8]:APKBUILD:2:message`, `tnsdlx:(W) a.sdl (398):message`, `a.robot:W:1:2:Rule:message`, `luac /a/b.lua:1: message`
fn tagged(text: &str) -> Option<Found<'_>> {
    if let Some((head, rest)) = text.split_once(":[")
        && head.len() <= 8
        && head.bytes().all(|b| b.is_ascii_uppercase())
        && let Some((code, rest)) = rest.split_once("]:")
    {
        return plain(rest).map(|found| Found { code: Some(code), ..found });
    }
    if let Some((program, rest)) = text.split_once(":(")
        && program.len() <= 16
        && program.bytes().all(|b| b.is_ascii_alphanumeric())
        && let Some((letter, rest)) = rest.split_once(") ")
        && let Some(severity) = severity::of_letter(letter)
        && let Some((file, rest)) = rest.split_once(" (")
        && let Some((line, rest)) = digits(rest)
        && let Some(message) = rest.strip_prefix("):")
    {
        return Some(Found { file, numbers: place(line, None), severity: Some(severity), message, code: None });
    }
    if let Some((file, rest)) = text.split_once(':')
        && let Some((letter, rest)) = rest.split_once(':')
        && let Some(severity) = severity::of_letter(letter)
        && is_file(file)
        && let Some((line, rest)) = digits(rest)
        && let Some((column, rest)) = rest.strip_prefix(':').and_then(digits)
        && let Some(message) = rest.strip_prefix(':')
    {
        return Some(Found { file, numbers: place(line, Some(column)), severity: Some(severity), message, code: None });
    }
    let (program, rest) = text.split_once(' ')?;
    let is_program = program.len() <= 24 && program.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (is_program && rest.starts_with('/') && program.len() > 1).then(|| plain(rest))?
}

/// `name:2:message` behind a tag that says that it is a place.
fn plain(text: &str) -> Option<Found<'_>> {
    let at = text.match_indices(':').map(|(at, _)| at).find(|at| numbers::after(&text[*at..]).is_some())?;
    let (numbers, rest, _) = numbers::after(&text[at..])?;
    let file = &text[..at];
    let message = rest.strip_prefix(':')?.trim_start();
    (path::kind(file) != path::Kind::NoFile && !message.is_empty()).then_some(Found {
        file,
        numbers,
        severity: None,
        message,
        code: None,
    })
}

/// `ctc W549: ["C:\a b\c.c" 8796/7] message`, `"a.c",129 Severity-Low[rule]:message`, `"c:\a.cpp",432 Warning[Pe852]: message`
fn quoted(text: &str) -> Option<Found<'_>> {
    if let Some((head, rest)) = text.split_once(": [\"")
        && let Some((file, rest)) = rest.split_once("\" ")
        && let Some((line, rest)) = digits(rest)
        && let Some((column, rest)) = rest.strip_prefix('/').and_then(digits)
        && let Some(message) = rest.strip_prefix("] ")
        && let Some(severity) = head.rsplit(' ').next().and_then(|code| severity::of_letter(code.get(..1)?))
    {
        return Some(Found { file, numbers: place(line, Some(column)), severity: Some(severity), message, code: None });
    }
    let (file, rest) = text.strip_prefix('"')?.split_once("\",")?;
    let (line, rest) = digits(rest)?;
    let message = rest.strip_prefix(' ')?.trim_start();
    if let Some(rest) = message.strip_prefix("Severity-") {
        let (_, message) = rest.split_once('[')?;
        let message = message.split_once("]:").map_or(message, |(_, message)| message);
        return Some(Found { file, numbers: place(line, None), severity: None, message, code: None });
    }
    let said = severity::cut(message).severity;
    said.map(|_| Found { file, numbers: place(line, None), severity: None, message, code: None })
}

/// `Error: message (file: /a/b.pp, line: 5, column: 11)`, `a.fish (line 20): message`
fn puppet(text: &str) -> Option<Found<'_>> {
    if let Some((head, rest)) = text.split_once(" (file: ") {
        let (file, rest) = rest.split_once(", line: ")?;
        let (line, rest) = digits(rest)?;
        let column = rest.strip_prefix(", column: ").and_then(digits).map(|(column, _)| column);
        return Some(Found { file, numbers: place(line, column), severity: None, message: head, code: None });
    }
    let (file, rest) = text.split_once(" (line ")?;
    let (line, rest) = digits(rest)?;
    let message = rest.strip_prefix("): ")?;
    is_file(file).then_some(Found { file, numbers: place(line, None), severity: None, message, code: None })
}

/// `/a/b.pp - ERROR: message on line 7`
fn on_line(text: &str) -> Option<Found<'_>> {
    let (head, line) = text.rsplit_once(" on line ")?;
    let (line, "") = digits(line)? else { return None };
    let (file, message) = head.split_once(" - ")?;
    let severity = severity::cut(message).severity?;
    is_file(file).then_some(Found { file, numbers: place(line, None), severity: Some(severity), message, code: None })
}

/// `FC001: message: ./a/b.rb:8`
fn behind_rule(text: &str) -> Option<Found<'_>> {
    let (code, _) = text.split_once(": ")?;
    let is_rule = (4..=10).contains(&code.len())
        && code.starts_with(|c: char| c.is_ascii_uppercase())
        && code.ends_with(|c: char| c.is_ascii_digit())
        && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let (message, place_of) = text.rsplit_once(": ")?;
    let (file, line) = place_of.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    (is_rule && message.len() > code.len() && is_file(file)).then_some(Found {
        file,
        numbers: place(line, None),
        severity: None,
        message,
        code: None,
    })
}

/// The Dart analyzer's `INFO|HINT|CODE|C:\\a\\b.dart|1|8|32|message`.
fn pipes(text: &str) -> Option<Found<'_>> {
    let mut parts = text.splitn(8, '|');
    let severity = severity::only(parts.next()?)??;
    let kind = parts.next()?;
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return None;
    }
    let (code, file) = (parts.next()?, parts.next()?);
    let (line, "") = digits(parts.next()?)? else { return None };
    let (column, "") = digits(parts.next()?)? else { return None };
    let message = parts.nth(1)?;
    Some(Found { file, numbers: place(line, Some(column)), severity: Some(severity), message, code: Some(code) })
}

/// `error: cannot format a/b.py: Cannot parse: 5:1: message`; Black also writes the version in between.
fn black(text: &str) -> Option<Found<'_>> {
    let (file, rest) = text.strip_prefix("error: cannot format ")?.split_once(": ")?;
    let rest = &rest[rest.find(": ")? + 2..];
    let (line, after) = digits(rest)?;
    let (column, after) = after.strip_prefix(':').and_then(digits)?;
    let message = after.strip_prefix(": ")?;
    Some(Found { file, numbers: place(line, Some(column)), severity: Some(Severity::Error), message, code: None })
}

/// `Line   5: W message`, `fecs WARN → line 20, col 25: message`
fn spoken(text: &str) -> Option<Found<'_>> {
    let (said, rest) = match text.split_once(" → ") {
        Some((head, rest)) => (Some(severity::only(head.rsplit(' ').next()?)??), rest),
        None => (None, text),
    };
    let rest = rest.strip_prefix("line ").or_else(|| rest.strip_prefix("Line "))?.trim_start();
    let (line, rest) = digits(rest)?;
    let (column, rest) =
        match [", col ", ", column ", " column "].iter().find_map(|word| digits(rest.strip_prefix(word)?)) {
            Some((column, rest)) => (Some(column), rest),
            None => (None, rest),
        };
    // HTML Tidy: `line 1 column 56 - Warning: message`
    let message = match rest.strip_prefix(" - ") {
        Some(message) if severity::cut(message).severity.is_some() => message,
        Some(_) | None => rest.strip_prefix(": ")?.trim_start(),
    };
    let lettered = message.split_once(' ').and_then(|(letter, rest)| Some((severity::of_letter(letter)?, rest)));
    let (severity, message) = match (said, lettered) {
        (None, Some((severity, message))) => (Some(severity), message),
        (said, _) => (said, message),
    };
    (severity.is_some() || column.is_some()).then_some(Found {
        file: "",
        numbers: place(line, column),
        severity,
        message,
        code: None,
    })
}

/// `H008 47:8 message`, `8: T2 message`, `Error:22:1: message`, `stdin:1 [ER_NO_DB] message`
fn numbered(text: &str) -> Option<Found<'_>> {
    if let Some((word, rest)) = text.split_once(':')
        && let Some(Some(severity)) = severity::only(word)
        && let Some((line, rest)) = digits(rest)
        && let Some((column, rest)) = rest.strip_prefix(':').and_then(digits)
        && let Some(message) = rest.strip_prefix(": ")
    {
        return Some(Found {
            file: "",
            numbers: place(line, Some(column)),
            severity: Some(severity),
            message,
            code: None,
        });
    }
    // `Error 24 at (2:a.f90) : message`
    if let Some((word, rest)) = text.split_once(" at (")
        && let Some(Some(severity)) = severity::only(word)
        && let Some((line, rest)) = digits(rest)
        && let Some((file, message)) = rest.strip_prefix(':').and_then(|rest| rest.split_once(") : "))
    {
        return is_file(file).then_some(Found {
            file,
            numbers: place(line, None),
            severity: Some(severity),
            message,
            code: None,
        });
    }
    let (head, message) = text.split_once(' ')?;
    let tag = message.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    // phan's `a.php:25 PhanUndeclaredClass message`
    let name = message.split(' ').next().unwrap_or("");
    let camel = name.len() > 8
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().filter(u8::is_ascii_uppercase).count() > 1
        && name.bytes().any(|b| b.is_ascii_lowercase());
    if tag.is_none() && !camel {
        return None;
    }
    let (file, line) = head.rsplit_once(':')?;
    let (line, "") = digits(line)? else { return None };
    is_file(file).then_some(Found { file, numbers: place(line, None), severity: None, message, code: None })
}

/// write-good's `"So" adds no meaning on line 4 at column 0`
fn prose(text: &str) -> Option<Found<'_>> {
    let (head, column) = text.strip_prefix('"')?.split_once(" at column ")?;
    let (message, line) = head.rsplit_once(" on line ")?;
    let ((line, ""), (column, "")) = (digits(line)?, digits(column)?) else { return None };
    // Columns are counted from 0.
    let message = &text[..=message.len()];
    Some(Found { file: "", numbers: place(line, column.checked_add(1)), severity: None, message, code: None })
}

/// `a/b.pl: message at line 1, column 1.  More.`, `jq: parse error: message at line 1, column 9`,
/// `message; line 25, column 3 - line 25, column 29`
fn at_end(text: &str) -> Option<Found<'_>> {
    let (head, rest) = text.split_once(" at line ").or_else(|| text.split_once("; line "))?;
    let (line, rest) = digits(rest)?;
    let (column, rest) = rest.strip_prefix(", column ").and_then(digits)?;
    let rest = rest.trim_start();
    if !(rest.is_empty() || rest.starts_with(['.', '-', ','])) {
        return None;
    }
    let numbers = place(line, Some(column));
    match head.split_once(": ") {
        Some((file, message)) if is_file(file) => Some(Found { file, numbers, severity: None, message, code: None }),
        Some((_, said)) if severity::cut(said).severity.is_some() => {
            Some(Found { file: "", numbers, severity: None, message: said, code: None })
        }
        Some(_) | None => Some(Found { file: "", numbers, severity: None, message: head, code: None }),
    }
}

/// TI's assembler: `"a.asm", ERROR!   at line 5: [E0002] message`
fn shouted(text: &str) -> Option<Found<'_>> {
    let (file, rest) = text.strip_prefix('"')?.split_once("\", ")?;
    let (word, rest) = rest.split_once("! ")?;
    let severity = severity::only(word)??;
    let (line, rest) = digits(rest.trim_start().strip_prefix("at line ")?)?;
    let message = rest.strip_prefix(": ")?;
    Some(Found { file, numbers: place(line, None), severity: Some(severity), message, code: None })
}

/// Sphinx's `/a/b.py:docstring of pkg.mod.name:26: WARNING: message`
fn docstring(text: &str) -> Option<Found<'_>> {
    let (file, rest) = text.split_once(":docstring of ")?;
    let (_, rest) = rest.split_once(':')?;
    let (line, rest) = digits(rest)?;
    let message = rest.strip_prefix(": ")?;
    is_file(file).then_some(Found { file, numbers: place(line, None), severity: None, message, code: None })
}

/// zptlint's `Error in: a.pt  message  , at line 12`
fn zpt(text: &str) -> Option<Found<'_>> {
    let (head, line) = text.strip_prefix("Error in: ")?.rsplit_once(", at line ")?;
    let (line, rest) = digits(line)?;
    let (file, message) = head.split_once(' ')?;
    let message = message.trim();
    let severity = Some(Severity::Error);
    (rest.trim().is_empty() && is_file(file) && !message.is_empty()).then_some(Found {
        file,
        numbers: place(line, None),
        severity,
        message,
        code: None,
    })
}

/// What is said of a whole file: Sphinx's `/a/b.rst: WARNING: message`, oelint's `/a/b.bb:error:rule:message`
fn whole_file(text: &str) -> Option<Found<'_>> {
    let rooted = text.starts_with('/') || text.get(1..3).is_some_and(|drive| drive == ":/" || drive == ":\\");
    let at = 2 + text.get(2..).filter(|_| rooted)?.find(':')?;
    let rest = text[at..].trim_start_matches([':', ' ']);
    let (word, message) = rest.split_once(':')?;
    let severity = severity::only(word)??;
    let shouted = word.bytes().all(|b| b.is_ascii_uppercase()) && message.starts_with(' ');
    // oelint's rules have dots.
    let ruled = || message.split_once(':').is_some_and(|(rule, _)| rule.contains('.') && !rule.contains([' ', '/']));
    (is_file(&text[..at]) && (shouted || ruled())).then_some(Found {
        file: &text[..at],
        numbers: place(0, None),
        severity: Some(severity),
        message: message.trim_start(),
        code: None,
    })
}

/// Questa without a place: `Error: (vsim-3033) message`
fn questa(text: &str) -> Option<Found<'_>> {
    let (word, message) = text.split_once(": ")?;
    let severity = severity::only(word)??;
    let (code, _) = message.strip_prefix('(')?.split_once(") ")?;
    let (program, number) = code.split_once('-')?;
    let known = matches!(program, "vsim" | "vlog" | "vcom" | "vopt") && number.bytes().all(|b| b.is_ascii_digit());
    known.then_some(Found { file: "", numbers: place(0, None), severity: Some(severity), message, code: None })
}
