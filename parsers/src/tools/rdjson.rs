//! reviewdog's Diagnostic Format: one JSON document (`rdjson`) or one diagnostic a line (`rdjsonl`).

use serde_json::Value;

use super::{Kind, Reader, Tool, ruff};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "rdjson",
    kind: Kind::Linter,
    json: &["\"diagnostics\":", "\"diagnostics\" :", "\"location\":"],
    reader: || Box::new(Rdjson),
    ..Tool::DEFAULT
};

struct Rdjson;

impl Reader for Rdjson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(value) = document.json::<Value>() else { return false };
        let Some(list) = value.get("diagnostics") else {
            let found = finding(&value, &Value::Null);
            return found.map(|found| sink.diagnostic(found)).is_some();
        };
        let Some(list) = list.as_array() else { return false };
        let found: Option<Vec<Diagnostic>> = list.iter().map(|item| finding(item, &value)).collect();
        let Some(found) = found else { return false };
        // Other formats have a list of that name too.
        if found.is_empty() && value["source"]["name"].as_str().is_none() {
            return false;
        }
        if found.is_empty() {
            sink.evidence(Evidence::SaysPassed);
        }
        found.into_iter().for_each(|found| sink.diagnostic(found));
        true
    }
}

fn finding(item: &Value, document: &Value) -> Option<Diagnostic> {
    let location = &item["location"];
    let source = item["source"]["name"].as_str().or_else(|| document["source"]["name"].as_str());
    // ruff writes one constant for the whole document; its findings are errors in every other form.
    let of_all = if source == Some("ruff") { Some("ERROR") } else { document["severity"].as_str() };
    let severity = item["severity"].as_str().or(of_all);
    let code = item["code"]["value"].as_str();
    let mut diagnostic = Diagnostic {
        source: source.unwrap_or("").to_owned(),
        severity: match severity {
            Some("ERROR") => Some(Severity::Error),
            Some("WARNING") => Some(Severity::Warning),
            Some("INFO") => Some(Severity::Info),
            Some(_) | None => None,
        },
        code: code.map(|code| if source == Some("ruff") { ruff::rules::code(code) } else { code }.to_owned()),
        message: item["message"].as_str()?.to_owned(),
        file: Some(location["path"].as_str()?.to_owned()),
        ..Diagnostic::default()
    };
    let (line, column) = position(&location["range"]["start"]);
    (diagnostic.line, diagnostic.column) = (line, column);
    (diagnostic.end_line, diagnostic.end_column) = position(&location["range"]["end"]);
    let edits: Vec<Edit> = item["suggestions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|suggestion| edit(suggestion, location["path"].as_str()?))
        .collect();
    diagnostic.suggestions = edits
        .into_iter()
        .map(|edit| Suggestion { message: String::new(), applicability: Applicability::Unspecified, edits: vec![edit] })
        .collect();
    for related in
        item["relatedLocations"].as_array().or_else(|| item["related_locations"].as_array()).into_iter().flatten()
    {
        let (line, column) = position(&related["location"]["range"]["start"]);
        diagnostic.related.push(Diagnostic {
            severity: Some(Severity::Note),
            message: related["message"].as_str().unwrap_or("").to_owned(),
            file: related["location"]["path"].as_str().map(str::to_owned),
            line,
            column,
            ..Diagnostic::default()
        });
    }
    Some(diagnostic)
}

/// Line and column; ends are exclusive.
fn position(value: &Value) -> (Option<u32>, Option<u32>) {
    let number = |name: &str| value[name].as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    (number("line"), number("column"))
}

fn edit(suggestion: &Value, file: &str) -> Option<Edit> {
    let (line, column) = position(&suggestion["range"]["start"]);
    let (end_line, end_column) = position(&suggestion["range"]["end"]);
    Some(Edit::Replace {
        file: file.to_owned(),
        line: line?,
        column: column?,
        end_line: end_line.or(line)?,
        end_column: end_column.or(column)?,
        replacement: suggestion["text"].as_str()?.to_owned(),
    })
}
