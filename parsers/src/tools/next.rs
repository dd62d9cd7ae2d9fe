//! `next build`: what did not compile, with webpack or Turbopack below it.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "next",
    kind: Kind::Compiler,
    commands: &["next build"],
    anchors: &[
        "Failed to compile.",
        "Build failed because of webpack errors",
        "Build error occurred",
        "Turbopack build failed with ",
    ],
    reader: || Box::new(Next),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 60;

const FINDINGS_LINES_MAX: usize = 1_000;

struct Next;

impl Reader for Next {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        if line.ends_with("Build failed because of webpack errors") || line.ends_with("Build error occurred") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if line != "Failed to compile." && !line.contains("Turbopack build failed with ") {
            return 0;
        }
        sink.evidence(Evidence::SaysError);
        let (mut at, mut end) = (1, 1);
        while let Some(line) = lines.ahead(at).map(str::trim).filter(|_| at < FINDINGS_LINES_MAX) {
            if line.ends_with("Build failed because of webpack errors") || line.starts_with("npm e") {
                break;
            }
            // Turbopack's error ends with the places of its findings, as if they were a stack.
            if line.starts_with("at <unknown> (") {
                at += 1;
                end = at;
                continue;
            }
            let read = block(line, lines, at, sink);
            at += read.max(1);
            if read > 0 {
                end = at;
            }
        }
        end
    }
}

/// `./app/page.tsx:3:7`, then `Type error: message`, `Module not found: Can't resolve 'x'`, `3:7  Error: message  rule`.
fn block(line: &str, lines: Lines<'_>, at: usize, sink: &mut Sink) -> usize {
    if !line.starts_with("./") || line.contains(' ') {
        return 0;
    }
    let place = Place::colons(line).filter(|place| place.column.is_some());
    let Some(message) = lines.ahead(at + 1).map(str::trim).filter(|text| !text.is_empty()) else { return 0 };
    // `Import trace for requested module:` lists files alone.
    if message.starts_with("./") {
        return 0;
    }
    let words = ["Error: ", "Warning: "];
    if place.is_none() && words.iter().any(|word| message.contains(word)) && lint(line, message).is_some() {
        let mut read = 1;
        while let Some(found) = lines.ahead(at + read).and_then(|text| lint(line, text.trim())) {
            sink.diagnostic(found);
            read += 1;
        }
        return read;
    }
    let text = ["Type error: ", "Error: "].iter().find_map(|word| message.strip_prefix(word)).unwrap_or(message);
    let drawn = lines.ahead(at + 2).and_then(|line| drawn(line.trim()));
    // The compiler marks what it says: `x Expression expected`.
    let marked = drawn.and_then(|_| ["x ", "× "].iter().find_map(|mark| text.trim_start().strip_prefix(mark)));
    let (place, text) = (place.or(drawn), marked.unwrap_or(text));
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        message: text.to_owned(),
        file: Some(place.map_or(line, |place| place.file).to_owned()),
        line: place.map(|place| place.line),
        column: place.and_then(|place| place.column),
        ..Diagnostic::default()
    });
    (2..BLOCK_LINES_MAX).find(|&n| lines.ahead(at + n).is_none_or(|line| line.trim().is_empty())).unwrap_or(2)
}

/// `,-[/a/broken.ts:3:1]` above the code.
fn drawn(line: &str) -> Option<Place<'_>> {
    let place = line.strip_prefix(",-[").or_else(|| line.strip_prefix("╭─["))?;
    Place::colons(place.strip_suffix(']')?).filter(|place| place.column.is_some())
}

/// `3:7  Error: message  rule-name`
fn lint(file: &str, text: &str) -> Option<Diagnostic> {
    let (place, rest) = text.split_once("  ")?;
    let (line, column) = place.split_once(':')?;
    let (word, rest) = rest.trim_start().split_once(": ")?;
    let severity = match word {
        "Error" => Severity::Error,
        "Warning" => Severity::Warning,
        _ => return None,
    };
    let (message, code) = rest.rsplit_once("  ").map_or((rest, None), |(message, code)| (message, Some(code.trim())));
    Some(Diagnostic {
        severity: Some(severity),
        code: code.map(str::to_owned),
        message: message.trim().to_owned(),
        file: Some(file.to_owned()),
        line: Some(super::place::number(line)?),
        column: super::place::number(column),
        ..Diagnostic::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From Next.js' documentation.
    #[test]
    fn a_type_error_and_a_lint_rule_are_read() {
        let text = b"Failed to compile.\n\n./app/page.tsx:3:7\nType error: Type 'string' is not assignable to type 'number'.\n\n  \
            1 | x\n> 3 | const n: number = 'x'\n    |       ^\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
        assert_eq!((error.file.as_deref(), error.line, error.column), (Some("./app/page.tsx"), Some(3), Some(7)));
        assert_eq!(report.verdict, Verdict::Error);
        let text = b"Failed to compile.\n\n./app/page.tsx\n3:7  Error: 'x' is never used.  no-unused-vars\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        assert_eq!(report.diagnostics[0].code.as_deref(), Some("no-unused-vars"));
    }
}
