//! ReSharper's InspectCode: kinds of issues with their severity, then each issue with its file and line.

use std::collections::HashMap;

use super::xml::{Event, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "inspectcode",
    kind: Kind::Linter,
    commands: &["inspectcode", "jb inspectcode"],
    xml_roots: &["Report"],
    reader: || Box::new(InspectCode),
    ..Tool::DEFAULT
};

struct InspectCode;

impl Reader for InspectCode {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml().filter(|text| text.contains("<Issue")) else { return false };
        let mut kinds: HashMap<String, Option<Severity>> = HashMap::new();
        for event in Xml::new(text) {
            let Event::Start(tag) = event else { continue };
            match tag.name {
                "IssueType" => {
                    if let Some(id) = tag.get("Id") {
                        kinds.insert(id.into_owned(), tag.get("Severity").and_then(|word| severity(&word)));
                    }
                }
                "Issue" => {
                    let word = |name: &str| tag.get(name).map(String::from);
                    let code = word("TypeId");
                    let said = code.as_ref().and_then(|code| kinds.get(code).copied().flatten());
                    sink.diagnostic(Diagnostic {
                        // Newer ones say it on the issue as well.
                        severity: tag.get("Severity").and_then(|word| severity(&word)).or(said),
                        code,
                        message: word("Message").unwrap_or_default(),
                        file: word("File"),
                        line: tag.position("Line"),
                        ..Diagnostic::default()
                    });
                }
                _ => {}
            }
        }
        true
    }
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "ERROR" => Some(Severity::Error),
        "WARNING" => Some(Severity::Warning),
        "SUGGESTION" => Some(Severity::Hint),
        "HINT" => Some(Severity::Hint),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Severity, ToolOutput, parse};

    #[test]
    fn the_kind_says_the_severity() {
        let text = "<Report ToolsVersion=\"9.0\"><IssueTypes><IssueType Id=\"Redundant\" Severity=\"WARNING\"/></IssueTypes>\n\
                    <Issues><Project Name=\"A\"><Issue TypeId=\"Redundant\" File=\"A\\P.cs\" Offset=\"4-8\" Line=\"6\" Message=\"bad\"/>\n\
                    </Project></Issues></Report>\n";
        let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
        assert_eq!((found[0].severity, found[0].code.as_deref()), (Some(Severity::Warning), Some("Redundant")));
        assert_eq!((found[0].file.as_deref(), found[0].line), (Some("A\\P.cs"), Some(6)));
    }
}
