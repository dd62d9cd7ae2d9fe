//! The Clang static analyzer's property list: what was found where, and the path that leads there.

use serde_json::{Map, Value};

use super::xml::{Event, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "clang-analyzer",
    kind: Kind::Linter,
    commands: &["scan-build"],
    xml_roots: &["plist"],
    reader: || Box::new(Plist),
    ..Tool::DEFAULT
};

const DEPTH_MAX: usize = 64;

struct Plist;

impl Reader for Plist {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        // Most property lists are settings of programs.
        let Some(text) = document.xml().filter(|text| text.contains("<key>diagnostics</key>")) else { return false };
        let list = value(text);
        let Some(items) = list.get("diagnostics").and_then(Value::as_array) else { return false };
        let files: Vec<&str> =
            list.get("files").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        items.iter().filter_map(|item| finding(item, &files)).for_each(|found| sink.diagnostic(found));
        true
    }
}

fn finding(item: &Value, files: &[&str]) -> Option<Diagnostic> {
    let word = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let events = item.get("path").and_then(Value::as_array).into_iter().flatten();
    let events = events.filter(|step| step.get("kind").and_then(Value::as_str) == Some("event"));
    let notes = events.filter_map(|step| {
        let message = step.get("message").or_else(|| step.get("extended_message"))?.as_str()?.to_owned();
        Some(Diagnostic { severity: Some(Severity::Note), message, ..at(step.get("location")?, files) })
    });
    Some(Diagnostic {
        code: word("check_name").or_else(|| word("type")),
        message: word("description")?,
        related: notes.collect(),
        ..at(item.get("location")?, files)
    })
}

fn at(location: &Value, files: &[&str]) -> Diagnostic {
    let number = |name: &str| location.get(name).and_then(Value::as_u64);
    let position = |name: &str| number(name).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let file = number("file").and_then(|n| files.get(usize::try_from(n).ok()?));
    Diagnostic {
        file: file.map(|file| (*file).to_owned()),
        line: position("line"),
        column: position("col"),
        ..Diagnostic::default()
    }
}

enum Open {
    Dict(Map<String, Value>, String),
    Array(Vec<Value>),
}

/// A property list's `dict` and `array` as objects and lists.
fn value(text: &str) -> Value {
    let mut open: Vec<Open> = Vec::new();
    let (mut leaf, mut said) = ("", String::new());
    let mut root = Value::Null;
    for event in Xml::new(text) {
        match event {
            Event::Start(tag) => {
                said.clear();
                leaf = tag.name;
                let empty = match tag.name {
                    "dict" => Open::Dict(Map::new(), String::new()),
                    "array" => Open::Array(Vec::new()),
                    _ => continue,
                };
                if tag.empty {
                    put(&mut open, closed(empty));
                } else if open.len() < DEPTH_MAX {
                    open.push(empty);
                } else {
                    return Value::Null;
                }
            }
            Event::Text(text) => said.push_str(&text),
            Event::End("dict" | "array") => {
                let Some(done) = open.pop().map(closed) else { break };
                if open.is_empty() {
                    root = done;
                    break;
                }
                put(&mut open, done);
            }
            Event::End("key") => {
                if let Some(Open::Dict(_, key)) = open.last_mut() {
                    *key = said.trim().to_owned();
                }
            }
            Event::End(name) if name == leaf => {
                let text = said.trim();
                let number = (name == "integer").then(|| text.parse::<u64>().ok()).flatten();
                put(&mut open, number.map_or_else(|| Value::String(text.to_owned()), Value::from));
            }
            Event::End(_) => {}
        }
    }
    root
}

fn closed(open: Open) -> Value {
    match open {
        Open::Dict(object, _) => Value::Object(object),
        Open::Array(items) => Value::Array(items),
    }
}

fn put(open: &mut [Open], value: Value) {
    match open.last_mut() {
        Some(Open::Dict(object, key)) => {
            object.insert(std::mem::take(key), value);
        }
        Some(Open::Array(items)) => items.push(value),
        None => {}
    }
}
