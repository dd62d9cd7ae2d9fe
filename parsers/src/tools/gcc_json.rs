//! gcc's `-fdiagnostics-format=json`: an array of diagnostics with their children, one array a compilation.

use serde_json::Value;

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Applicability, Diagnostic, Edit, Severity, Suggestion};

pub(super) const TOOL: Tool = Tool {
    name: "gcc-json",
    kind: Kind::Compiler,
    json: &["\"caret\":", "\"column-origin\":"],
    reader: || Box::new(GccJson),
    ..Tool::DEFAULT
};

const DEPTH_MAX: usize = 8;

struct GccJson;

impl Reader for GccJson {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(Value::Array(list)) = document.json::<Value>() else { return false };
        let found: Option<Vec<Diagnostic>> = list.iter().map(|item| finding(item, 0)).collect();
        let Some(found) = found.filter(|found| !found.is_empty()) else { return false };
        found.into_iter().for_each(|found| sink.diagnostic(found));
        true
    }
}

fn finding(item: &Value, depth: usize) -> Option<Diagnostic> {
    let severity = match item["kind"].as_str()? {
        "error" | "fatal error" | "internal compiler error" | "sorry, unimplemented" => Severity::Error,
        "warning" | "pedwarn" | "permerror" | "anachronism" => Severity::Warning,
        "note" => Severity::Note,
        _ => return None,
    };
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    let location = &item["locations"][0];
    let caret = &location["caret"];
    let finish = &location["finish"];
    let column = number(&caret["column"]).filter(|column| *column > 0);
    let children = item["children"].as_array().into_iter().flatten();
    let related =
        if depth < DEPTH_MAX { children.filter_map(|child| finding(child, depth + 1)).collect() } else { vec![] };
    let edits: Vec<Edit> = item["fixits"].as_array().into_iter().flatten().filter_map(edit).collect();
    Some(Diagnostic {
        source: "gcc".to_owned(),
        severity: Some(severity),
        code: item["option"].as_str().map(str::to_owned),
        message: item["message"].as_str()?.to_owned(),
        file: caret["file"].as_str().map(str::to_owned),
        line: number(&caret["line"]),
        column,
        // `finish` is the last character of the range; a range of one character has none.
        end_line: number(&finish["line"]).or_else(|| column.and(number(&caret["line"]))),
        end_column: number(&finish["column"]).or(column).and_then(|column| column.checked_add(1)),
        related,
        suggestions: if edits.is_empty() {
            vec![]
        } else {
            vec![Suggestion { message: String::new(), applicability: Applicability::MaybeIncorrect, edits }]
        },
        ..Diagnostic::default()
    })
}

/// `start` to `next`, which is exclusive.
fn edit(fix: &Value) -> Option<Edit> {
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    let (start, next) = (&fix["start"], &fix["next"]);
    Some(Edit::Replace {
        file: start["file"].as_str()?.to_owned(),
        line: number(&start["line"])?,
        column: number(&start["column"])?,
        end_line: number(&next["line"])?,
        end_column: number(&next["column"])?,
        replacement: fix["string"].as_str()?.to_owned(),
    })
}
