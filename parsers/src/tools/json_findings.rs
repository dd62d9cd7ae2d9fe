//! Findings in JSON of a shape nobody else knows: linters agree on `file`, `line` and `message`, and on little else.
//!
//! An object with a message and a line is a finding where its file, its rule or its severity stands in it or around it.

mod keys;
mod unplaced;

use serde_json::{Map, Value};

use keys::{CODE, COLUMN, END_COLUMN, END_LINE, FILE, LINE, MESSAGE, MESSAGE_ELSE, PLACES, SEVERITY};

use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "json-findings",
    kind: Kind::Generic,
    json: &[
        "\"line",
        "\"Line",
        "_line",
        "Line\"",
        "LineNumber",
        "lineno\"",
        "\"lnum\"",
        "\"row\"",
        "\"begin",
        "everity\"",
        "\"vulns\"",
        "ulnerabilities\"",
        "\"posn\"",
        "\"pos\"",
    ],
    reader: || Box::new(JsonFindings),
    ..Tool::DEFAULT
};

const PLACE_DEPTH_MAX: usize = 4;
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Of a document; what linters write has few levels.
const DEPTH_MAX: usize = 32;

struct JsonFindings;

impl Reader for JsonFindings {
    fn read(&mut self, _lines: Lines<'_>, _sink: &mut Sink) -> usize {
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        document.json::<Value>().is_some_and(|value| read(&value, sink))
    }
}

/// Adds the findings in `value`; `false` where there is none.
pub(super) fn read(value: &Value, sink: &mut Sink) -> bool {
    let mut found = Vec::new();
    walk(value, Around::default(), 0, &mut found);
    let any = !found.is_empty();
    found.into_iter().for_each(|found| sink.diagnostic(found));
    any
}

/// What objects say for those inside them.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    file: Option<&'a str>,
    severity: Option<Severity>,
    /// Inside a list of findings.
    listed: bool,
}

fn walk<'a>(value: &'a Value, around: Around<'a>, depth: usize, found: &mut Vec<Diagnostic>) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, around, depth + 1, found)),
        Value::Object(object) => {
            if let Some(finding) = finding(object, around) {
                found.push(finding);
                return;
            }
            if around.listed
                && let Some(finding) = unplaced::finding(object, around.file)
            {
                found.push(finding);
                return;
            }
            let file = file_of(object)
                .or_else(|| unplaced::source(object))
                .or_else(|| object.get("name").and_then(Value::as_str).filter(|name| is_path(name)));
            let around = Around { file: file.or(around.file), severity: around.severity, listed: false };
            for (key, value) in object {
                if !value.is_object() && !value.is_array() {
                    continue;
                }
                // `{"src/a.go": [ … ]}`, `{"error": {"data": [ … ]}}`
                let around = match (is_path(key), severity_word(key)) {
                    (true, _) => Around { file: Some(key), ..around },
                    (false, Some(severity)) => Around { severity: Some(severity), ..around },
                    (false, None) => around,
                };
                walk(value, Around { listed: unplaced::is_list(&plain(key)), ..around }, depth + 1, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn finding(object: &Map<String, Value>, around: Around<'_>) -> Option<Diagnostic> {
    let place = place(object);
    let line = place.line?;
    let message = word(object, MESSAGE)
        .or_else(|| sentences(object))
        .or_else(|| nested(object, &["message", "extra", "rule"], &["text", "message", "shortdesc"]))
        .or_else(|| word(object, MESSAGE_ELSE))?;
    let code = code(object, &message);
    let severity = severity(object).or(around.severity);
    // phpcs calls its rules sources, below the name of the file.
    let sniff = around.file.is_some()
        && !object.contains_key("file")
        && place.file.is_some()
        && place.file == rule_source(object);
    let code = if sniff { place.file.map(str::to_owned) } else { code };
    let file = place.file.filter(|_| !sniff).or(around.file);
    if file.is_none() && code.is_none() && severity.is_none() {
        return None;
    }
    let message = message.trim();
    Some(Diagnostic {
        severity,
        code,
        message: message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned(),
        file: file.map(|file| if file.starts_with("file:") { super::sarif::path(file) } else { file.to_owned() }),
        line: Some(line).filter(|line| *line > 0),
        column: place.column,
        end_line: place.end_line,
        end_column: place.end_column,
        related: elsewhere(object, file),
        ..Diagnostic::default()
    })
}

/// Places after the first of a finding that has several.
fn elsewhere(object: &Map<String, Value>, file: Option<&str>) -> Vec<Diagnostic> {
    const LISTS: &[&str] = &["files", "locations", "occurrences", "positions"];
    let lists = LISTS.iter().filter_map(|name| get(object, name)?.as_array());
    let more = lists.flat_map(|items| items.iter().skip(1)).filter_map(Value::as_object);
    let note = |item: &Map<String, Value>| {
        let place = place(item);
        Some(Diagnostic {
            severity: Some(Severity::Note),
            message: word(item, &["message", "text"]).unwrap_or_else(|| "here too".to_owned()),
            file: place.file.or(file).map(str::to_owned),
            line: Some(place.line.filter(|line| *line > 0)?),
            column: place.column,
            ..Diagnostic::default()
        })
    };
    more.filter_map(note).collect()
}

#[derive(Default)]
struct Place<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
}

fn place(object: &Map<String, Value>) -> Place<'_> {
    let mut place = Place::default();
    fill(object, &mut place, "", 0);
    // go vet's `"posn": "a.go:6:14"`
    if let Some((file, line, column)) = object.get("posn").and_then(Value::as_str).and_then(position) {
        (place.file, place.line, place.column) = (Some(file), Some(line), Some(column));
        if let Some((_, line, column)) = object.get("end").and_then(Value::as_str).and_then(position) {
            (place.end_line, place.end_column) = (Some(line), Some(column));
        }
    }
    // markdownlint's column and length
    if let (None, Some(range)) = (place.column, get(object, "errorrange").and_then(Value::as_array))
        && let [column, length] = range.as_slice()
    {
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        place.column = number(column);
        place.end_column = place.column.zip(number(length)).and_then(|(column, length)| column.checked_add(length));
    }
    place
}

fn position(text: &str) -> Option<(&str, u32, u32)> {
    let (head, column) = text.rsplit_once(':')?;
    let (file, line) = head.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// A dotted name of capitalised words: a rule's, not a file's.
fn rule_source(object: &Map<String, Value>) -> Option<&str> {
    let source = object.get("source")?.as_str()?;
    let dotted = source.split('.').count() > 2;
    (dotted && source.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))).then_some(source)
}

/// GHC writes a message as a list.
fn sentences(object: &Map<String, Value>) -> Option<String> {
    let parts: Option<Vec<&str>> = object.get("message")?.as_array()?.iter().map(Value::as_str).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("\n"))
}

/// Takes from the object itself, then from those in it that say where.
fn fill<'a>(object: &'a Map<String, Value>, place: &mut Place<'a>, key: &str, depth: usize) {
    // The Language Server Protocol counts from 0; its columns are `character`s of a range's `start`.
    // So do the points of a parser's tree.
    let zero_based = object.contains_key("character") && key.starts_with("start") || key == "startpoint";
    let base = |n: Option<u32>| if zero_based { n.and_then(|n| n.checked_add(1)) } else { n };
    place.file = place.file.or_else(|| file_of(object));
    if place.line.is_none() {
        place.line = base(number(object, LINE));
        place.column = if zero_based {
            base(number(object, &["character", "column"]))
        } else {
            number(object, COLUMN).filter(|n| *n > 0)
        };
    }
    if place.column.is_none() && !zero_based && depth > 0 && number(object, LINE) == place.line {
        place.column = number(object, COLUMN).filter(|n| *n > 0);
    }
    place.end_line = place.end_line.or_else(|| number(object, END_LINE)).filter(|n| *n > 0);
    place.end_column = place.end_column.or_else(|| number(object, END_COLUMN)).filter(|n| *n > 0);
    if depth >= PLACE_DEPTH_MAX {
        return;
    }
    // rubocop counts its last column in.
    place.end_column =
        place.end_column.or_else(|| number(object, &["lastcolumn"]).and_then(|column| column.checked_add(1)));
    let end =
        ["end", "end_location", "endPosition", "end_point"].iter().find_map(|name| object.get(*name)?.as_object());
    if let Some(end) = end {
        let zero_based = end.contains_key("character") || object.contains_key("end_point");
        let base = |n: Option<u32>| if zero_based { n.and_then(|n| n.checked_add(1)) } else { n };
        place.end_line = place.end_line.or_else(|| base(number(end, LINE)));
        place.end_column =
            place.end_column.or_else(|| base(number(end, if zero_based { &["character", "column"] } else { COLUMN })));
    }
    for name in PLACES {
        let Some(value) = get(object, name) else { continue };
        match value {
            Value::Object(inner) => fill(inner, place, name, depth + 1),
            Value::Array(items) => match items.first() {
                Some(Value::Object(inner)) => fill(inner, place, name, depth + 1),
                Some(Value::Number(first)) if *name == "pos" && place.line.is_none() => {
                    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
                    place.line = first.as_u64().and_then(|n| u32::try_from(n).ok());
                    place.column = items.get(1).and_then(number).filter(|n| *n > 0);
                }
                // Columns only where the line is told elsewhere; a list of lines begins with the first.
                Some(Value::Number(first)) if *name == "span" => {
                    place.column = place.column.or_else(|| first.as_u64().and_then(|n| u32::try_from(n).ok()));
                }
                Some(Value::Number(first)) if matches!(*name, "lines" | "linenumbers" | "filelinerange") => {
                    place.line = place.line.or_else(|| first.as_u64().and_then(|n| u32::try_from(n).ok()));
                }
                Some(_) | None => {}
            },
            // checkstyle-like `"begin": 3` in `"lines"`.
            Value::Number(_) if *name == "begin" && place.line.is_none() => {
                place.line = number(object, &["begin"]);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The value of a key that is `wanted` once it is made plain.
fn get<'a>(object: &'a Map<String, Value>, wanted: &str) -> Option<&'a Value> {
    object.get(wanted).or_else(|| object.iter().find(|(key, _)| plain(key) == wanted).map(|(_, value)| value))
}

fn number(object: &Map<String, Value>, names: &[&str]) -> Option<u32> {
    names.iter().find_map(|name| match get(object, name)? {
        Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

fn word(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| get(object, name)?.as_str().filter(|text| !text.trim().is_empty())).map(str::to_owned)
}

fn nested(object: &Map<String, Value>, outer: &[&str], inner: &[&str]) -> Option<String> {
    outer.iter().find_map(|name| word(get(object, name)?.as_object()?, inner))
}

fn file_of(object: &Map<String, Value>) -> Option<&str> {
    FILE.iter().find_map(|name| {
        let text = get(object, name)?.as_str().filter(|text| !text.is_empty() && is_name(text))?;
        match *name {
            // The language server's `source` is the program that speaks.
            "source" => Some(text).filter(|text| is_path(text) || text.contains(' ')),
            "component" => text.rsplit_once(':').map(|(_, path)| path).filter(|path| is_path(path)),
            // `"FILEPATH": "d:\\a\\"` beside the name.
            _ => Some(text).filter(|text| !text.ends_with(['/', '\\'])),
        }
    })
}

fn is_name(text: &str) -> bool {
    const NAME_BYTES_MAX: usize = 1024;
    text.len() <= NAME_BYTES_MAX && !text.contains(['\n', '{', '<', '|']) && text != "-"
}

/// A key or name that can only be a file's.
fn is_path(text: &str) -> bool {
    is_name(text)
        && !text.contains("://")
        && (text.contains(['/', '\\'])
            || text.rsplit_once('.').is_some_and(|(stem, extension)| {
                !stem.is_empty()
                    && (1..=8).contains(&extension.len())
                    && extension.bytes().all(|b| b.is_ascii_alphanumeric())
            }))
        && !text.contains(' ')
}

fn code(object: &Map<String, Value>, message: &str) -> Option<String> {
    code_in(object, CODE, message)
}

fn code_in(object: &Map<String, Value>, names: &[&str], message: &str) -> Option<String> {
    const CODE_BYTES_MAX: usize = 120;
    names.iter().find_map(|name| {
        let value = get(object, name)?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if *name == "code" && object.contains_key("ghcVersion") => format!("GHC-{number}"),
            // shellcheck leaves out what its codes begin with.
            Value::Number(number) if *name == "code" && is_shellcheck(object) => format!("SC{number}"),
            Value::Number(number) if *name == "code" => number.to_string(),
            Value::Object(inner) => word(inner, &["id", "code", "name", "value", "ruleid"])?,
            Value::Array(items) => items.first()?.as_str()?.to_owned(),
            Value::Number(_) | Value::Null | Value::Bool(_) => return None,
        };
        let fits =
            !text.is_empty() && text.len() <= CODE_BYTES_MAX && text != message && severity_word(&text).is_none();
        let fits = fits && !text.contains('\n');
        (fits && text != "issue").then_some(text)
    })
}

fn is_shellcheck(object: &Map<String, Value>) -> bool {
    ["level", "endColumn", "fix"].iter().all(|key| object.contains_key(*key))
}

fn severity(object: &Map<String, Value>) -> Option<Severity> {
    let of = |object: &Map<String, Value>| {
        SEVERITY.iter().find_map(|name| get(object, name)?.as_str().and_then(severity_word))
    };
    of(object)
        .or_else(|| ["rule", "extra", "determinations"].iter().find_map(|name| of(get(object, name)?.as_object()?)))
}

/// Only words: every tool has a scale of numbers of its own.
fn severity_word(word: &str) -> Option<Severity> {
    Some(match word.to_ascii_lowercase().as_str() {
        "error" | "errors" | "fatal" | "critical" | "blocker" | "high" | "major" | "e" | "err" => Severity::Error,
        "warning" | "warnings" | "warn" | "medium" | "moderate" | "minor" | "w" => Severity::Warning,
        "info" | "information" | "informational" | "low" | "style" | "convention" | "refactor" | "notice" => {
            Severity::Info
        }
        "hint" | "suggestion" => Severity::Hint,
        "note" => Severity::Note,
        _ => return None,
    })
}
