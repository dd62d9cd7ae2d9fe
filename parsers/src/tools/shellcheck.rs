//! shellcheck's terminal form: `In a.sh line 3:`, the code, then `^-- SC2086 (info): message` for each finding on it.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "shellcheck",
    kind: Kind::Linter,
    commands: &["shellcheck"],
    anchors: &["In "],
    reader: || Box::new(Shellcheck),
    ..Tool::DEFAULT
};

const FINDINGS_MAX: usize = 100;

struct Shellcheck;

impl Reader for Shellcheck {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((file, line)) = head(lines.first()) else { return 0 };
        let mut read = 2;
        while read < FINDINGS_MAX {
            let Some(mut found) = lines.ahead(read).and_then(finding) else { break };
            (found.file, found.line) = (Some(file.to_owned()), Some(line));
            sink.diagnostic(found);
            read += 1;
        }
        if read > 2 { read } else { 0 }
    }
}

/// `In a b.sh line 3:`
fn head(line: &str) -> Option<(&str, u32)> {
    let (file, line) = line.strip_prefix("In ")?.strip_suffix(':')?.rsplit_once(" line ")?;
    Some((file, line.parse().ok()?))
}

/// `     ^---^ SC2086 (info): Double quote …`; older versions print no severity.
fn finding(line: &str) -> Option<Diagnostic> {
    let marks = line.trim_start();
    let column = line.len() - marks.len() + 1;
    let rest = marks.trim_start_matches(['^', '-']);
    let width = marks.len() - rest.len();
    let (head, message) = rest.trim_start().split_once(": ")?;
    let (code, severity) = match head.split_once(" (") {
        Some((code, word)) => (
            code,
            match word.trim_end_matches(')') {
                "error" => Some(Severity::Error),
                "warning" => Some(Severity::Warning),
                "info" | "style" => Some(Severity::Info),
                _ => None,
            },
        ),
        None => (head, None),
    };
    let own = marks.starts_with('^') && code.strip_prefix("SC")?.bytes().all(|b| b.is_ascii_digit());
    let column = u32::try_from(column).ok()?;
    // `^--` marks one character, `^---^` all of them.
    let length =
        if marks[..width].len() > 1 && marks[..width].ends_with('^') { u32::try_from(width).ok()? } else { 1 };
    own.then(|| Diagnostic {
        severity,
        code: Some(code.to_owned()),
        message: message.trim().to_owned(),
        column: Some(column),
        end_column: column.checked_add(length),
        ..Diagnostic::default()
    })
}
