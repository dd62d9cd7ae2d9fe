//! Gendarme's XML: rules with their problem, and below them the defects with `file(≈line)` where symbols were there.

use super::place::number;
use super::xml::{Event, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "gendarme",
    kind: Kind::Linter,
    commands: &["gendarme"],
    xml_roots: &["gendarme-output"],
    reader: || Box::new(Gendarme),
    ..Tool::DEFAULT
};

struct Gendarme;

impl Reader for Gendarme {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let (mut rule, mut problem) = (None, String::new());
        let mut in_problem = false;
        for event in Xml::new(text) {
            match event {
                Event::Start(tag) => {
                    in_problem = tag.name == "problem";
                    match tag.name {
                        "rule" => {
                            rule = tag.get("Name").map(String::from);
                            problem.clear();
                        }
                        "defect" => {
                            let place = tag.get("Source").map(String::from).unwrap_or_default();
                            let (file, line) = place_of(&place);
                            sink.diagnostic(Diagnostic {
                                severity: tag.get("Severity").and_then(|word| severity(&word)),
                                code: rule.clone(),
                                message: problem.clone(),
                                file,
                                line,
                                ..Diagnostic::default()
                            });
                        }
                        _ => {}
                    }
                }
                Event::Text(text) if in_problem => problem.push_str(text.trim()),
                Event::End("problem") => in_problem = false,
                Event::Text(_) | Event::End(_) => {}
            }
        }
        true
    }
}

/// `C:\a\Dog.cs(≈10)`, `C:\a\Dog.cs(10,4)`; a line that is not known is `unavailable`.
fn place_of(text: &str) -> (Option<String>, Option<u32>) {
    let Some((file, inside)) = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) else {
        return (None, None);
    };
    let line = inside.trim_start_matches(['≈', '~', ' ']).split(',').next().and_then(number);
    match line {
        Some(line) => (Some(file.to_owned()), Some(line)),
        None => (None, None),
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "Critical" | "High" => Some(Severity::Error),
        "Medium" => Some(Severity::Warning),
        "Low" | "Audit" => Some(Severity::Info),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_roughly() {
        assert_eq!(place_of("C:\\a\\Dog.cs(≈10)"), (Some("C:\\a\\Dog.cs".to_owned()), Some(10)));
        assert_eq!(place_of("/a/Dog.cs(10,4)"), (Some("/a/Dog.cs".to_owned()), Some(10)));
        assert_eq!(place_of("[across the assembly]"), (None, None));
        assert_eq!(place_of("debugging symbols unavailable, IL offset 0x0001"), (None, None));
    }
}
