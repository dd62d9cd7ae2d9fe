//! Nix: `error: message`, and below it, perhaps after an empty line, `at /a/flake.nix:18:23:` with the code.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "nix",
    kind: Kind::Compiler,
    commands: &["nix", "nix-build", "nix-shell", "nix-instantiate", "nixos-rebuild"],
    anchors: &[".nix:"],
    reader: || Box::new(Nix),
    ..Tool::DEFAULT
};

const ABOVE_MAX: usize = 4;

struct Nix;

impl Reader for Nix {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(place) = lines.first().trim().strip_prefix("at ").and_then(|text| text.strip_suffix(':')) else {
            return 0;
        };
        let Some(place) = Place::colons(place).filter(|place| place.file.trim_end_matches('>').ends_with(".nix"))
        else {
            return 0;
        };
        // A step of the evaluation (`… while calling …`) has its place too, and is no finding.
        let above = (1..=ABOVE_MAX).filter_map(|n| lines.back(n)).map(str::trim).find(|text| !text.is_empty());
        let Some((severity, message)) = above.and_then(said) else { return 0 };
        sink.diagnostic(Diagnostic { severity: Some(severity), message: message.to_owned(), ..place.diagnostic() });
        1
    }
}

fn said(text: &str) -> Option<(Severity, &str)> {
    let (severity, message) = match text.strip_prefix("error: ") {
        Some(message) => (Severity::Error, message),
        None => {
            (Severity::Warning, text.strip_prefix("warning: ").or_else(|| text.strip_prefix("evaluation warning: "))?)
        }
    };
    (!message.is_empty()).then_some((severity, message))
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, parse};

    #[test]
    fn only_the_error_is_a_finding() {
        let text = "error:\n       … while evaluating the attribute 'x'\n         at /w/lib.nix:3:5:\n            2|\n\n       error: undefined variable 'y'\n\n       at /w/flake.nix:18:23:\n           17|\n";
        let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_deref(), found[0].line, found[0].column),
            (Some("/w/flake.nix"), Some(18), Some(23))
        );
        assert_eq!((found[0].severity, found[0].message.as_str()), (Some(Severity::Error), "undefined variable 'y'"));
    }
}
