//! yamllint: a file's name, then `  3:7       error    message  (rule)` for each finding, or `a.yaml:3:7: [error] message
//! (rule)`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "yamllint",
    kind: Kind::Linter,
    commands: &["yamllint"],
    anchors: &["  error    ", "  warning  ", ": [error] ", ": [warning] "],
    reader: || Box::new(Yamllint::default()),
    ..Tool::DEFAULT
};

const RULES: &[&str] = &[
    "anchors",
    "braces",
    "brackets",
    "colons",
    "commas",
    "comments",
    "comments-indentation",
    "document-end",
    "document-start",
    "empty-lines",
    "empty-values",
    "float-values",
    "hyphens",
    "indentation",
    "key-duplicates",
    "key-ordering",
    "line-length",
    "new-line-at-end-of-file",
    "new-lines",
    "octal-values",
    "quoted-strings",
    "trailing-spaces",
    "truthy",
    "syntax",
];

#[derive(Default)]
struct Yamllint {
    file: Option<String>,
}

impl Reader for Yamllint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        if let Some(found) = parsable(lines.first()) {
            sink.diagnostic(found);
            return 1;
        }
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
    let rest = rest.trim().strip_suffix(')')?;
    // What the YAML parser says names its rule in the message.
    let (message, code) = rest.rsplit_once("  (").or_else(|| Some((rest.strip_suffix(" (syntax")?, "syntax")))?;
    Some(Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        line: Some(row.parse().ok()?),
        column: Some(column.parse().ok()?),
        ..Diagnostic::default()
    })
}

fn parsable(line: &str) -> Option<Diagnostic> {
    let line = line.trim_end();
    let ((place, rest), severity) = line
        .split_once(": [error] ")
        .map(|parts| (parts, Severity::Error))
        .or_else(|| Some((line.split_once(": [warning] ")?, Severity::Warning)))?;
    let place = Place::colons(place).filter(|place| place.column.is_some())?;
    let (message, code) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    RULES.contains(&code).then(|| Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        ..place.diagnostic()
    })
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, parse};

    #[test]
    fn the_rule_stands_in_brackets_at_the_end_in_both_forms() {
        let standard = "y.yaml\n  3:5       error    too many spaces after colon  (colons)\n  \
                        4:3       error    syntax error: expected <block end> (syntax)\n  \
                        6:4       warning  truthy value should be one of [false, true]  (truthy)\n";
        let parsable = "y.yaml:3:5: [error] too many spaces after colon (colons)\n\
                        y.yaml:4:3: [error] syntax error: expected <block end> (syntax)\n\
                        y.yaml:6:4: [warning] truthy value should be one of [false, true] (truthy)\n";
        for text in [standard, parsable] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            let found: Vec<_> = report.diagnostics.iter().map(|d| (d.line, d.code.as_deref(), d.severity)).collect();
            let error = Some(Severity::Error);
            let rows = [(3, "colons", error), (4, "syntax", error), (6, "truthy", Some(Severity::Warning))];
            assert_eq!(found, rows.map(|(line, code, severity)| (Some(line), Some(code), severity)), "{text}");
            assert_eq!(report.diagnostics[1].message, "syntax error: expected <block end>");
        }
    }
}
