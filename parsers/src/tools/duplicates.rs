//! Duplicated code as XML: PMD's CPD, Simian, dupFinder. One finding a set; the other copies hang on the first.

use super::xml::{Event, Tag, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "duplicates",
    kind: Kind::Linter,
    xml_roots: &["pmd-cpd", "simian", "DuplicatesReport"],
    reader: || Box::new(Duplicates),
    ..Tool::DEFAULT
};

struct Duplicates;

impl Reader for Duplicates {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Document::Xml { text, root, .. } = document else { return false };
        let source = match *root {
            "pmd-cpd" => "cpd",
            "simian" => "simian",
            _ => "dupfinder",
        };
        let mut set: Option<Set> = None;
        let mut element = "";
        for event in Xml::new(text) {
            match event {
                Event::Start(tag) => {
                    element = tag.name;
                    match tag.name {
                        "duplication" | "set" | "Duplicate" => {
                            set = Some(Set { message: message(tag), copies: Vec::new() });
                        }
                        "file" | "block" | "Fragment" => {
                            if let Some(set) = &mut set {
                                set.copies.push(copy(tag));
                            }
                        }
                        "LineRange" => {
                            if let Some(copy) = set.as_mut().and_then(|set| set.copies.last_mut()) {
                                (copy.line, copy.end_line) = (tag.position("Start"), tag.position("End"));
                            }
                        }
                        _ => {}
                    }
                }
                Event::Text(text) if element == "FileName" && !text.trim().is_empty() => {
                    if let Some(copy) = set.as_mut().and_then(|set| set.copies.last_mut()) {
                        copy.file.get_or_insert_with(|| text.trim().to_owned());
                    }
                }
                Event::End("duplication" | "set" | "Duplicate") => {
                    if let Some(found) = set.take().and_then(|set| set.finding(source)) {
                        sink.diagnostic(found);
                    }
                }
                Event::Text(_) | Event::End(_) => {}
            }
        }
        true
    }
}

struct Set {
    message: String,
    copies: Vec<Diagnostic>,
}

impl Set {
    fn finding(self, source: &str) -> Option<Diagnostic> {
        let mut copies = self.copies.into_iter().filter(|copy| copy.file.is_some());
        let first = copies.next()?;
        let note = |copy| Diagnostic { severity: Some(Severity::Note), message: "the same code".to_owned(), ..copy };
        Some(Diagnostic {
            message: self.message,
            source: source.to_owned(),
            related: copies.map(note).collect(),
            ..first
        })
    }
}

/// What the set says of its size: lines, tokens or a cost.
fn message(tag: Tag<'_>) -> String {
    let said = |name: &str, unit: &str| tag.get(name).map(|number| format!("{number} {unit}"));
    let lines = said("lines", "lines").or_else(|| said("lineCount", "lines"));
    let more = said("tokens", "tokens").or_else(|| tag.get("Cost").map(|cost| format!("cost {cost}")));
    match (lines, more) {
        (Some(lines), Some(more)) => format!("duplicated code: {lines}, {more}"),
        (Some(one), None) | (None, Some(one)) => format!("duplicated code: {one}"),
        (None, None) => "duplicated code".to_owned(),
    }
}

fn copy(tag: Tag<'_>) -> Diagnostic {
    let first = |names: &[&str]| names.iter().find_map(|name| tag.position(name));
    Diagnostic {
        file: ["path", "sourceFile"].iter().find_map(|name| tag.get(name)).map(String::from),
        line: first(&["line", "startLineNumber"]),
        column: first(&["column"]),
        end_line: first(&["endline", "endLineNumber"]),
        // CPD's ends are inclusive.
        end_column: first(&["endcolumn"]).and_then(|column| column.checked_add(1)),
        ..Diagnostic::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, parse};

    #[test]
    fn every_copy_is_told() {
        for (text, source, message) in [
            (
                "<?xml version=\"1.0\"?>\n<pmd-cpd xmlns=\"x\">\n<file path=\"/w/a.c\" totalNumberOfTokens=\"9\"/>\n<duplication lines=\"3\" tokens=\"17\">\n\
                 <file line=\"5\" path=\"/w/a.c\"/><file line=\"9\" path=\"/w/b.c\"/><codefragment><![CDATA[x]]></codefragment>\n\
                 </duplication>\n</pmd-cpd>\n",
                "cpd",
                "duplicated code: 3 lines, 17 tokens",
            ),
            (
                "<simian version=\"2\"><check threshold=\"6\"><set lineCount=\"6\">\n\
                 <block sourceFile=\"/w/a.c\" startLineNumber=\"5\" endLineNumber=\"10\"/>\n\
                 <block sourceFile=\"/w/b.c\" startLineNumber=\"9\" endLineNumber=\"14\"/>\n</set></check></simian>\n",
                "simian",
                "duplicated code: 6 lines",
            ),
            (
                "<DuplicatesReport><Duplicates><Duplicate Cost=\"20\"><Fragment><FileName>/w/a.c</FileName>\n\
                 <LineRange Start=\"5\" End=\"10\"/></Fragment><Fragment><FileName>/w/b.c</FileName>\n\
                 <LineRange Start=\"9\" End=\"14\"/></Fragment></Duplicate></Duplicates></DuplicatesReport>\n",
                "dupfinder",
                "duplicated code: cost 20",
            ),
        ] {
            let found = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() }).diagnostics;
            assert_eq!(found.len(), 1, "{source}");
            let (first, other) = (&found[0], &found[0].related[0]);
            assert_eq!((first.source.as_str(), first.message.as_str()), (source, message));
            assert_eq!((first.file.as_deref(), first.line), (Some("/w/a.c"), Some(5)));
            assert_eq!((other.file.as_deref(), other.line), (Some("/w/b.c"), Some(9)));
        }
    }
}
