//! yamllint's standard form: a file's name, then `  3:7       error    message  (rule)` for each finding.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "yamllint",
    kind: Kind::Linter,
    commands: &["yamllint"],
    anchors: &["  error    ", "  warning  "],
    reader: || Box::new(Yamllint::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Yamllint {
    file: Option<String>,
}

impl Reader for Yamllint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(found) = finding(lines.first()) else { return 0 };
        // The name stands above the first finding; later ones follow it without a gap.
        let before = lines.back(1).unwrap_or("");
        if finding(before).is_none() {
            let name = before.trim_end();
            let named = !name.is_empty() && !name.starts_with(' ') && name.contains('.');
            self.file = named.then(|| name.to_owned());
        }
        let Some(file) = self.file.clone() else { return 0 };
        sink.diagnostic(Diagnostic { file: Some(file), ..found });
        1
    }
}

fn finding(line: &str) -> Option<Diagnostic> {
    let rest = line.strip_prefix("  ")?;
    let (place, rest) = rest.split_once(' ')?;
    let (row, column) = place.split_once(':')?;
    let rest = rest.trim_start();
    let (word, rest) = rest.split_once("  ")?;
    let severity = match word.trim() {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => return None,
    };
    let (message, code) = rest.trim().strip_suffix(')')?.rsplit_once("  (")?;
    Some(Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        line: Some(row.parse().ok()?),
        column: Some(column.parse().ok()?),
        ..Diagnostic::default()
    })
}
