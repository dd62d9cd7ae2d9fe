//! Findings in a table: PMD's, CoffeeLint's and Polyspace's CSV, whose first row names the columns.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "table",
    kind: Kind::Generic,
    anchors: &["Line\"", "\tLine\t", "lineNumber,", ",line_number,", ",line,", ",LINE,", "Line,"],
    reader: || Box::new(Table::default()),
    ..Tool::DEFAULT
};

const COLUMNS_MAX: usize = 64;

/// Where each thing stands in a row.
#[derive(Default)]
struct Table {
    separator: Option<char>,
    columns: usize,
    file: Option<usize>,
    line: usize,
    column: Option<usize>,
    message: usize,
    code: Option<usize>,
    severity: Option<usize>,
}

impl Reader for Table {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if let Some(separator) = self.separator {
            if let Some(found) = self.row(line, separator) {
                sink.diagnostic(found);
                return 1;
            }
            self.separator = None;
        }
        let head = ['\t', ',', ';'].into_iter().find_map(|separator| Self::head(line, separator));
        match head {
            Some(table) => {
                *self = table;
                1
            }
            None => 0,
        }
    }

    fn is_open(&self) -> bool {
        self.separator.is_some()
    }
}

impl Table {
    fn head(line: &str, separator: char) -> Option<Self> {
        let names: Vec<String> = cells(line, separator)?.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let find = |wanted: &[&str]| wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
        Some(Self {
            separator: Some(separator),
            columns: names.len(),
            file: find(&["file", "filename", "path", "file_path", "filepath"]),
            line: find(&["line", "linenumber", "line_number", "lineno", "line number"])?,
            column: find(&["column", "col", "column_number", "position"]),
            message: find(&["description", "message", "text", "issue_text", "msg", "check"])?,
            // A check's name is its code; `id` then numbers the findings.
            code: find(&["rule", "rule id", "code", "test_id"])
                .or_else(|| find(&["id", "checker"]).filter(|_| find(&["check"]).is_none())),
            severity: find(&["severity", "level", "issue_severity", "type"]),
        })
        .filter(|table| table.file.is_some() || table.severity.is_some())
    }

    fn row(&self, line: &str, separator: char) -> Option<Diagnostic> {
        let cells = cells(line, separator).filter(|cells| cells.len() == self.columns)?;
        let text = |at: Option<usize>| at.map(|at| cells[at].trim()).filter(|text| !text.is_empty());
        Some(Diagnostic {
            severity: text(self.severity).and_then(severity),
            code: text(self.code).map(str::to_owned),
            message: text(Some(self.message))?.to_owned(),
            file: text(self.file).map(str::to_owned),
            line: Some(number(text(Some(self.line))?)?),
            column: text(self.column).and_then(number).filter(|column| *column > 0),
            ..Diagnostic::default()
        })
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word.to_ascii_lowercase().as_str() {
        "error" | "high" | "critical" => Some(Severity::Error),
        "warning" | "warn" | "medium" => Some(Severity::Warning),
        "info" | "low" => Some(Severity::Info),
        _ => None,
    }
}

/// The cells of a row; `"` may stand around one, doubled inside. `None` for what is no row.
fn cells(line: &str, separator: char) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = line.trim_end_matches('\r');
    loop {
        if cells.len() >= COLUMNS_MAX {
            return None;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut cell = String::new();
            let mut inner = quoted;
            loop {
                let (text, after) = inner.split_once('"')?;
                cell.push_str(text);
                match after.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        inner = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            cells.push(cell);
            match rest.strip_prefix(separator) {
                Some(after) => rest = after,
                None => break,
            }
        } else {
            match rest.split_once(separator) {
                Some((cell, after)) => {
                    cells.push(cell.to_owned());
                    rest = after;
                }
                None => {
                    cells.push(rest.to_owned());
                    break;
                }
            }
        }
    }
    (cells.len() > 2).then_some(cells)
}
