//! javac: `File.java:12: error: message`, the line with its caret, then what goes with it.

use super::place::{Place, number};
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "javac",
    kind: Kind::Compiler,
    commands: &["javac"],
    anchors: &[".java:", "error: ", "warning: ", " errors", "1 error", " warnings", "1 warning", "Note: "],
    reader: || Box::new(Javac::default()),
    ..Tool::DEFAULT
};

/// Lines of a message before its source line, and details after it.
const MESSAGE_LINES_MAX: usize = 8;
const DETAILS_MAX: usize = 80;
/// javac counts a tab as eight columns.
const TAB_COLUMNS: u32 = 8;

#[derive(Default)]
struct Javac {
    seen: bool,
    read_errors: bool,
}

impl Reader for Javac {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        let here = self.seen || sink.expects(TOOL.name);
        let Some(mut found) = header(line, here) else { return self.closing_line(line, here, sink) };
        let mut read = 1;
        if found.line.is_some() {
            if let Some((caret, column)) = caret(lines) {
                for more in (1..caret - 1).filter_map(|n| lines.ahead(n)) {
                    found.related.push(note(more));
                }
                found.column = Some(column);
                read = caret + 1;
            }
            while found.related.len() < DETAILS_MAX
                && let Some(detail) = lines.ahead(read).filter(|line| line.starts_with("  ") && !line.trim().is_empty())
            {
                found.related.push(note(detail));
                read += 1;
            }
        }
        self.seen = true;
        if found.line.is_none() && found.message == "warnings found and -Werror specified" {
            sink.evidence(Evidence::SaysError);
            return read;
        }
        self.read_errors |= found.severity == Some(Severity::Error);
        sink.diagnostic(found);
        read
    }
}

impl Javac {
    /// `5 errors`, `Note: X.java uses unchecked or unsafe operations.`
    fn closing_line(&self, line: &str, here: bool, sink: &mut Sink) -> usize {
        let Some((count, what)) = line.split_once(' ') else { return 0 };
        if !here {
            return 0;
        }
        match what {
            "error" | "errors" if number(count).is_some() => {
                if !self.read_errors {
                    sink.evidence(Evidence::SaysError);
                }
                1
            }
            "warning" | "warnings" if number(count).is_some() => 1,
            _ => usize::from(count == "Note:" || line.starts_with("only showing the first ")),
        }
    }
}

fn header(line: &str, here: bool) -> Option<Diagnostic> {
    let (place, rest) = match Place::before_text(line, ".java") {
        Some((place, rest)) if place.column.is_none() && !place.file.starts_with([' ', '\t', '[']) => {
            (Some(place), rest.strip_prefix(' ')?)
        }
        Some(_) => return None,
        None if here => (None, line),
        None => return None,
    };
    let (severity, message) = [("error: ", Severity::Error), ("warning: ", Severity::Warning)]
        .iter()
        .find_map(|&(mark, severity)| Some((severity, rest.strip_prefix(mark)?)))?;
    let (code, message) = match message.strip_prefix('[').and_then(|text| text.split_once("] ")) {
        Some((code, message)) if !code.contains(' ') => (Some(code.to_owned()), message),
        Some(_) | None => (None, message),
    };
    Some(Diagnostic {
        severity: Some(severity),
        code,
        message: message.to_owned(),
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        ..Diagnostic::default()
    })
}

fn note(text: &str) -> Diagnostic {
    Diagnostic { severity: Some(Severity::Note), message: text.trim().to_owned(), ..Diagnostic::default() }
}

/// The row with the caret alone, and the column it stands in.
fn caret(lines: Lines<'_>) -> Option<(usize, u32)> {
    (2..MESSAGE_LINES_MAX).find_map(|n| {
        let row = lines.ahead(n)?.trim_end();
        let before = row.strip_suffix('^')?;
        if !before.bytes().all(|b| matches!(b, b' ' | b'\t')) {
            return None;
        }
        let column = before.bytes().fold(0u32, |column, byte| match byte {
            b'\t' => (column / TAB_COLUMNS + 1).saturating_mul(TAB_COLUMNS),
            _ => column.saturating_add(1),
        });
        Some((n, column.saturating_add(1)))
    })
}
