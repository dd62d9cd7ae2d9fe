//! GHC, and cabal and stack around it: the message below its place, the code with its marks, JSON.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "ghc",
    kind: Kind::Compiler,
    commands: &["ghc", "runghc", "runhaskell", "cabal build", "cabal v2-build", "stack build", "stack ghc"],
    anchors: &[".hs:", ".lhs:", ".hsc:", "cabal: ", "Error: cabal: ", "Error: [S-", "Failed to build "],
    json: &["\"startCol\":"],
    reader: || Box::new(Ghc),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 200;
const CODE_LINES_MAX: usize = 40;

struct Ghc;

impl Reader for Ghc {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some(read) = package_tool(line, sink) {
            return read;
        }
        let Some(mut found) = head(line) else { return 0 };
        // The message stands below, indented, up to an empty line or the code.
        let mut read = 1;
        while let Some(line) = lines.ahead(read).filter(|_| read < MESSAGE_LINES_MAX) {
            let text = line.trim();
            if text.is_empty() || !line.starts_with(' ') || gutter(line).is_some() {
                break;
            }
            if found.message.is_empty() {
                found.message = text.trim_start_matches('•').trim_start().to_owned();
            } else {
                found.message.push('\n');
                found.message.push_str(text);
            }
            read += 1;
        }
        let mut marked = None;
        let code = (read..read + CODE_LINES_MAX).take_while(|&n| {
            lines.ahead(n).and_then(gutter).is_some_and(|code| {
                marked = marked.or_else(|| marks(code));
                true
            })
        });
        read += code.count();
        if let Some((column, width)) = marked
            && found.end_column.is_none()
            && found.column == Some(column)
        {
            found.end_line = found.line;
            found.end_column = column.checked_add(width);
        }
        sink.diagnostic(found);
        read
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(found) = document.json::<serde_json::Value>().as_ref().and_then(from_json) else { return false };
        sink.diagnostic(found);
        true
    }
}

/// What cabal and stack say themselves.
fn package_tool(line: &str, sink: &mut Sink) -> Option<usize> {
    let cabal = line.strip_prefix("Error: ").unwrap_or(line).strip_prefix("cabal: ");
    let stack = line.starts_with("Error: [S-") || line.starts_with("cabal: ");
    let message = cabal.or_else(|| stack.then(|| line.trim_start_matches("Error: ")))?;
    // What failed was told by the compiler or the tests; these only pass it on.
    if message.starts_with("Failed to build ")
        || message.contains("Tests failed ")
        || message.starts_with("Some packages")
    {
        sink.evidence(Evidence::SaysError);
        return Some(1);
    }
    sink.diagnostic(Diagnostic {
        source: if cabal.is_some() { "cabal" } else { "stack" }.to_owned(),
        severity: Some(Severity::Error),
        message: message.to_owned(),
        ..Diagnostic::default()
    });
    Some(1)
}

/// `Main.hs:9:23: error: [GHC-88464]`, `Main.hs:6:1-17: warning: [-Wincomplete-patterns]`, `(3,1)-(5,9)`; old versions
/// go on with the message in the same line.
fn head(line: &str) -> Option<Diagnostic> {
    let at = [": error:", ": warning:"].iter().filter_map(|tag| line.find(tag)).min()?;
    let (place, rest) = line.split_at(at);
    let (file, place) = [".hs:", ".lhs:", ".hsc:"]
        .iter()
        .find_map(|end| place.find(end).map(|at| (&place[..at + end.len() - 1], &place[at + end.len()..])))?;
    let (severity, rest) = match rest.strip_prefix(": error:") {
        Some(rest) => (Severity::Error, rest),
        None => (Severity::Warning, rest.strip_prefix(": warning:")?),
    };
    let (line, column, end) = span(place)?;
    let mut rest = rest.trim();
    let mut code = None;
    // `[GHC-40910] [-Wunused-top-binds]`: the number, else the flag; `[-Wx, -Werror=x]`.
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let inside = inside.split(',').next().unwrap_or(inside).trim();
        code = code.or_else(|| (inside.starts_with("GHC-") || inside.starts_with("-W")).then(|| inside.to_owned()));
        rest = after.trim();
    }
    Some(Diagnostic {
        severity: Some(severity),
        code,
        message: rest.to_owned(),
        file: Some(file.trim_start().to_owned()),
        line: Some(line),
        column: Some(column),
        end_line: end.map(|(line, _)| line),
        end_column: end.map(|(_, column)| column),
        ..Diagnostic::default()
    })
}

/// Line, column, and the end's line and column.
type Span = (u32, u32, Option<(u32, u32)>);

/// `9:23`, `6:1-17`, `(3,1)-(5,9)`; the printed end is inclusive.
pub(super) fn span(text: &str) -> Option<Span> {
    let pair = |text: &str| {
        let (line, column) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some((number(line)?, number(column)?))
    };
    if let Some((from, to)) = text.split_once(")-(") {
        let (line, column) = pair(&format!("{from})"))?;
        let (end_line, end) = pair(&format!("({to}"))?;
        return Some((line, column, Some((end_line, end.checked_add(1)?))));
    }
    let (line, columns) = text.split_once(':')?;
    let line = number(line)?;
    match columns.split_once('-') {
        Some((from, to)) => Some((line, number(from)?, Some((line, number(to)?.checked_add(1)?)))),
        None => Some((line, number(columns)?, None)),
    }
}

/// What follows the bar of `9 | code` or `  |`.
fn gutter(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[digits..].trim_start().strip_prefix('|')
}

/// Column and width of the marks below the code; the bar and a blank stand before it.
fn marks(code: &str) -> Option<(u32, u32)> {
    let (column, width) = super::place::marks(code.trim_end_matches('.'))?;
    Some((column.checked_sub(1).filter(|column| *column > 0)?, width))
}

/// `-fdiagnostics-as-json` since 9.10, and `-ddump-json` before.
fn from_json(value: &serde_json::Value) -> Option<Diagnostic> {
    let span = &value["span"];
    let at = |new: &serde_json::Value, old: &str| {
        new.as_u64().or_else(|| span[old].as_u64()).and_then(|number| u32::try_from(number).ok())
    };
    let severity = match value["severity"].as_str()? {
        "Error" | "SevError" | "SevFatal" => Severity::Error,
        "Warning" | "SevWarning" => Severity::Warning,
        _ => return None,
    };
    let text = match &value["message"] {
        serde_json::Value::Array(parts) => parts.iter().filter_map(|part| part.as_str()).collect::<Vec<_>>().join("\n"),
        _ => value["doc"].as_str()?.to_owned(),
    };
    let number = value["code"].as_u64().map(|code| format!("GHC-{code:05}"));
    let flag = value["reason"]["flags"][0].as_str().or_else(|| value["reason"].as_str());
    Some(Diagnostic {
        severity: Some(severity),
        code: number.or_else(|| flag.map(|flag| format!("-W{}", flag.trim_start_matches("Opt_Warn")))),
        message: text.trim_start_matches('•').trim_start().to_owned(),
        file: span["file"].as_str().map(str::to_owned),
        line: at(&span["start"]["line"], "startLine"),
        column: at(&span["start"]["column"], "startCol"),
        end_line: at(&span["end"]["line"], "endLine"),
        end_column: at(&span["end"]["column"], "endCol"),
        ..Diagnostic::default()
    })
}

/// `Main.hs:6:11`, as in a call stack.
pub(super) fn place(text: &str) -> Option<Place<'_>> {
    Place::colons(text).filter(|place| place.file.ends_with(".hs") || place.file.ends_with(".lhs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_one_line_and_of_several() {
        assert_eq!(span("9:23"), Some((9, 23, None)));
        assert_eq!(span("6:1-17"), Some((6, 1, Some((6, 18)))));
        assert_eq!(span("(3,1)-(5,9)"), Some((3, 1, Some((5, 10)))));
    }

    /// From GHC's user's guide.
    #[test]
    fn numbers_come_before_flags() {
        let code = |line| head(line).and_then(|found| found.code);
        assert_eq!(code("A.hs:4:1: warning: [GHC-40910] [-Wunused-top-binds]").as_deref(), Some("GHC-40910"));
        assert_eq!(
            code("A.hs:4:1: error: [-Wunused-imports, -Werror=unused-imports]").as_deref(),
            Some("-Wunused-imports")
        );
        assert_eq!(head("A.hs:4:1: error: Not in scope").map(|found| found.message).as_deref(), Some("Not in scope"));
    }
}
