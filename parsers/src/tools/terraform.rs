//! terraform, tofu and tflint: `Error: message`, then `  on main.tf line 3, in resource "a" "b":`, in a drawn box or not.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "terraform",
    kind: Kind::Linter,
    commands: &["terraform validate", "terraform plan", "tofu validate", "tofu plan", "tflint"],
    anchors: &["  on "],
    reader: || Box::new(Terraform),
    ..Tool::DEFAULT
};

/// Between a message and its place.
const ABOVE_MAX: usize = 4;
const CODE_LINES_MAX: usize = 40;

struct Terraform;

impl Reader for Terraform {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some((file, line)) = place(unboxed(lines.first())) else { return 0 };
        let above = (1..=ABOVE_MAX).filter_map(|n| lines.back(n)).map(unboxed).find(|text| !text.trim().is_empty());
        let Some((severity, message)) = above.and_then(header) else { return 0 };
        let (message, code) = match message.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
            Some((message, rule)) if rule.contains('_') && !rule.contains(' ') => (message, Some(rule.to_owned())),
            Some(_) | None => (message, None),
        };
        sink.diagnostic(Diagnostic {
            severity: Some(severity),
            code,
            message: message.to_owned(),
            file: Some(file.to_owned()),
            line: Some(line),
            ..Diagnostic::default()
        });
        let is_code = |line: &str| {
            let text = unboxed(line).trim_start();
            text.split_once(": ").or(text.strip_suffix(':').map(|n| (n, ""))).is_some_and(|(n, _)| number(n).is_some())
        };
        1 + (1..CODE_LINES_MAX).map_while(|n| lines.ahead(n)).take_while(|line| is_code(line)).count()
    }
}

fn unboxed(line: &str) -> &str {
    line.strip_prefix("│").map_or(line, |rest| rest.strip_prefix(' ').unwrap_or(rest))
}

/// `  on main.tf line 3, in variable "x":`
fn place(text: &str) -> Option<(&str, u32)> {
    let (file, rest) = text.strip_prefix("  on ")?.strip_suffix(':')?.split_once(" line ")?;
    let (line, _) = rest.split_once(',').unwrap_or((rest, ""));
    Some((file, number(line)?))
}

fn header(text: &str) -> Option<(Severity, &str)> {
    let words = [("Error: ", Severity::Error), ("Warning: ", Severity::Warning), ("Notice: ", Severity::Note)];
    words.into_iter().find_map(|(word, severity)| Some((severity, text.strip_prefix(word)?.trim_end())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ToolOutput, parse};

    #[test]
    fn boxed_plain_and_linted() {
        for (text, severity, code, message) in [
            (
                "╷\n│ Error: Reference to undeclared input variable\n│ \n│   on main.tf line 2, in resource \"a\" \"b\":\n│    2:   ami = var.missing\n╵\n",
                Severity::Error,
                None,
                "Reference to undeclared input variable",
            ),
            (
                "Warning: `foo` is declared but not used (terraform_unused_declarations)\n\n  on main.tf line 2:\n   2: variable \"foo\" {}\n",
                Severity::Warning,
                Some("terraform_unused_declarations"),
                "`foo` is declared but not used",
            ),
        ] {
            let found =
                parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics.pop().unwrap();
            assert_eq!((found.file.as_deref(), found.line), (Some("main.tf"), Some(2)), "{text}");
            assert_eq!(
                (found.severity, found.code.as_deref(), found.message.as_str()),
                (Some(severity), code, message)
            );
        }
        let text = b"  on main.tf line 2:\n";
        assert!(parse(&ToolOutput { text, ..ToolOutput::default() }).diagnostics.is_empty());
    }
}
