//! PIT's mutations: one that no test detects is a finding.

use super::xml::{Event, Xml};
use super::{Kind, Reader, Tool};
use crate::Diagnostic;
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;

pub(super) const TOOL: Tool =
    Tool { name: "pit", kind: Kind::Linter, xml_roots: &["mutations"], reader: || Box::new(Pit), ..Tool::DEFAULT };

struct Pit;

#[derive(Default)]
struct Mutation {
    status: String,
    file: String,
    class: String,
    line: Option<u32>,
    mutator: String,
    description: String,
}

impl Reader for Pit {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let (mut mutation, mut said): (Option<Mutation>, String) = (None, String::new());
        for event in Xml::new(text) {
            match event {
                Event::Start(tag) => {
                    said.clear();
                    if tag.name == "mutation" {
                        let status = tag.get("status").map(String::from).unwrap_or_default();
                        let undetected = tag.get("detected").as_deref() == Some("false");
                        mutation = undetected.then(|| Mutation { status, ..Mutation::default() });
                    }
                }
                Event::Text(text) => said.push_str(&text),
                Event::End("mutation") => {
                    if let Some(mutation) = mutation.take() {
                        sink.diagnostic(mutation.finding());
                    }
                }
                Event::End(name) => {
                    if let Some(mutation) = &mut mutation {
                        let said = std::mem::take(&mut said).trim().to_owned();
                        match name {
                            "sourceFile" => mutation.file = said,
                            "mutatedClass" => mutation.class = said,
                            "lineNumber" => mutation.line = said.parse().ok().filter(|line| *line > 0),
                            "mutator" => mutation.mutator = said,
                            "description" => mutation.description = said,
                            _ => {}
                        }
                    }
                }
            }
        }
        true
    }
}

impl Mutation {
    fn finding(self) -> Diagnostic {
        // The file's folders are those of the package.
        let file = match self.class.rsplit_once('.') {
            Some((package, _)) => format!("{}/{}", package.replace('.', "/"), self.file),
            None => self.file,
        };
        let mutator = self.mutator.rsplit('.').next().unwrap_or("").to_owned();
        let what = if self.description.is_empty() { &mutator } else { &self.description };
        Diagnostic {
            message: format!("{}: {what}", self.status),
            code: Some(mutator.clone()).filter(|name| !name.is_empty()),
            file: Some(file),
            line: self.line,
            ..Diagnostic::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn what_a_test_killed_is_no_finding() {
        let text = "<mutations>\n<mutation detected='true' status='KILLED'><sourceFile>A.java</sourceFile><lineNumber>3</lineNumber></mutation>\n\
                    <mutation detected='false' status='SURVIVED'><sourceFile>A.java</sourceFile><mutatedClass>org.x.A</mutatedClass>\n\
                    <lineNumber>7</lineNumber><mutator>org.pitest.MathMutator</mutator><description>Replaced + with -</description></mutation>\n</mutations>\n";
        let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].file.as_deref(), found[0].line), (Some("org/x/A.java"), Some(7)));
        assert_eq!(
            (found[0].code.as_deref(), found[0].message.as_str()),
            (Some("MathMutator"), "SURVIVED: Replaced + with -")
        );
    }
}
