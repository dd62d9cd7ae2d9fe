//! Findings in linters' XML of a shape of its own: read as if attributes and inner elements were the keys of JSON.

use serde_json::{Map, Value};

use super::xml::{Event, Tag, Xml};
use super::{Kind, Reader, Tool, json_findings};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;

pub(super) const TOOL: Tool = Tool {
    name: "xml-findings",
    kind: Kind::Generic,
    xml_roots: &[
        "problems",
        "compiler",
        "StyleCopViolations",
        "DEFECTS",
        "FxCopReport",
        "errorList",
        "report",
        "CodeNarc",
        "CodeAnalysis",
        "NewDataSet",
        "issue",
        "violations",
        "warnings",
        "errors",
        "diagnostics",
        "analysis",
        "codestyle",
        "phpcs",
        "tslint",
    ],
    reader: || Box::new(XmlFindings),
    ..Tool::DEFAULT
};

const DEPTH_MAX: usize = 64;

struct XmlFindings;

impl Reader for XmlFindings {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        json_findings::read(&value(text), sink)
    }
}

/// The document's elements as objects: what has neither attributes nor elements in it is a word, what occurs twice a list.
fn value(text: &str) -> Value {
    let mut open: Vec<(String, Map<String, Value>, String)> = vec![(String::new(), Map::new(), String::new())];
    for event in Xml::new(text) {
        match event {
            Event::Start(tag) if open.len() <= DEPTH_MAX => {
                open.push((tag.name.to_owned(), attributes(tag), String::new()));
                if tag.empty {
                    close(&mut open);
                }
            }
            Event::Start(_) => {}
            Event::Text(text) => {
                if let Some((_, _, said)) = open.last_mut()
                    && !text.trim().is_empty()
                {
                    said.push_str(text.trim());
                }
            }
            Event::End(name) => {
                if open.last().is_some_and(|(open, _, _)| open == name) {
                    close(&mut open);
                }
            }
        }
    }
    while open.len() > 1 {
        close(&mut open);
    }
    Value::Object(open.pop().map(|(_, object, _)| object).unwrap_or_default())
}

fn attributes(tag: Tag<'_>) -> Map<String, Value> {
    tag.pairs().map(|(name, value)| (name.to_owned(), Value::String(value.into_owned()))).collect()
}

fn close(open: &mut Vec<(String, Map<String, Value>, String)>) {
    let Some((name, mut object, text)) = open.pop() else { return };
    let Some((_, outer, _)) = open.last_mut() else { return };
    // Eclipse's `<message value="…"/>`
    let alone = match (object.len(), object.get("value")) {
        (1, Some(Value::String(value))) if text.is_empty() => Some(value.clone()),
        _ => None,
    };
    let value = match (alone, object.is_empty()) {
        (Some(value), _) => Value::String(value),
        (None, true) => Value::String(text),
        (None, false) => {
            if !text.is_empty() && !object.contains_key("message") {
                object.insert("message".into(), Value::String(text));
            }
            Value::Object(object)
        }
    };
    match outer.get_mut(&name) {
        None => {
            outer.insert(name, value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let first = first.take();
            outer.insert(name, Value::Array(vec![first, value]));
        }
    }
}
