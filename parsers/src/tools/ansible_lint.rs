//! ansible-lint: `rule: message`, and below it `a.yml:4:7 ` with what it is about.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::Diagnostic;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;

pub(super) const TOOL: Tool = Tool {
    name: "ansible-lint",
    kind: Kind::Linter,
    commands: &["ansible-lint"],
    anchors: &[".yml:", ".yaml:", "Passed: 0 failure(s), "],
    reader: || Box::new(AnsibleLint),
    ..Tool::DEFAULT
};

struct AnsibleLint;

impl Reader for AnsibleLint {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.starts_with("Passed: 0 failure(s), ") && line.contains(" files processed of ") {
            sink.evidence(Evidence::SaysPassed);
            return 1;
        }
        let (place, about) = line.split_once(' ').unwrap_or((line, ""));
        let Some(place) =
            Place::colons(place).filter(|place| place.file.ends_with(".yml") || place.file.ends_with(".yaml"))
        else {
            return 0;
        };
        let Some((code, message)) = lines.back(1).and_then(rule) else { return 0 };
        // Each finding has a blank line below it.
        if lines.ahead(1).is_some_and(|below| !below.trim().is_empty()) {
            return 0;
        }
        let message = match about.is_empty() || about.starts_with("Task/Handler: ") {
            true => message.to_owned(),
            false => format!("{message}\n{about}"),
        };
        sink.diagnostic(Diagnostic { code: Some(code.to_owned()), message, ..place.diagnostic() });
        1
    }
}

/// `no-changed-when: message`, `fqcn[action-core]: message`
fn rule(line: &str) -> Option<(&str, &str)> {
    let (code, message) = line.trim_end().split_once(": ")?;
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    let (name, part) = code
        .strip_suffix(']')
        .and_then(|code| code.split_once('['))
        .map_or((code, None), |(name, part)| (name, Some(part)));
    let named = plain(name) && (name.contains('-') || part.is_some()) && part.is_none_or(|part| !part.contains(' '));
    (named && !message.is_empty()).then_some((code, message))
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn a_place_without_a_rule_above_it_is_left_alone() {
        let text = b"see the docs: it is there\nb.yml:3 b\n\nno-x: message\nb.yml:3 b\nmore text\n";
        let report = parse(&ToolOutput { text, ..ToolOutput::default() });
        assert!(report.diagnostics.iter().all(|found| found.source != "ansible-lint"), "{report:?}");
    }
}
