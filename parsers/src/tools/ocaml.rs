//! ocamlc, ocamlopt, dune: `File "a.ml", line 3, characters 4-7:`, the snippet, then `Error: …` or `Warning 8 [name]: …`.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "ocaml",
    kind: Kind::Compiler,
    commands: &["ocamlc", "ocamlopt", "ocaml", "ocamlfind", "dune", "dune build"],
    anchors: &["File \""],
    reader: || Box::new(Ocaml),
    ..Tool::DEFAULT
};

/// Between the place and the message stands the source, which may be long.
const SNIPPET_LINES_MAX: usize = 200;
const MESSAGE_LINES_MAX: usize = 100;

struct Ocaml;

impl Reader for Ocaml {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((finding, mut read)) = finding(lines, 0) else { return 0 };
        let mut finding = finding;
        // Places without a severity explain the error before them.
        while let Some((note, more)) = note(lines, read) {
            finding.related.push(note);
            read += more;
        }
        sink.diagnostic(finding);
        read
    }
}

fn finding(lines: Lines<'_>, at: usize) -> Option<(Diagnostic, usize)> {
    let mut found = place(lines.ahead(at)?.trim_start())?;
    let mut n = at + 1;
    while n - at < SNIPPET_LINES_MAX && lines.ahead(n).is_some_and(is_snippet) {
        n += 1;
    }
    let (severity, code, message) = header(lines.ahead(n)?)?;
    found.severity = Some(severity);
    found.code = code.map(str::to_owned);
    found.message = message.to_owned();
    n += 1;
    // The message goes on, indented; notes inside it name places of their own.
    for _ in 0..MESSAGE_LINES_MAX {
        let Some(line) = lines.ahead(n).filter(|line| line.starts_with([' ', '\t'])) else { break };
        if let Some(mut note) = line.trim_start().strip_prefix("File ").and_then(|_| place(line.trim_start())) {
            note.severity = Some(Severity::Note);
            found.related.push(note);
        }
        n += 1;
    }
    Some((found, n - at))
}

fn note(lines: Lines<'_>, at: usize) -> Option<(Diagnostic, usize)> {
    let mut found = place(lines.ahead(at)?)?;
    let mut n = at + 1;
    while n - at < SNIPPET_LINES_MAX && lines.ahead(n).is_some_and(is_snippet) {
        n += 1;
    }
    let message = lines.ahead(n).filter(|line| line.starts_with("  ") && header(line).is_none())?;
    found.severity = Some(Severity::Note);
    found.message = message.trim().to_owned();
    Some((found, n + 1 - at))
}

/// `File "a.ml", lines 3-5, characters 4-7:`; columns count from 0, the second is exclusive.
fn place(line: &str) -> Option<Diagnostic> {
    let (file, rest) = line.strip_prefix("File \"")?.split_once('"')?;
    let rest = rest.strip_prefix(", line")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).trim_start();
    let (first, rest) = number(rest)?;
    let (last, rest) = match rest.strip_prefix('-').and_then(number) {
        Some((last, rest)) => (Some(last), rest),
        None => (None, rest),
    };
    let mut found =
        Diagnostic { file: Some(file.to_owned()), line: Some(first), end_line: last, ..Diagnostic::default() };
    let mut rest = rest;
    if let Some((column, after)) = rest.strip_prefix(", characters ").and_then(number) {
        let (end, after) = after.strip_prefix('-').and_then(number)?;
        (found.column, found.end_column) = (Some(column), Some(end));
        found.end_line = last.or(Some(first));
        rest = after;
    }
    // `: Expected declaration` in the middle of a message.
    let tail = rest.strip_prefix(':').unwrap_or(rest).trim();
    found.message = tail.to_owned();
    (rest.is_empty() || rest.starts_with(':')).then_some(found)
}

fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// `12 | code`, `     ^^^^`, `...`
fn is_snippet(line: &str) -> bool {
    let text = line.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = digits > 0 && text[digits..].trim_start().starts_with('|');
    let marks = !text.is_empty() && text.bytes().all(|b| matches!(b, b'^' | b' ' | b'.'));
    numbered || marks
}

/// `Error: message`, `Error (warning 8 [partial-match]): message`, `Warning 8 [partial-match]: message`, `Alert deprecated: x`
fn header(line: &str) -> Option<(Severity, Option<&str>, &str)> {
    if let Some(message) = line.strip_prefix("Error: ") {
        return Some((Severity::Error, None, message));
    }
    let (severity, rest) = match line.strip_prefix("Error (") {
        Some(rest) => (Severity::Error, rest.strip_prefix("warning ").or_else(|| rest.strip_prefix("alert "))?),
        None => (Severity::Warning, line.strip_prefix("Warning ").or_else(|| line.strip_prefix("Alert "))?),
    };
    let (head, message) = rest.split_once(": ").or_else(|| rest.split_once("):"))?;
    let head = head.trim_end_matches(')');
    // The number is what `-w` takes; an alert has its name.
    let code = head.split_once(' ').map_or(head, |(number, _)| number);
    let plain = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    plain.then(|| (severity, Some(code), message.trim()))
}
