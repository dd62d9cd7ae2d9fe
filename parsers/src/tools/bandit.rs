//! Bandit's report as text: `>> Issue: [B602:name] message`, some lines below its severity and `Location: a.py:6:15`.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "bandit",
    kind: Kind::Linter,
    commands: &["bandit"],
    anchors: &[">> Issue: ["],
    reader: || Box::new(Bandit),
    ..Tool::DEFAULT
};

struct Bandit;

impl Reader for Bandit {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        const BELOW_MAX: usize = 8;
        let Some((tag, message)) = lines.first().strip_prefix(">> Issue: [").and_then(|rest| rest.split_once("] "))
        else {
            return 0;
        };
        let code = tag.split(':').next().unwrap_or(tag);
        let mut found =
            Diagnostic { code: Some(code.to_owned()), message: message.trim().to_owned(), ..Diagnostic::default() };
        for n in 1..=BELOW_MAX {
            let Some(text) = lines.ahead(n).and_then(|line| line.strip_prefix("   ")) else { break };
            if let Some(rest) = text.strip_prefix("Severity: ") {
                found.severity = match rest.split(' ').next() {
                    Some("High") => Some(Severity::Error),
                    Some("Medium") => Some(Severity::Warning),
                    Some("Low") => Some(Severity::Info),
                    Some(_) | None => None,
                };
            } else if let Some(place) = text.strip_prefix("Location: ") {
                // A column may be 0 here; older ones print none.
                let place = place.trim();
                let (bare, column) = match place.rsplit_once(':') {
                    Some((bare, column)) if Place::colons(bare).is_some() => (bare, super::place::number(column)),
                    Some(_) | None => (place, None),
                };
                if let Some(place) = Place::colons(bare) {
                    found.file = Some(place.file.to_owned());
                    found.line = Some(place.line);
                    found.column = column.filter(|column| *column > 0);
                }
                sink.diagnostic(found);
                return n + 1;
            }
        }
        sink.diagnostic(found);
        1
    }
}
