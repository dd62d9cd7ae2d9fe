//! robotframework-lint: `+ a.robot`, then `W: 25, 100: message (RuleName)` for each finding in it.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "rflint",
    kind: Kind::Linter,
    commands: &["rflint"],
    anchors: &["W: ", "E: ", "I: "],
    reader: || Box::new(Rflint::default()),
    ..Tool::DEFAULT
};

#[derive(Default)]
struct Rflint {
    file: Option<String>,
}

impl Reader for Rflint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(mut found) = finding(lines.first()) else { return 0 };
        let above = (1..=Lines::BACK_MAX).map_while(|n| lines.back(n)).find(|line| finding(line).is_none());
        if let Some(file) = above.and_then(|line| line.strip_prefix("+ ")) {
            self.file = Some(file.trim_end().to_owned());
        } else if above.is_some() {
            self.file = None;
        }
        if self.file.is_none() {
            return 0;
        }
        found.file.clone_from(&self.file);
        sink.diagnostic(found);
        1
    }
}

fn finding(line: &str) -> Option<Diagnostic> {
    let severity = match line.as_bytes().get(..3)? {
        b"E: " => Severity::Error,
        b"W: " => Severity::Warning,
        b"I: " => Severity::Info,
        // Rules of one's own may have any letter.
        [b'A'..=b'Z', b':', b' '] => return row(&line[3..], None),
        _ => return None,
    };
    row(&line[3..], Some(severity))
}

fn row(text: &str, severity: Option<Severity>) -> Option<Diagnostic> {
    let (place, rest) = text.split_once(": ")?;
    let (line, column) = place.split_once(", ")?;
    let (line, column) = (number(line)?, number(column)?);
    let (message, rule) = rest.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    Some(Diagnostic {
        severity,
        code: Some(rule.to_owned()),
        message: message.to_owned(),
        line: Some(line).filter(|line| *line > 0),
        column: Some(column).filter(|column| *column > 0),
        ..Diagnostic::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn findings_belong_to_the_file_above() {
        let text = "+ ./a.robot\nW: 25, 100: Line is too long (LineTooLong)\nE: 40, 0: No documentation (RequireDoc)\n";
        let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].file.as_deref(), found[1].line, found[1].column), (Some("./a.robot"), Some(40), None));
        assert_eq!(found[0].code.as_deref(), Some("LineTooLong"));
        let apt = "W: 25, 100: is no file's finding (Rule)\nE: Unable to locate package x\n";
        assert!(parse(&ToolOutput { text: apt.as_bytes(), ..ToolOutput::default() }).diagnostics.is_empty());
    }
}
