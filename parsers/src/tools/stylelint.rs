//! stylelint's own report: rows with a mark under the name of their file, and the totals.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "stylelint",
    kind: Kind::Linter,
    commands: &["stylelint"],
    anchors: &["  ✖  ", "  ⚠  ", "  ×  ", "  ‼  ", "  ℹ  "],
    reader: || Box::new(Stylelint::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Stylelint {
    /// The file whose rows are being read.
    file: Option<String>,
}

impl Reader for Stylelint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        if Row::parse(lines.first()).is_none() {
            return 0;
        }
        let above = lines.back(1).unwrap_or("").trim_end();
        if Row::parse(above).is_none() {
            let is_file = !above.is_empty() && !above.starts_with([' ', '\t']);
            self.file = is_file.then(|| above.to_owned());
        }
        let Some(file) = &self.file else { return 0 };
        let mut read = 0;
        while let Some(row) = lines.ahead(read).and_then(Row::parse) {
            sink.diagnostic(Diagnostic {
                severity: Some(row.severity),
                code: row.rule.map(str::to_owned),
                message: row.message.to_owned(),
                file: Some(file.clone()),
                line: Some(row.line),
                column: Some(row.column),
                ..Diagnostic::default()
            });
            read += 1;
        }
        read
    }
}

/// ` 46:3   ✖  message   rule-name`
struct Row<'a> {
    line: u32,
    column: u32,
    severity: Severity,
    message: &'a str,
    rule: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, rest) = line.strip_prefix(' ')?.trim_start().split_once("  ")?;
        let (row, column) = place.split_once(':')?;
        let rest = rest.trim_start();
        let mark = rest.chars().next()?;
        let severity = match mark {
            '✖' | '×' => Severity::Error,
            '⚠' | '‼' => Severity::Warning,
            'ℹ' => Severity::Info,
            _ => return None,
        };
        let text = rest[mark.len_utf8()..].strip_prefix("  ")?.trim();
        let is_rule = |rule: &str| {
            !rule.is_empty()
                && rule.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '@' | '.'))
        };
        let (message, rule) = match text.rsplit_once("  ") {
            Some((message, rule)) if is_rule(rule) => (message.trim_end(), Some(rule)),
            Some(_) | None => (text, None),
        };
        Some(Self { line: number(row)?, column: number(column)?, severity, message, rule })
    }
}
